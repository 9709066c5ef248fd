#include "conf/registration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"
#include "conf/resource.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

constexpr std::size_t kBatch = 64;               ///< keys read at a time; etcd takes 128 operations
constexpr std::size_t kMostCandidates = 65'536;  ///< blocks of a pool looked at before it counts as full
constexpr std::size_t kLongestWords = 600;       ///< names in the store are anyone's
constexpr std::size_t kMostLenders = 200;        ///< blocks of other nodes looked at for a free address

/// Where a kind of tunnel address is stored, and which pools it comes from.
struct TunnelKind {
    const char* type;
    const char* handle;
    Family family;
    Encapsulate Pool::*mode;
    std::array<const char*, 2> field;  ///< below spec; the second may be null
};
constexpr std::array<TunnelKind, 3> kTunnelKinds{{
    {"ipipTunnelAddress", "ipip-tunnel-addr-", Family::v4, &Pool::ipip, {"bgp", "ipv4IPIPTunnelAddr"}},
    {"vxlanTunnelAddress", "vxlan-tunnel-addr-", Family::v4, &Pool::vxlan, {"ipv4VXLANTunnelAddr", nullptr}},
    {"vxlanV6TunnelAddress", "vxlan-v6-tunnel-addr-", Family::v6, &Pool::vxlan, {"ipv6VXLANTunnelAddr", nullptr}},
}};

/// Go's hash/fnv, 32 bits: Calico seeds its choice of a block with the host's hash too.
std::uint32_t fnv32(std::string_view text) {
    std::uint32_t hash = 2166136261U;
    for (const char c : text) hash = (hash * 16777619U) ^ static_cast<unsigned char>(c);
    return hash;
}

struct NamedPool {
    std::string name;
    IpPool held;
};

/// A block of this node: affinity confirmed, block affine to it.
struct OwnBlock {
    std::string key;
    std::int64_t revision = 0;
    BlockDocument document;
};

std::string stored(const json& spec, const TunnelKind& kind) {
    if (kind.field[1] == nullptr) return text_at(spec, kind.field[0]);
    return text_at(member(spec, kind.field[0]), kind.field[1]);
}

/// Sets a field, or removes it where `value` is empty; the object it stands in goes when it becomes empty.
void store(json& spec, const TunnelKind& kind, const std::string& value) {
    json& inner = kind.field[1] == nullptr ? spec : spec[kind.field[0]];
    const char* const name = kind.field[1] == nullptr ? kind.field[0] : kind.field[1];
    if (!value.empty()) inner[name] = value;
    if (value.empty() && inner.is_object()) inner.erase(name);
    if (kind.field[1] != nullptr && spec[kind.field[0]].empty()) spec.erase(kind.field[0]);
}

/// A change of some documents: all of them are compared with what was read.
class Edit {
  public:
    explicit Edit(const StoreView& view) : view_(view) {}

    void require(const std::string& key) {
        if (!compared_.insert(key).second) return;
        const EtcdKeyValue* const known = view_.find(key);
        transaction_.compares.push_back(unchanged(key, known == nullptr ? 0 : known->mod_revision));
    }
    void write(const std::string& key, std::string value) {
        require(key);
        transaction_.then.push_back(put(key, std::move(value)));
    }
    void remove(const std::string& key) {
        require(key);
        if (view_.find(key) != nullptr) transaction_.then.push_back(erase(key));
    }
    bool empty() const { return transaction_.then.empty(); }
    EtcdTransaction take() { return std::move(transaction_); }

  private:
    const StoreView& view_;
    std::set<std::string> compared_;
    EtcdTransaction transaction_;
};

class Planner {
  public:
    Planner(const RegistrationWish& wish, const StoreView& view) : wish_(wish), view_(view) {}

    RegistrationStep run() {
        if (!ready() || !read_node()) return std::move(step_);
        if (node_object() || affinities()) return std::move(step_);
        for (const NamedPool& pool : pools_) {
            if (usable(pool) && pool.held.workloads && needs_block(pool) && claim(pool)) return std::move(step_);
        }
        for (const TunnelKind& kind : kTunnelKinds) {
            if (tunnel_address(kind)) return std::move(step_);
        }
        return std::move(step_);
    }

