#include "conf/node_removal.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "conf/registrar.hpp"
#include "conf/registration_reads.hpp"

namespace weft {
namespace {

/// remove_node on its way; it keeps itself while requests are under way.
struct NodeRemoval : std::enable_shared_from_this<NodeRemoval> {
    NodeRemoval(EtcdClient& with, std::string name, std::function<void(Result<std::vector<std::string>>)> tell)
        : client(with), node(std::move(name)), done(std::move(tell)) {}

    void begin() {
        std::vector<std::string> prefixes = registration_prefixes(node);
        prefixes.emplace_back(kBlockKeys4);
        prefixes.emplace_back(kBlockKeys6);
        prefixes.push_back(alive_keys(node));
        client.read(prefixes, [self = shared_from_this()](Result<EtcdSnapshot> all) {
            if (!all) return self->done(all.error());
            self->view = {};
            for (EtcdKeyValue& kv : all->kvs) self->view.there[kv.key] = std::move(kv);
            self->read_keys();
        });
    }

    void read_keys() {
        EtcdTransaction reads;
        for (std::string& key : registration_keys(node)) reads.then.push_back(read(std::move(key)));
        further(reads);
    }

    void further(const EtcdTransaction& reads) {
        client.transact(reads, [self = shared_from_this(), reads](Result<EtcdTransacted> found) {
            if (!found) return self->done(found.error());
            extend(self->view, reads, *found);
            self->decide();
        });
    }

    void decide() {
        const std::string prefix = alive_keys(node);
        const auto sign = view.there.lower_bound(prefix);
        if (sign != view.there.end() && sign->first.starts_with(prefix)) {
            return done(
                Error{fmt::format("node {} lives: its weftd was heard of less than two minutes ago; stop it there "
                                  "first, or wait",
                                  node)});
        }
        const RegistrationStep step = next_removal(node, view);
        if (!step.read.empty()) return further(further_reads(step));
        if (step.change) return write(*step.change, step.what);
        if (words.empty() && step.lacks.empty()) {
            return done(Error{fmt::format("the store knows no node {}: 'weftctl show nodes' lists them", node)});
        }
        words.insert(words.end(), step.lacks.begin(), step.lacks.end());
        done(std::move(words));
    }

    void write(const EtcdTransaction& transaction, const std::string& what) {
        client.transact(transaction, [self = shared_from_this(), what](const Result<EtcdTransacted>& written) {
            if (!written) return self->done(written.error());
            if (written->succeeded) self->words.push_back(what);
            if (!written->succeeded && ++self->refusals > 100) {
                return self->done(
                    Error{fmt::format("node {}: its blocks change all the time: is it really gone?", self->node)});
            }
            self->begin();
        });
    }

    EtcdClient& client;
    std::string node;
    std::function<void(Result<std::vector<std::string>>)> done;
    StoreView view;
    std::vector<std::string> words;
    unsigned refusals = 0;
};

}  // namespace

void remove_node(EtcdClient& client, std::string node, std::function<void(Result<std::vector<std::string>>)> done) {
    std::make_shared<NodeRemoval>(client, std::move(node), std::move(done))->begin();
}

}  // namespace weft
