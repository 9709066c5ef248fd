#include "conf/resources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "conf/json.hpp"
#include "conf/peering.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

bool has_spec(const json& object) {
    return object.is_object() && object.contains("spec");
}

/// Of objects that say whose a prefix is.
std::optional<BlockOwners::Kind> owning(ResourceKind kind) {
    if (kind == ResourceKind::ipam_block) return BlockOwners::Kind::block;
    if (kind == ResourceKind::block_affinity) return BlockOwners::Kind::affinity;
    return std::nullopt;
}

void enter_into(BlockOwners& owners, const std::string& name, const auto& value) {
    owners.put(name, value);
}
template <class T>
void enter_into(std::map<std::string, T>& held, const std::string& name, T value) {
    held.insert_or_assign(name, std::move(value));
}

}  // namespace

std::string to_string(const ObjectTrouble& trouble) {
    std::string text = trouble.place.empty() ? trouble.object : fmt::format("{}: {}", trouble.place, trouble.object);
    if (!trouble.field.empty()) text += fmt::format(": {}", trouble.field);
    text += fmt::format(": {}", trouble.message);
    if (trouble.error) {
        text += trouble.last_used ? " (its last valid form stays in use)" : " (the object is left out)";
    }
    return text;
}

template <class Self, class With>
void Resources::with_map(Self& self, ResourceKind kind, With with) {
    switch (kind) {
        case ResourceKind::ip_pool:
            return with(self.pools_);
        case ResourceKind::node:
            return with(self.nodes_);
        case ResourceKind::block_affinity:
        case ResourceKind::ipam_block:
            return;
        case ResourceKind::bgp_peer:
            return with(self.peers_);
        case ResourceKind::bgp_configuration:
            return with(self.bgp_);
        case ResourceKind::felix_configuration:
            return with(self.felix_);
        case ResourceKind::cluster_information:
            return with(self.information_);
        case ResourceKind::installation:
            return with(self.installations_);
        case ResourceKind::calico_config:
            return with(self.calico_config_);
    }
}

template <class Held, class T>
void Resources::take(Held& held, const ResourceId& id, Decoded<T> decoded, const Where& where) {
    std::vector<ObjectTrouble> report;
    const auto say = [&](const std::vector<FieldTrouble>& findings, bool error) {
        for (const FieldTrouble& finding : findings) {
            report.push_back({.object = to_string(id),
                              .place = where(finding.field),
                              .field = finding.field,
                              .message = finding.message,
                              .error = error});
        }
    };
    say(decoded.errors, true);
    say(decoded.unsupported, false);
    if (decoded.ok()) enter_into(held, id.name, std::move(decoded.value));
    if (report.empty()) {
        reports_.erase(id);
    } else {
        reports_[id] = std::move(report);
    }
}

void Resources::put(const ResourceId& id, const json& object, const Where& where) {
    if (id.name.empty()) return refuse(id, {.field = "metadata.name", .message = "an object needs a name"}, where);
    enter(id, object, where);
    const std::string name = text_at(member(object, "metadata"), "name");
    if (name.empty() || name == id.name) return;
    reports_[id].push_back(
        {.object = to_string(id),
         .place = where("metadata.name"),
         .field = "metadata.name",
         .message = fmt::format("'{}' is not the name in its key, which is the one that counts", shown(name)),
         .error = false});
}

