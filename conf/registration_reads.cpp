#include "conf/registration_reads.hpp"

#include <map>
#include <utility>

#include "conf/registrar.hpp"

namespace weft {
namespace {

constexpr std::size_t kMostOperations = 100;  ///< in a transaction; etcd takes 128

}  // namespace

EtcdTransaction first_reads(const std::string& node) {
    EtcdTransaction reads;
    for (std::string& key : registration_keys(node)) reads.then.push_back(read(std::move(key)));
    for (std::string& prefix : registration_prefixes(node)) reads.then.push_back(read_prefix(std::move(prefix)));
    reads.then.push_back(read_prefix(alive_keys(node)));
    reads.then.push_back(read_prefix(contender_keys(node)));
    return reads;
}

StoreView first_view(const std::string& node, const EtcdTransacted& found) {
    StoreView view;
    for (const EtcdKeyValue& kv : found.read) view.there[kv.key] = kv;
    for (const std::string& key : registration_keys(node)) {
        if (!view.there.contains(key)) view.absent.insert(key);
    }
    return view;
}

EtcdTransaction further_reads(const RegistrationStep& step) {
    EtcdTransaction reads;
    for (const std::string& key : step.read) {
        if (reads.then.size() < kMostOperations) reads.then.push_back(read(key));
    }
    for (const std::string& key : step.probe) {
        if (reads.then.size() < kMostOperations) reads.then.push_back(probe(key));
    }
    return reads;
}

void extend(StoreView& view, const EtcdTransaction& reads, const EtcdTransacted& found) {
    std::map<std::string, const EtcdKeyValue*> by_key;
    for (const EtcdKeyValue& kv : found.read) by_key[kv.key] = &kv;
    for (const EtcdOperation& operation : reads.then) {
        const auto kv = by_key.find(operation.key);
        if (kv == by_key.end()) {
            view.absent.insert(operation.key);
        } else if (operation.kind == EtcdOperation::Kind::probe) {
            view.taken.insert(operation.key);
        } else {
            view.there[operation.key] = *kv->second;
        }
    }
}

}  // namespace weft