  private:
    // Each answers true when the step is made: something is to be read or changed before anything else.

    bool change(Edit edit, const std::string& what) {
        step_.change = edit.take();
        step_.what = shown(what, kLongestWords);
        return true;
    }
    void lack(const std::string& what) { step_.lacks.push_back(shown(what, kLongestWords)); }
    bool need(const std::string& key) {
        if (view_.knows(key)) return false;
        step_.read.push_back(key);
        return true;
    }

    bool ready() {
        if (const EtcdKeyValue* const information = view_.find(std::string(kInformationKey))) {
            const auto object = parse_json(information->value);
            if (object && !decode_cluster_information(*object).value.datastore_ready) {
                lack(
                    fmt::format("the store is locked ({}: datastoreReady is false): nothing is registered until it is "
                                "unlocked ('calicoctl datastore migrate unlock')",
                                kInformationKey));
                return false;
            }
        }
        return true;
    }

    bool read_node() {
        const std::string key = node_key(wish_.node);
        const EtcdKeyValue* const held = view_.find(key);
        node_ = held == nullptr ? json::object() : json();
        if (held != nullptr) {
            auto parsed = parse_json(held->value);
            if (parsed) node_ = *std::move(parsed);
        }
        const bool sound = node_.is_object() && (!node_.contains("spec") || node_["spec"].is_null() ||
                                                 (node_["spec"].is_object() && sound_bgp(node_["spec"])));
        if (!sound) {
            lack(
                fmt::format("{} is no Node object: it is left alone; repair or delete it, and this node writes it "
                            "anew",
                            key));
            return false;
        }
        if (node_["spec"].is_null()) node_["spec"] = json::object();
        labels_ = decode_node(wish_.node, node_).value.labels;
        read_pools();
        read_config();
        return true;
    }
    static bool sound_bgp(const json& spec) { return !spec.contains("bgp") || spec["bgp"].is_object(); }

    void read_pools() {
        for (auto at = view_.there.lower_bound(std::string(kPoolKeys));
             at != view_.there.end() && at->first.starts_with(kPoolKeys); ++at) {
            const auto object = parse_json(at->second.value);
            auto decoded = object ? decode_ip_pool(*object) : Decoded<IpPool>{};
            if (!object || !decoded.ok()) {
                unread_.push_back(at->first);  // whoever reads the pools reports what is wrong with it
                continue;
            }
            pools_.push_back({at->first.substr(kPoolKeys.size()), std::move(decoded.value)});
        }
        for (auto at = view_.there.lower_bound(std::string(kReservationKeys));
             at != view_.there.end() && at->first.starts_with(kReservationKeys); ++at) {
            const auto object = parse_json(at->second.value);
            if (!object || !object->is_object() || !object->contains("spec")) continue;
            const json& spec = (*object)["spec"];
            if (!spec.is_object() || !spec.contains("reservedCIDRs") || !spec["reservedCIDRs"].is_array()) continue;
            for (const json& each : spec["reservedCIDRs"]) {
                if (const auto cidr = each.is_string() ? parse_prefix(each.get<std::string>()) : std::nullopt) {
                    reserved_.push_back(*cidr);
                }
            }
        }
    }

    void read_config() {
        const EtcdKeyValue* const held = view_.find(std::string(kIpamConfigKey));
        const auto object = held == nullptr ? Result<json>(json::object()) : parse_json(held->value);
        if (!object || !object->is_object()) return;
        const auto flag = [&](const char* name, bool otherwise) {
            const auto found = object->find(name);
            return found != object->end() && found->is_boolean() ? found->get<bool>() : otherwise;
        };
        strict_ = flag("strict_affinity", false);
        may_claim_ = flag("auto_allocate_blocks", true);
    }

