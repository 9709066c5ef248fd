#include "calico_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace weft::test {

using nlohmann::json;

void MemoryStore::put(const std::string& key, const std::string& value) {
    EtcdKeyValue& kv = content_[key];
    ++revision_;
    if (kv.version == 0) kv.create_revision = revision_;
    kv.key = key;
    kv.value = value;
    kv.mod_revision = revision_;
    ++kv.version;
}

void MemoryStore::erase(const std::string& key) {
    ++revision_;
    content_.erase(key);
}

std::string MemoryStore::at(const std::string& key) const {
    const auto found = content_.find(key);
    return found == content_.end() ? std::string{} : found->second.value;
}

bool MemoryStore::transact(const EtcdTransaction& transaction) {
    for (const EtcdCompare& compare : transaction.compares) {
        const auto found = content_.find(compare.key);
        const bool there = found != content_.end();
        std::int64_t number = 0;
        if (there && compare.target == EtcdCompare::Target::mod_revision) number = found->second.mod_revision;
        if (there && compare.target == EtcdCompare::Target::create_revision) number = found->second.create_revision;
        if (there && compare.target == EtcdCompare::Target::version) number = found->second.version;
        if (number != compare.number) return false;
    }
    for (const EtcdOperation& operation : transaction.then) {
        if (operation.kind == EtcdOperation::Kind::put) put(operation.key, operation.value);
        if (operation.kind == EtcdOperation::Kind::erase) erase(operation.key);
    }
    return true;
}

StoreView MemoryStore::view(const std::string& node) const {
    StoreView view;
    RegistrationStep step;
    step.read = registration_keys(node);
    extend(view, step);
    for (const std::string& prefix : registration_prefixes(node)) {
        for (const auto& [key, kv] : content_) {
            if (key.starts_with(prefix)) view.there[key] = kv;
        }
    }
    return view;
}

void MemoryStore::extend(StoreView& view, const RegistrationStep& step) const {
    for (const std::string& key : step.read) {
        const auto found = content_.find(key);
        if (found == content_.end()) view.absent.insert(key);
        if (found != content_.end()) view.there[key] = found->second;
    }
    for (const std::string& key : step.probe) (has(key) ? view.taken : view.absent).insert(key);
}

StoreView MemoryStore::everything() const {
    StoreView view;
    view.there = content_;
    return view;
}

std::vector<std::string> register_node(MemoryStore& store, const RegistrationWish& wish) {
    std::vector<std::string> done;
    StoreView view = store.view(wish.node);
    for (int i = 0; i < 3000; ++i) {
        RegistrationStep step = next_step(wish, view);
        if (step.settled()) {
            for (const std::string& lack : step.lacks) done.push_back("lacks: " + lack);
            return done;
        }
        if (!step.change) {
            store.extend(view, step);
            continue;
        }
        done.push_back(step.what);
        if (!store.transact(*step.change)) done.emplace_back("refused");
        view = store.view(wish.node);
    }
    done.emplace_back("never settles");
    return done;
}

std::vector<std::string> remove_node(MemoryStore& store, const std::string& node) {
    std::vector<std::string> done;
    for (int i = 0; i < 300; ++i) {
        StoreView view = store.everything();
        const RegistrationStep step = next_removal(node, view);
        for (const std::string& key : step.read) view.absent.insert(key);
        const RegistrationStep again = next_removal(node, view);
        if (!again.change) return done;
        done.push_back(again.what);
        store.transact(*again.change);
    }
    done.emplace_back("never ends");
    return done;
}

namespace {

class Checker {
  public:
    explicit Checker(const std::map<std::string, EtcdKeyValue>& store) : store_(store) {}

    std::vector<std::string> run() {
        for (const auto& [key, kv] : store_) {
            if (key.starts_with(kBlockKeys4) || key.starts_with(kBlockKeys6)) block(key, kv.value);
        }
        overlaps();
        for (const auto& [key, kv] : store_) {
            const bool block = key.starts_with(kBlockKeys4) || key.starts_with(kBlockKeys6);
            const bool affine = key.starts_with("/calico/ipam/v2/host/");
            if (affine) affinity(key, kv.value);
            if (key.starts_with(kHandleKeys)) handle(key, kv.value);
            if (key.starts_with(kNodeKeys)) node(key, kv.value);
            if (key.starts_with("/calico/ipam/") && !block && !affine && !key.starts_with(kHandleKeys) &&
                key != kIpamConfigKey) {
                wrong("{} is nothing of Calico's", key);
            }
            if (key.starts_with("/calico/weft/") && kv.lease == 0) wrong("{} would stay for ever", key);
        }
        for (const auto& [address, owner] : owners_) allocation(address, owner);
        for (const auto& [name, blocks] : counted_) {
            if (!store_.contains(handle_key(name))) wrong("handle {} is missing: it has addresses", name);
        }
        return std::move(found_);
    }

  private:
    template <class... Arguments>
    void wrong(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
        found_.push_back(fmt::format(text, std::forward<Arguments>(arguments)...));
    }

