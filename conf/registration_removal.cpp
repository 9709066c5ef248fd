// Cleaning up after a node that is gone (see next_removal).
#include <fmt/format.h>

#include <algorithm>

#include "conf/registration.hpp"

namespace weft {
namespace {

/// etcd takes 128 operations in a transaction; each address may need its handle changed too.
constexpr std::size_t kMostReleased = 50;

class Removal {
  public:
    Removal(const std::string& node, const StoreView& view) : node_(node), view_(view) {
        for (const std::string& key : registration_keys(node)) {
            if (key.starts_with(kHandleKeys)) tunnels_.insert(key.substr(kHandleKeys.size()));
        }
    }

    RegistrationStep run() {
        for (const std::string_view prefix : {kBlockKeys4, kBlockKeys6}) {
            for (auto at = view_.there.lower_bound(std::string(prefix));
                 at != view_.there.end() && at->first.starts_with(prefix); ++at) {
                if (block(at->first, at->second)) return std::move(step_);
            }
        }
        rest();
        return std::move(step_);
    }

  private:
    void compare(const std::string& key) {
        const EtcdKeyValue* const held = view_.find(key);
        transaction_.compares.push_back(unchanged(key, held == nullptr ? 0 : held->mod_revision));
    }
    bool change(std::string what) {
        step_.change = std::move(transaction_);
        step_.what = std::move(what);
        return true;
    }
    bool is_its(const AllocationOwner& owner) const { return owner.node == node_ || tunnels_.contains(owner.handle); }

    /// Releases the node's addresses in a block, and the block when it is the node's. True: the step is made.
    bool block(const std::string& key, const EtcdKeyValue& held) {
        auto document = BlockDocument::parse(held.value);
        if (!document) {
            if (held.value.find("\"host:" + node_ + '"') != std::string::npos) {
                step_.lacks.push_back(fmt::format("{}: {}: it is left alone", key, document.error().message));
            }
            return false;
        }
        std::vector<std::size_t> its;
        for (std::size_t ordinal = 0; ordinal < document->size() && its.size() < kMostReleased; ++ordinal) {
            if (!document->free(ordinal) && is_its(document->owner(ordinal))) its.push_back(ordinal);
        }
        const bool affine = document->node() == node_;
        if (its.empty() && !affine) return false;
        std::map<std::string, std::int64_t> handles;
        for (const std::size_t ordinal : its) {
            const std::string handle = document->owner(ordinal).handle;
            if (!handle.empty()) ++handles[handle];
            document->release(ordinal);
        }
        for (const auto& [handle, count] : handles) {
            if (!view_.knows(handle_key(handle))) step_.read.push_back(handle_key(handle));
        }
        if (!step_.read.empty()) return true;
        compare(key);
        for (const auto& [handle, count] : handles) release(handle, document->cidr(), count);
        if (!document->affine() && document->used() == 0) {
            transaction_.then.push_back(erase(key));
            return change(fmt::format("delete block {}, which was nobody's", to_string(document->cidr())));
        }
        if (its.size() == kMostReleased || !affine) {
            transaction_.then.push_back(put(key, document->next()));
            return change(fmt::format("release {} addresses in {}", its.size(), to_string(document->cidr())));
        }
        const std::string affinity = affinity_key(node_, document->cidr());
        compare(affinity);
        if (view_.there.contains(affinity)) transaction_.then.push_back(erase(affinity));
        if (document->used() == 0) {
            transaction_.then.push_back(erase(key));
            return change(fmt::format("delete block {}", to_string(document->cidr())));
        }
        document->clear_affinity();
        transaction_.then.push_back(put(key, document->next()));
        return change(fmt::format("free block {}, in which other nodes have {} addresses", to_string(document->cidr()),
                                  document->used()));
    }

    void release(const std::string& handle, const Prefix& block, std::int64_t count) {
        const std::string key = handle_key(handle);
        const EtcdKeyValue* const held = view_.find(key);
        if (held == nullptr) return;
        auto document = HandleDocument::parse(held->value);
        if (!document) return;
        compare(key);
        document->add(block, -count);
        transaction_.then.push_back(document->blocks.empty() ? erase(key) : put(key, document->text()));
    }

    /// Affinities without a block of its, handles of its tunnel addresses, and the Node object.
    void rest() {
        const std::string prefix = affinity_keys(node_);
        std::vector<std::string> keys;
        for (auto at = view_.there.lower_bound(prefix); at != view_.there.end() && at->first.starts_with(prefix);
             ++at) {
            if (keys.size() < kMostReleased) keys.push_back(at->first);
        }
        for (const std::string& handle : tunnels_) keys.push_back(handle_key(handle));
        keys.push_back(node_key(node_));
        for (const std::string& key : keys) {
            if (!view_.there.contains(key)) continue;
            compare(key);
            transaction_.then.push_back(erase(key));
        }
        if (!transaction_.then.empty()) change(fmt::format("delete Node {}", node_));
    }

    const std::string& node_;
    const StoreView& view_;
    std::set<std::string> tunnels_;  ///< handles
    EtcdTransaction transaction_;
    RegistrationStep step_;
};

}  // namespace

RegistrationStep next_removal(const std::string& node, const StoreView& view) {
    return Removal(node, view).run();
}

}  // namespace weft