    bool has_address(Family family) const {
        if (family == Family::v4 ? wish_.address4.has_value() : wish_.address6.has_value()) return true;
        const auto bgp = node_["spec"].find("bgp");
        return bgp != node_["spec"].end() &&
               !text_at(*bgp, family == Family::v4 ? "ipv4Address" : "ipv6Address").empty();
    }
    /// New blocks and addresses may come from this pool.
    bool usable(const NamedPool& pool) const {
        const IpPool& held = pool.held;
        return !held.pool.disabled && !held.deleting && held.automatic && held.routed() &&
               held.nodes.matches(labels_) && has_address(held.pool.cidr.family());
    }
    bool eligible(const NamedPool& pool, const TunnelKind& kind) const {
        return usable(pool) && pool.held.tunnels && pool.held.pool.cidr.family() == kind.family &&
               pool.held.pool.*kind.mode != Encapsulate::never;
    }
    bool is_reserved(const Address& address) const {
        return std::any_of(reserved_.begin(), reserved_.end(),
                           [&](const Prefix& cidr) { return cidr.contains(address); });
    }

    bool wants_address(Family family) const {
        return family == Family::v4 || std::any_of(pools_.begin(), pools_.end(), [](const NamedPool& pool) {
                   return pool.held.pool.cidr.family() == Family::v6;
               });
    }