void Resources::enter(const ResourceId& id, const json& object, const Where& where) {
    switch (id.kind) {
        case ResourceKind::ip_pool:
            take(pools_, id, decode_ip_pool(object), where);
            break;
        case ResourceKind::node:
            return take(nodes_, id, decode_node(id.name, object), where);
        case ResourceKind::block_affinity: {
            if (has_spec(object)) return take(owners_, id, decode_block_affinity(object), where);
            const std::size_t slash = std::min(id.name.find('/'), id.name.size());
            const auto cidr = parse_key_prefix(std::string_view(id.name).substr(0, slash));
            if (!cidr || slash == id.name.size()) {
                return refuse(id, {.field = {}, .message = "the key names no block"}, where);
            }
            return take(owners_, id, decode_affinity(id.name.substr(slash + 1), *cidr, object), where);
        }
        case ResourceKind::ipam_block: {
            auto decoded = has_spec(object) ? decode_block(object.at("spec"), "spec") : decode_block(object);
            const auto named = parse_key_prefix(id.name);
            if (decoded.ok() && named && named != decoded.value.cidr) {
                decoded.errors.push_back(
                    {.field = "cidr",
                     .message = fmt::format("{} is not the block that its key names", to_string(decoded.value.cidr))});
            }
            return take(owners_, id, std::move(decoded), where);
        }
        case ResourceKind::bgp_peer:
            take(peers_, id, decode_bgp_peer(object), where);
            break;
        case ResourceKind::bgp_configuration:
            take(bgp_, id, decode_bgp_configuration(id.name, object), where);
            break;
        case ResourceKind::felix_configuration:
            take(felix_, id, decode_felix_configuration(object), where);
            break;
        case ResourceKind::cluster_information:
            take(information_, id, decode_cluster_information(object), where);
            break;
        case ResourceKind::installation:
            take(installations_, id, decode_installation(object), where);
            break;
        case ResourceKind::calico_config:
            take(calico_config_, id, decode_calico_config(object), where);
            break;
    }
    places_[id] = where({});
}

void Resources::refuse(const ResourceId& id, const FieldTrouble& finding, const Where& where) {
    reports_[id] = {{.object = to_string(id),
                     .place = where(finding.field),
                     .field = finding.field,
                     .message = finding.message,
                     .error = true}};
}

void Resources::remove(const ResourceId& id) {
    reports_.erase(id);
    places_.erase(id);
    if (const auto kind = owning(id.kind)) owners_.remove(*kind, id.name);
    with_map(*this, id.kind, [&](auto& held) { held.erase(id.name); });
}

bool Resources::holds(const ResourceId& id) const {
    if (const auto kind = owning(id.kind)) return owners_.holds(*kind, id.name);
    bool found = false;
    with_map(*this, id.kind, [&](const auto& held) { found = held.contains(id.name); });
    return found;
}

std::vector<ResourceId> Resources::ids() const {
    std::vector<ResourceId> all;
    for (const ResourceKind kind : resource_kinds()) {
        if (const auto owners = owning(kind)) {
            for (std::string& name : owners_.names(*owners)) all.push_back({.kind = kind, .name = std::move(name)});
        }
        with_map(*this, kind, [&](const auto& held) {
            for (const auto& entry : held) all.push_back({.kind = kind, .name = entry.first});
        });
    }
    for (const auto& [id, report] : reports_) {
        if (!holds(id)) all.push_back(id);
    }
    return all;
}

std::size_t Resources::size() const {
    std::size_t count = owners_.size();
    for (const ResourceKind kind : resource_kinds()) {
        with_map(*this, kind, [&](const auto& held) { count += held.size(); });
    }
    for (const auto& [id, report] : reports_) count += holds(id) ? 0U : 1U;
    return count;
}

std::string Resources::place_of(const ResourceId& id) const {
    const auto place = places_.find(id);
    return place == places_.end() ? std::string() : place->second;
}