    void block(const std::string& key, const std::string& value) {
        const auto document = BlockDocument::parse(value);
        if (!document) return wrong("{}: {}", key, document.error().message);
        cidrs_.insert(document->cidr());
        if (block_key(document->cidr()) != key) wrong("{} is block {}", key, to_string(document->cidr()));
        if (document->used() + document->unallocated().size() != document->size()) {
            wrong("{}: addresses that are neither free nor allocated", key);
        }
        if (document->node().empty() && document->used() == 0) wrong("{} is nobody's, and empty", key);
        if (!document->node().empty()) {
            const auto own = store_.find(affinity_key(document->node(), document->cidr()));
            if (own == store_.end()) wrong("{}: its node {} has no affinity to it", key, document->node());
        }
        for (const auto& [name, count] : document->handles()) counted_[name][to_string(document->cidr())] = count;
        for (std::size_t ordinal = 0; ordinal < document->size(); ++ordinal) {
            if (!document->free(ordinal)) owners_[document->address(ordinal)] = document->owner(ordinal);
        }
    }

    void overlaps() {
        const Prefix* before = nullptr;
        for (const Prefix& cidr : cidrs_) {
            if (before != nullptr && before->overlaps(cidr)) {
                wrong("blocks {} and {} overlap", to_string(*before), to_string(cidr));
            }
            before = &cidr;
        }
    }

    /// What is allocated has somebody to use it.
    void allocation(const Address& address, const AllocationOwner& owner) {
        if (owner.node.empty()) return;
        const auto held = store_.find(node_key(owner.node));
        if (held == store_.end())
            return wrong("{} is allocated to node {}: there is none", to_string(address), owner.node);
        if (!owner.type.ends_with("TunnelAddress")) return;
        if (held->second.value.find('"' + to_string(address) + '"') == std::string::npos) {
            wrong("{} is {} of node {}, whose object does not have it", to_string(address), owner.type, owner.node);
        }
    }

    void affinity(const std::string& key, const std::string& value) {
        const auto cidr = block_of_key(key);
        if (!cidr) return wrong("{} names no block", key);
        const auto state = affinity_state(value);
        if (!state || *state != "confirmed") wrong("{} is not confirmed", key);
        const auto found = store_.find(block_key(*cidr));
        if (found == store_.end()) return wrong("{}: there is no such block", key);
        const auto document = BlockDocument::parse(found->second.value);
        if (document && affinity_key(document->node(), *cidr) != key)
            wrong("{}: the block is {}'s", key, document->node());
        const std::string node = key.substr(21, key.find('/', 21) - 21);
        if (!store_.contains(node_key(node))) wrong("{}: there is no such node", key);
    }

    void handle(const std::string& key, const std::string& value) {
        const auto document = HandleDocument::parse(value);
        if (!document) return wrong("{}: {}", key, document.error().message);
        if (handle_key(document->id) != key) wrong("{} is handle {}", key, document->id);
        const auto counted = counted_.find(document->id);
        if (counted == counted_.end()) return wrong("{}: it has no address", key);
        std::map<std::string, std::size_t> said;
        for (const auto& [cidr, count] : document->blocks) said[cidr] = static_cast<std::size_t>(count);
        if (said != counted->second) wrong("{}: it counts other than what is allocated", key);
    }

    void node(const std::string& key, const std::string& value) {
        const json object = json::parse(value, nullptr, false);
        if (!object.is_object() || !object.contains("spec")) return wrong("{} is no Node object", key);
        const std::string name = key.substr(kNodeKeys.size());
        const json& spec = object["spec"];
        const auto check = [&](const json& from, const char* field, const std::string& handle) {
            if (!from.is_object() || !from.contains(field)) return;
            const auto address = parse_address(from[field].get<std::string>());
            const auto owner = address ? owners_.find(*address) : owners_.end();
            if (owner == owners_.end() || owner->second.handle != handle + name) {
                return wrong("{}: {} {} is not allocated to it", key, field, from[field].get<std::string>());
            }
        };
        if (spec.contains("bgp")) check(spec["bgp"], "ipv4IPIPTunnelAddr", "ipip-tunnel-addr-");
        check(spec, "ipv4VXLANTunnelAddr", "vxlan-tunnel-addr-");
        check(spec, "ipv6VXLANTunnelAddr", "vxlan-v6-tunnel-addr-");
    }

    const std::map<std::string, EtcdKeyValue>& store_;
    std::map<std::string, std::map<std::string, std::size_t>> counted_;  ///< by handle and block
    std::set<Prefix> cidrs_;
    std::map<Address, AllocationOwner> owners_;
    std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> contradictions(const std::map<std::string, EtcdKeyValue>& store) {
    return Checker(store).run();
}

std::string pool_document(const std::string& name, const std::string& cidr, const std::string& fields) {
    return fmt::format(
        R"({{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{}"}},"spec":{{"cidr":"{}"{}{}}}}})",
        name, cidr, fields.empty() ? "" : ",", fields);
}

}  // namespace weft::test