    bool node_object() {
        const std::string key = node_key(wish_.node);
        const bool create = view_.find(key) == nullptr;
        std::vector<std::string> changed;
        if (create) {
            node_["kind"] = "Node";
            node_["apiVersion"] = "projectcalico.org/v3";
            node_["metadata"] = {{"name", wish_.node}, {"uid", wish_.uid}, {"creationTimestamp", rfc3339(wish_.now)}};
        }
        const auto set = [&](Family family, const std::optional<InterfaceAddress>& address, const char* field) {
            if (!address || !wants_address(family)) return;
            const std::string text = to_string(*address);
            const auto bgp = node_["spec"].find("bgp");
            const std::string before = bgp == node_["spec"].end() ? "" : text_at(*bgp, field);
            if (before == text) return;
            node_["spec"]["bgp"][field] = text;
            changed.push_back(before.empty() ? fmt::format("{} {}", field, text)
                                             : fmt::format("{} {} (was {})", field, text, before));
        };
        set(Family::v4, wish_.address4, "ipv4Address");
        set(Family::v6, wish_.address6, "ipv6Address");
        if (!create && changed.empty()) return false;
        Edit edit(view_);
        edit.write(key, node_.dump());
        return change(std::move(edit), fmt::format("{} Node {}{}{}", create ? "create" : "update", wish_.node,
                                                   changed.empty() ? "" : ": ", fmt::join(changed, ", ")));
    }
    /// Makes each affinity of this node true, or removes it; collects the blocks that are this node's.
    bool affinities() {
        const std::string prefix = affinity_keys(wish_.node);
        std::vector<std::string> keys;
        for (auto at = view_.there.lower_bound(prefix); at != view_.there.end() && at->first.starts_with(prefix);
             ++at) {
            keys.push_back(at->first);
            if (const auto cidr = block_of_key(at->first)) need(block_key(*cidr));
        }
        if (!step_.read.empty()) return true;
        return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return affinity(key); });
    }

    bool affinity(const std::string& key) {
        const auto cidr = block_of_key(key);
        const auto state = affinity_state(view_.find(key)->value);
        if (!cidr || !state || key != affinity_key(wish_.node, *cidr)) {
            lack(fmt::format("{} is no affinity of Calico's: it is left alone", key));
            return false;
        }
        const std::string block = block_key(*cidr);
        const EtcdKeyValue* const held = view_.find(block);
        if (held == nullptr) return claim_or_drop(key, *cidr);
        auto document = BlockDocument::parse(held->value);
        if (!document) {
            lack(fmt::format("{}: {}: it is left alone", block, document.error().message));
            return false;
        }
        Edit edit(view_);
        edit.require(block);
        if (document->node() != wish_.node || document->deleted()) {
            edit.remove(key);
            return change(std::move(edit),
                          fmt::format("drop the affinity to block {}, which is {}", to_string(*cidr),
                                      document->node().empty() ? "nobody's" : document->node() + "'s"));
        }
        if (*state == "confirmed") {
            own_.push_back({.key = block, .revision = held->mod_revision, .document = *std::move(document)});
            return false;
        }
        // The block is written too, so that whoever is releasing it at this moment finds it changed.
        edit.write(block, document->next());
        edit.write(key, affinity_document("confirmed"));
        return change(std::move(edit), fmt::format("confirm block {} (its affinity was {})", to_string(*cidr), *state));
    }

    /// There is an affinity but no block.
    bool claim_or_drop(const std::string& key, const Prefix& cidr) {
        const NamedPool* const pool = pool_of(cidr);
        Edit edit(view_);
        if (pool != nullptr && usable(*pool) && pool->held.pool.block_size == cidr.length && may_claim_) {
            edit.write(block_key(cidr), BlockDocument::create(cidr, wish_.node, wish_.now).next());
            edit.write(key, affinity_document("confirmed"));
            return change(std::move(edit), fmt::format("claim block {} of pool {}", to_string(cidr), pool->name));
        }
        edit.require(block_key(cidr));
        edit.remove(key);
        return change(std::move(edit),
                      fmt::format("drop the affinity to {}, of which there is no block", to_string(cidr)));
    }

    const NamedPool* pool_of(const Prefix& cidr) const {
        const auto found = std::find_if(pools_.begin(), pools_.end(),
                                        [&](const NamedPool& pool) { return pool.held.pool.cidr.contains(cidr); });
        return found == pools_.end() ? nullptr : &*found;
    }

    bool needs_block(const NamedPool& pool) const {
        return std::none_of(own_.begin(), own_.end(),
                            [&](const OwnBlock& own) { return pool.held.pool.cidr.contains(own.document.cidr()); });
    }

    /// Where a pool's blocks are looked at first: where a tunnel address of this node was, else anywhere by its name.
    std::size_t first_candidate(const NamedPool& pool, std::size_t count) const {
        for (const TunnelKind& kind : kTunnelKinds) {
            const auto address = parse_address(stored(node_["spec"], kind));
            if (!address || !pool.held.pool.cidr.contains(*address)) continue;
            return index_of(pool, network_of(*address, pool.held.pool.block_size)) % count;
        }
        return fnv32(wish_.node) % count;
    }
    /// Calls `look` with each block of the pool in turn until it answers true; false: it never did.
    bool each_candidate(const NamedPool& pool, std::size_t most, const std::function<bool(const Prefix&)>& look) const {
        const unsigned bits = pool.held.pool.block_size - pool.held.pool.cidr.length;
        const std::size_t count = std::size_t{1} << std::min(bits, 62U);
        const std::size_t first = first_candidate(pool, count);
        for (std::size_t i = 0; i < std::min(count, most); ++i) {
            if (look(candidate(pool, (first + i) % count))) return true;
        }
        return false;
    }
    static Prefix candidate(const NamedPool& pool, std::size_t index);
    static std::size_t index_of(const NamedPool& pool, const Prefix& block);

    /// A block of the pool for this node: its affinity pending, for the next step to make it true.
    bool claim(const NamedPool& pool) {
        if (!may_claim_) {
            lack(fmt::format("no block of pool {}: IPAM's auto_allocate_blocks is false", pool.name));
            return false;
        }
        std::optional<Prefix> free;
        each_candidate(pool, kMostCandidates, [&](const Prefix& cidr) {
            const std::string key = block_key(cidr);
            const bool whole = std::any_of(reserved_.begin(), reserved_.end(),
                                           [&](const Prefix& reserved) { return reserved.contains(cidr); });
            if (whole || view_.there.contains(key) || view_.taken.contains(key)) return false;
            if (view_.absent.contains(key)) {
                if (step_.probe.empty()) free = cidr;
                return true;
            }
            step_.probe.push_back(key);
            return step_.probe.size() == kBatch;
        });
        if (!step_.probe.empty()) return true;
        if (!free) {
            lack(fmt::format(
                "no free block in pool {} ({}): all its blocks are taken, so workloads here get at best "
                "addresses borrowed from other nodes; enlarge it, add a pool, or free the blocks of nodes that "
                "are gone ('weftctl node remove NAME')",
                pool.name, to_string(pool.held.pool.cidr)));
            return false;
        }
        Edit edit(view_);
        edit.require(block_key(*free));
        edit.write(affinity_key(wish_.node, *free), affinity_document("pending"));
        return change(std::move(edit), fmt::format("ask for block {} of pool {}", to_string(*free), pool.name));
    }

    // Tunnel addresses

    /// A place in a block.
    struct Place {
        std::string key;
        std::size_t ordinal = 0;
        bool operator==(const Place&) const = default;
    };
    /// One kind's address as it is: the blocks that matter, and the places that its handle has in them.
    struct Tunnel {
        const TunnelKind* kind;
        AllocationOwner owner;
        HandleDocument handle;
        std::map<std::string, BlockDocument> blocks;
        std::vector<Place> held;
    };

    bool tunnel_address(const TunnelKind& kind) {
        Tunnel tunnel{.kind = &kind,
                      .owner = {.handle = kind.handle + wish_.node, .node = wish_.node, .type = kind.type},
                      .handle = {},
                      .blocks = {},
                      .held = {}};
        const std::string before = stored(node_["spec"], kind);
        const auto address = parse_address(before);
        if (!read_handle(tunnel)) return false;
        std::set<std::string> keys;
        for (const auto& [cidr, count] : tunnel.handle.blocks) {
            if (const auto block = parse_prefix(cidr)) keys.insert(block_key(*block));
        }
        if (address) {
            if (const NamedPool* const pool = pool_of(host_prefix(*address))) {
                keys.insert(block_key(network_of(*address, pool->held.pool.block_size)));
            }
        }
        for (const std::string& key : keys) need(key);
        if (!step_.read.empty()) return true;
        for (const std::string& key : keys) read_block(tunnel, key);
        const bool any =
            std::any_of(pools_.begin(), pools_.end(), [&](const NamedPool& pool) { return eligible(pool, kind); });
        std::optional<Place> target = any ? keep(tunnel, address) : std::nullopt;
        if (!target && !before.empty() && !unread_.empty()) {
            lack(fmt::format("{} {} may belong to {}, which is no IPPool at present: it is left as it is", kind.type,
                             before, unread_.front()));
            return false;
        }
        if (any) {
            if (!target && find_new(tunnel, target)) return true;
            if (!target) return false;  // what is lacking has been said; what there is stays
        }
        return settle(tunnel, target, before);
    }

    bool read_handle(Tunnel& tunnel) {
        const EtcdKeyValue* const held = view_.find(handle_key(tunnel.owner.handle));
        tunnel.handle.id = tunnel.owner.handle;
        if (held == nullptr) return true;
        auto parsed = HandleDocument::parse(held->value);
        if (!parsed) {
            lack(fmt::format("{}: {}: it is left alone, and so are the addresses that it stands for", held->key,
                             parsed.error().message));
            return false;
        }
        tunnel.handle.blocks = std::move(parsed->blocks);
        return true;
    }

    void read_block(Tunnel& tunnel, const std::string& key) {
        const EtcdKeyValue* const held = view_.find(key);
        if (held == nullptr) return;
        auto document = BlockDocument::parse(held->value);
        if (!document || document->deleted()) return;
        for (std::size_t ordinal = 0; ordinal < document->size(); ++ordinal) {
            if (document->owner(ordinal).handle == tunnel.owner.handle) tunnel.held.push_back({key, ordinal});
        }
        tunnel.blocks.emplace(key, *std::move(document));
    }

    bool in_eligible_pool(const TunnelKind& kind, const Address& address) const {
        const NamedPool* const pool = pool_of(host_prefix(address));
        return pool != nullptr && eligible(*pool, kind);
    }

    /// The place of the stored address if it is this node's, or can be again; else of one that was allocated and not
    /// written into the Node object.
    std::optional<Place> keep(const Tunnel& tunnel, const std::optional<Address>& address) const {
        for (const auto& [key, block] : tunnel.blocks) {
            const auto ordinal = address ? block.ordinal(*address) : std::nullopt;
            if (!ordinal || !in_eligible_pool(*tunnel.kind, *address)) continue;
            const AllocationOwner owner = block.owner(*ordinal);
            if (owner.handle == tunnel.owner.handle || (owner.handle.empty() && owner.node.empty())) {
                return Place{key, *ordinal};
            }
        }
        for (const Place& place : tunnel.held) {
            if (in_eligible_pool(*tunnel.kind, tunnel.blocks.at(place.key).address(place.ordinal))) return place;
        }
        return std::nullopt;
    }

    std::optional<std::size_t> free_place(const BlockDocument& block) const {
        const auto& all = block.unallocated();
        const auto found = std::find_if(all.begin(), all.end(),
                                        [&](std::size_t ordinal) { return !is_reserved(block.address(ordinal)); });
        return found == all.end() ? std::nullopt : std::optional(*found);
    }

    /// From a block of this node; else from one that it can claim; else borrowed from another's.
    bool find_new(Tunnel& tunnel, std::optional<Place>& target) {
        for (const OwnBlock& own : own_) {
            if (!in_eligible_pool(*tunnel.kind, own.document.cidr().address)) continue;
            if (const auto ordinal = free_place(own.document)) {
                tunnel.blocks.insert_or_assign(own.key, own.document);
                target = Place{own.key, *ordinal};
                return false;
            }
        }
        const std::size_t said = step_.lacks.size();
        for (const NamedPool& pool : pools_) {
            if (eligible(pool, *tunnel.kind) && claim(pool)) return true;
        }
        step_.lacks.resize(said);
        for (const NamedPool& pool : pools_) {
            if (!strict_ && eligible(pool, *tunnel.kind) && borrow(pool, tunnel, target)) return true;
            if (target) return false;
        }
        lack(fmt::format("no {} for this node: no pool of that encapsulation has a free block{}", tunnel.kind->type,
                         strict_ ? ", and IPAM's strict_affinity forbids to borrow" : " or address"));
        return false;
    }

    bool borrow(const NamedPool& pool, Tunnel& tunnel, std::optional<Place>& target) {
        each_candidate(pool, kMostLenders, [&](const Prefix& cidr) {
            const std::string key = block_key(cidr);
            if (!view_.knows(key)) {
                step_.read.push_back(key);
                return step_.read.size() == kBatch;
            }
            const EtcdKeyValue* const held = view_.find(key);
            auto document = held == nullptr ? Result<BlockDocument>(Error{}) : BlockDocument::parse(held->value);
            if (!document || document->deleted()) return false;
            const auto ordinal = free_place(*document);
            if (!ordinal || !step_.read.empty()) return false;
            tunnel.blocks.insert_or_assign(key, *std::move(document));
            target = Place{key, *ordinal};
            return true;
        });
        return !step_.read.empty() && !target;
    }

    /// The blocks, the handle and the Node object as `target` (or nothing) wants them, in one transaction.
    bool settle(Tunnel& tunnel, const std::optional<Place>& target, const std::string& before) {
        Edit edit(view_);
        HandleDocument handle{.id = tunnel.owner.handle, .blocks = {}};
        std::string after;
        for (auto& [key, block] : tunnel.blocks) {
            bool touched = false;
            for (const Place& place : tunnel.held) {
                if (place.key != key || place == target) continue;
                block.release(place.ordinal);
                touched = true;
            }
            if (target && target->key == key) {
                after = to_string(block.address(target->ordinal));
                handle.add(block.cidr(), 1);
                if (block.owner(target->ordinal) != tunnel.owner) {
                    if (!block.free(target->ordinal)) block.release(target->ordinal);
                    block.allocate(target->ordinal, tunnel.owner);
                    touched = true;
                }
            }
            // An empty block that is nobody's goes, as with Calico.
            const bool abandoned = !block.affine() && block.used() == 0;
            if (touched) abandoned ? edit.remove(key) : edit.write(key, block.next());
        }
        const std::string key = handle_key(tunnel.owner.handle);
        if (handle.blocks != tunnel.handle.blocks) {
            handle.blocks.empty() ? edit.remove(key) : edit.write(key, handle.text());
        } else if (handle.blocks.empty()) {
            edit.remove(key);
        }
        if (after != before) {
            store(node_["spec"], *tunnel.kind, after);
            edit.write(node_key(wish_.node), node_.dump());
        }
        if (edit.empty()) return false;
        if (!target && !wish_.release) {
            step_.releases = true;
            return false;
        }
        edit.require(node_key(wish_.node));
        edit.require(key);
        return change(std::move(edit), words(*tunnel.kind, before, after));
    }

    static std::string words(const TunnelKind& kind, const std::string& before, const std::string& after) {
        if (after == before && !after.empty()) return fmt::format("allocate {} {} again", kind.type, after);
        if (after.empty()) return fmt::format("release {} {}", kind.type, before);
        if (before.empty()) return fmt::format("allocate {} {}", kind.type, after);
        return fmt::format("move {} from {} to {}", kind.type, before, after);
    }

    const RegistrationWish& wish_;
    const StoreView& view_;
    RegistrationStep step_;
    json node_;
    Labels labels_;
    std::vector<NamedPool> pools_;     ///< by name
    std::vector<std::string> unread_;  ///< pools that are no pools
    std::vector<Prefix> reserved_;
    std::vector<OwnBlock> own_;
    bool strict_ = false;
    bool may_claim_ = true;
};