/// Pools that routes go by: disjoint. Of two that overlap the older stays, as with Calico (condition CIDROverlap). The
/// operator makes IPPool objects of an Installation's pools: where both are here they are one.
std::vector<Pool> Resources::routed_pools(std::vector<ObjectTrouble>* troubles) const {
    struct Candidate {
        const IpPool* pool;
        ResourceId id;
        bool stated;  ///< an IPPool of its own, not an Installation's
    };
    std::vector<Candidate> candidates;
    for (const auto& [name, pool] : pools_) {
        candidates.push_back({&pool, {.kind = ResourceKind::ip_pool, .name = name}, true});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.pool->created < b.pool->created; });
    for (const auto& [name, installation] : installations_) {
        for (const IpPool& pool : installation.pools) {
            candidates.push_back({&pool, {.kind = ResourceKind::installation, .name = name}, false});
        }
    }
    std::map<Prefix, Candidate> taken;
    for (const Candidate& candidate : candidates) {
        const Prefix& cidr = candidate.pool->pool.cidr;
        const auto after = taken.upper_bound(cidr);
        const Candidate* rival = nullptr;
        if (after != taken.end() && cidr.contains(after->first)) rival = &after->second;
        if (after != taken.begin() && std::prev(after)->first.contains(cidr)) rival = &std::prev(after)->second;
        if (rival == nullptr) {
            taken.emplace(cidr, candidate);
            continue;
        }
        if (troubles == nullptr || (!candidate.stated && rival->pool->pool.cidr == cidr)) continue;
        troubles->push_back(
            {.object = to_string(candidate.id),
             .place = place_of(candidate.id),
             .field = candidate.stated ? "spec.cidr" : "spec.calicoNetwork.ipPools",
             .message = fmt::format("{} overlaps {} of {}, which is older: this pool is left out", to_string(cidr),
                                    to_string(rival->pool->pool.cidr), to_string(rival->id)),
             .error = false});
    }
    std::vector<Pool> pools;
    for (const auto& [cidr, candidate] : taken) {
        if (candidate.pool->routed()) pools.push_back(candidate.pool->pool);
    }
    return pools;
}

Cluster Resources::cluster(std::vector<ObjectTrouble>* troubles) const {
    Cluster cluster;
    cluster.pools = routed_pools(troubles);
    cluster.nodes.reserve(nodes_.size());
    for (const auto& [name, node] : nodes_) cluster.nodes.push_back(node.node);
    constexpr std::string_view kOfNode = "node.";
    for (auto own = bgp_.lower_bound(std::string(kOfNode)); own != bgp_.end() && own->first.starts_with(kOfNode);
         ++own) {
        const std::string_view name = std::string_view(own->first).substr(kOfNode.size());
        const auto node = std::ranges::lower_bound(cluster.nodes, name, {}, &Node::name);
        if (node != cluster.nodes.end() && node->name == name) node->bgp_port = own->second.port;
    }
    std::map<std::string, std::size_t> ownerless;
    cluster.blocks = owners_.blocks(cluster.nodes, troubles == nullptr ? nullptr : &ownerless);
    if (derive_tunnels_) derive_tunnel_addresses(cluster);
    Peering peering = neighbors_of(peers_, nodes_, bgp_);
    cluster.bgp.neighbors = std::move(peering.neighbors);
    if (troubles == nullptr) return cluster;
    for (const auto& [node, count] : ownerless) {
        troubles->push_back({.object = fmt::format("Node {}", node),
                             .place = {},
                             .field = {},
                             .message = fmt::format("there is no such object, but {} blocks or addresses belong to it: "
                                                    "nobody can reach them",
                                                    count),
                             .error = false});
    }
    for (const std::string& name : peering.without_as) {
        const ResourceId id{.kind = ResourceKind::bgp_peer, .name = name};
        troubles->push_back(
            {.object = to_string(id),
             .place = place_of(id),
             .field = "spec.asNumber",
             .message = "the peer is no node of this cluster, so its AS has to be stated: it is left out",
             .error = false});
    }
    across_objects(cluster, *troubles);
    return cluster;
}