Prefix Planner::candidate(const NamedPool& pool, std::size_t index) {
    const Pool& held = pool.held.pool;
    Prefix made{.address = held.cidr.address, .length = held.block_size};
    for (unsigned bit = held.block_size; bit > held.cidr.length && index != 0; --bit, index >>= 1U) {
        if ((index & 1U) == 0) continue;
        made.address.bytes.at((bit - 1U) / 8U) |= static_cast<std::uint8_t>(0x80U >> ((bit - 1U) % 8U));
    }
    return made;
}

std::size_t Planner::index_of(const NamedPool& pool, const Prefix& block) {
    const Pool& held = pool.held.pool;
    std::size_t index = 0;
    for (unsigned bit = held.cidr.length; bit < held.block_size; ++bit) {
        const bool set = (block.address.bytes.at(bit / 8U) & (0x80U >> (bit % 8U))) != 0;
        index = index << 1U | (set ? 1U : 0U);
    }
    return index;
}

}  // namespace

const EtcdKeyValue* StoreView::find(const std::string& key) const {
    const auto found = there.find(key);
    return found == there.end() ? nullptr : &found->second;
}

std::vector<std::string> registration_keys(const std::string& node) {
    std::vector<std::string> keys{node_key(node), std::string(kIpamConfigKey), std::string(kInformationKey)};
    for (const TunnelKind& kind : kTunnelKinds) keys.push_back(handle_key(kind.handle + node));
    return keys;
}

std::vector<std::string> registration_prefixes(const std::string& node) {
    return {std::string(kPoolKeys), std::string(kReservationKeys), affinity_keys(node)};
}

RegistrationStep next_step(const RegistrationWish& wish, const StoreView& view) {
    return Planner(wish, view).run();
}

RegisteredAddresses registered_addresses(const StoreView& view, const std::string& node) {
    RegisteredAddresses found;
    const EtcdKeyValue* const held = view.find(node_key(node));
    const auto object = held == nullptr ? Result<json>(Error{}) : parse_json(held->value);
    if (!object || !object->is_object() || !object->contains("spec")) return found;
    const json& spec = (*object)["spec"];
    found.ipip4 = parse_address(stored(spec, kTunnelKinds[0]));
    found.vxlan4 = parse_address(stored(spec, kTunnelKinds[1]));
    found.vxlan6 = parse_address(stored(spec, kTunnelKinds[2]));
    return found;
}

}  // namespace weft