SharedSettings Resources::settings(const std::string& node) const {
    SharedSettings said;
    const auto say = [&](auto& setting, const auto& value, ResourceKind kind, const std::string& name) {
        if (!value) return;
        const ResourceId id{.kind = kind, .name = name};
        const std::string place = place_of(id);
        setting = {.value = *value,
                   .place = place.empty() ? to_string(id) : fmt::format("{} ({})", to_string(id), place)};
    };
    const auto say_mtu = [&](auto& setting, std::optional<std::uint32_t> value, ResourceKind kind,
                             const std::string& name) {
        if (!value) return;
        using Mtu = std::optional<std::optional<std::uint32_t>>;
        say(setting, *value == 0 ? Mtu(std::in_place, std::nullopt) : Mtu(value), kind, name);
    };
    for (const auto& [name, installation] : installations_) {
        say(said.backend, installation.backend, ResourceKind::installation, name);
        say_mtu(said.vxlan_mtu, installation.mtu, ResourceKind::installation, name);
        say_mtu(said.vxlan_mtu6, installation.mtu, ResourceKind::installation, name);
        say_mtu(said.ipip_mtu, installation.mtu, ResourceKind::installation, name);
    }
    for (const auto& [name, backend] : calico_config_) say(said.backend, backend, ResourceKind::calico_config, name);
    if (const auto bgp = bgp_.find("default"); bgp != bgp_.end()) {
        constexpr auto kKind = ResourceKind::bgp_configuration;
        say(said.local_as, bgp->second.as, kKind, bgp->first);
        say(said.mesh, bgp->second.mesh, kKind, bgp->first);
        say(said.bgp_port, bgp->second.port, kKind, bgp->first);
        if (const auto& seconds = bgp->second.graceful_restart_seconds) {
            say(said.graceful_restart_seconds, std::optional(seconds), kKind, bgp->first);
        }
    }
    // The node's own object over the cluster's.
    for (const std::string& name : {std::string("default"), "node." + node}) {
        const auto felix = felix_.find(name);
        if (felix == felix_.end()) continue;
        constexpr auto kKind = ResourceKind::felix_configuration;
        say(said.vni, felix->second.vni, kKind, name);
        say(said.vxlan_port, felix->second.vxlan_port, kKind, name);
        say_mtu(said.vxlan_mtu, felix->second.vxlan_mtu, kKind, name);
        say_mtu(said.vxlan_mtu6, felix->second.vxlan_mtu6, kKind, name);
        say_mtu(said.ipip_mtu, felix->second.ipip_mtu, kKind, name);
    }
    return said;
}

bool Resources::datastore_ready() const {
    const auto found = information_.find("default");
    return found == information_.end() || found->second.datastore_ready;
}

std::string Resources::cluster_guid() const {
    const auto found = information_.find("default");
    return found == information_.end() ? std::string() : found->second.guid;
}

std::vector<ObjectTrouble> Resources::troubles() const {
    std::vector<ObjectTrouble> all;
    for (const bool error : {true, false}) {
        for (const auto& [id, report] : reports_) {
            for (const ObjectTrouble& trouble : report) {
                if (trouble.error != error) continue;
                all.push_back(trouble);
                all.back().last_used = error && holds(id);
            }
        }
    }
    return all;
}

/// Felix' switches where they contradict the pools.
void Resources::across_objects(const Cluster& cluster, std::vector<ObjectTrouble>& troubles) const {
    const bool any_vxlan = std::any_of(cluster.pools.begin(), cluster.pools.end(), [](const Pool& pool) {
        return pool.vxlan != Encapsulate::never && pool.cidr.family() == Family::v4;
    });
    const bool any_ipip = std::any_of(cluster.pools.begin(), cluster.pools.end(),
                                      [](const Pool& pool) { return pool.ipip != Encapsulate::never; });
    for (const auto& [name, felix] : felix_) {
        const ResourceId id{.kind = ResourceKind::felix_configuration, .name = name};
        const auto ignored = [&](const char* field, const std::optional<bool>& enabled, bool any) {
            if (enabled != false || !any) return;
            troubles.push_back({.object = to_string(id),
                                .place = place_of(id),
                                .field = field,
                                .message =
                                    "false is not followed, because pools have this encapsulation: set their mode "
                                    "to Never",
                                .error = false});
        };
        ignored("spec.vxlanEnabled", felix.vxlan_enabled, any_vxlan);
        ignored("spec.ipipEnabled", felix.ipip_enabled, any_ipip);
    }
}

std::size_t Resources::invalid() const {
    return static_cast<std::size_t>(std::count_if(reports_.begin(), reports_.end(), [](const auto& report) {
        return std::any_of(report.second.begin(), report.second.end(),
                           [](const ObjectTrouble& trouble) { return trouble.error; });
    }));
}

}  // namespace weft
