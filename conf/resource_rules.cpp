#include "conf/resource_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "conf/checks.hpp"
#include "conf/json.hpp"
#include "conf/resource.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;
using Names = std::set<std::string, std::less<>>;

/// The fields of each spec as of Calico v3.32 and its successor.
const Names& fields_of(ResourceKind kind) {
    static const Names kPool{
        "cidr",      "vxlanMode",    "ipipMode",          "natOutgoing", "disabled",      "disableBGPExport",
        "blockSize", "nodeSelector", "namespaceSelector", "allowedUses", "assignmentMode"};
    static const Names kNode{
        "bgp",      "ipv4VXLANTunnelAddr", "vxlanTunnelMACAddr", "ipv6VXLANTunnelAddr", "vxlanTunnelMACAddrV6",
        "orchRefs", "wireguard",           "addresses",          "interfaces"};
    static const Names kPeer{"node",
                             "nodeSelector",
                             "peerIP",
                             "asNumber",
                             "localASNumber",
                             "peerSelector",
                             "keepOriginalNextHop",
                             "nextHopMode",
                             "password",
                             "sourceAddress",
                             "maxRestartTime",
                             "keepaliveTime",
                             "numAllowedLocalASNumbers",
                             "ttlSecurity",
                             "reachableBy",
                             "filters",
                             "localWorkloadSelector",
                             "reversePeering"};
    static const Names kConfiguration{"logSeverityScreen",
                                      "nodeToNodeMeshEnabled",
                                      "asNumber",
                                      "serviceLoadBalancerIPs",
                                      "serviceExternalIPs",
                                      "serviceClusterIPs",
                                      "serviceLoadBalancerAggregation",
                                      "communities",
                                      "prefixAdvertisements",
                                      "listenPort",
                                      "nodeMeshPassword",
                                      "nodeMeshMaxRestartTime",
                                      "bindMode",
                                      "ignoredInterfaces",
                                      "localWorkloadPeeringIPV4",
                                      "localWorkloadPeeringIPV6",
                                      "programClusterRoutes",
                                      "ipv4NormalRoutePriority",
                                      "ipv6NormalRoutePriority"};
    static const Names kNone;
    switch (kind) {
        case ResourceKind::ip_pool:
            return kPool;
        case ResourceKind::node:
            return kNode;
        case ResourceKind::bgp_peer:
            return kPeer;
        case ResourceKind::bgp_configuration:
            return kConfiguration;
        default:
            return kNone;
    }
}

const Names& fields_of_node_bgp() {
    static const Names kFields{"asNumber", "ipv4Address", "ipv6Address", "ipv4IPIPTunnelAddr",
                               "routeReflectorClusterID"};
    return kFields;
}

void unknown_in(const json& stated, const Names& known, const json& stored, const std::string& path,
                std::vector<FieldTrouble>& found) {
    if (!stated.is_object()) return;
    for (const auto& [name, value] : stated.items()) {
        if (known.contains(name) || (stored.is_object() && stored.contains(name))) continue;
        std::string message = fmt::format("unknown field \"{}{}\"", path, shown(name));
        for (const std::string& other : known) {
            if (lower_case(other) == lower_case(name)) message += fmt::format(": it is written {}", other);
        }
        found.push_back({.field = path + name, .message = std::move(message)});
    }
}

bool for_load_balancers(const json& object) {
    const json& uses = member(member(object, "spec"), "allowedUses");
    return uses.is_array() && std::find(uses.begin(), uses.end(), "LoadBalancer") != uses.end();
}

/// A selector that chooses among namespaces has no place in a pool.
void no_global(const json& spec, const char* name, std::vector<FieldTrouble>& errors) {
    const json& text = member(spec, name);
    if (!text.is_string() || text.get_ref<const std::string&>().find("global(") == std::string::npos) return;
    errors.push_back({.field = fmt::format("spec.{}", name),
                      .message = fmt::format("global() selector is not valid for IPPool {}", name)});
}

void changed_pool(const json& object, const json& stored, std::vector<FieldTrouble>& errors) {
    json before = member(stored, "spec");
    if (before.is_object()) fill_pool(before);
    const json& after = member(object, "spec");
    if (member(before, "cidr") != member(after, "cidr")) {
        errors.push_back({.field = "spec.cidr", .message = "IPPool CIDR cannot be modified"});
    } else if (member(before, "blockSize") != member(after, "blockSize")) {
        errors.push_back({.field = "spec.blockSize", .message = "IPPool BlockSize cannot be modified"});
    }
    if (for_load_balancers(stored) && !for_load_balancers(object)) {
        errors.push_back({.field = "spec.allowedUses",
                          .message = "IPPool allowed use cannot be changed from LoadBalancer to Workload or Tunnel"});
    }
}

void new_pool(const ResourceId& id, const json& object, const PoolSurroundings& beside,
              std::vector<FieldTrouble>& errors) {
    const auto cidr = pool_prefix(object);
    if (!cidr) return;
    for (const auto& [name, other] : beside.pools) {
        if (name == id.name || !other.overlaps(*cidr)) continue;
        errors.push_back({.field = "spec.cidr",
                          .message = fmt::format("IPPool({}) CIDR overlaps with IPPool({}) CIDR {}", id.name, name,
                                                 to_string(other))});
    }
    const json& size = member(member(object, "spec"), "blockSize");
    for (const Prefix& block : beside.blocks) {
        if (!block.overlaps(*cidr) || size == block.length) continue;
        errors.push_back(
            {.field = "spec.blockSize",
             .message = "IPPool blocksSize conflicts with existing allocations that use a different blockSize"});
        break;
    }
}

/// What only the object `default` may say.
void of_default_alone(const json& spec, std::vector<FieldTrouble>& errors) {
    for (const char* const name :
         {"nodeToNodeMeshEnabled", "asNumber", "serviceExternalIPs", "serviceClusterIPs", "serviceLoadBalancerIPs",
          "communities", "nodeMeshPassword", "nodeMeshMaxRestartTime"}) {
        const json& value = member(spec, name);
        if (value.is_null() || (value.is_array() && value.empty())) continue;
        errors.push_back({.field = fmt::format("spec.{}", name),
                          .message = fmt::format("Cannot set {} on a non default BGP Configuration.", name)});
    }
}

void check_bgp_configuration(const ResourceId& id, const json& spec, std::vector<FieldTrouble>& errors) {
    const Fields fields(spec, "spec", errors);
    fields.one_of("logSeverityScreen", {"Debug", "Info", "Warning", "Error", "Fatal"});
    if (id.name != "default") of_default_alone(spec, errors);
    if (!fields.list("communities").empty() && fields.list("prefixAdvertisements").empty()) {
        errors.push_back({.field = "spec.communities",
                          .message = "communities are defined but not used in Spec.PrefixAdvertisement[]."});
    }
}

template <class T>
void take(const Decoded<T>& decoded, std::vector<FieldTrouble>& errors, std::vector<FieldTrouble>& warnings) {
    for (const FieldTrouble& error : decoded.errors) (error.only_weft ? warnings : errors).push_back(error);
    warnings.insert(warnings.end(), decoded.unsupported.begin(), decoded.unsupported.end());
}

}  // namespace

std::optional<Prefix> pool_prefix(const json& pool) {
    return parse_prefix(text_at(member(pool, "spec"), "cidr"));
}

bool knows_field(ResourceKind kind, const std::string& field) {
    return fields_of(kind).contains(field);
}

std::vector<FieldTrouble> unknown_fields(ResourceKind kind, const json& manifest, const json* stored) {
    static const Names kTop{"apiVersion", "kind", "metadata", "spec", "status"};
    static const Names kMetadata{"name",
                                 "uid",
                                 "creationTimestamp",
                                 "resourceVersion",
                                 "labels",
                                 "annotations",
                                 "generation",
                                 "managedFields",
                                 "selfLink",
                                 "finalizers",
                                 "deletionGracePeriodSeconds",
                                 "deletionTimestamp",
                                 "generateName",
                                 "ownerReferences"};
    const json& held = stored == nullptr ? json() : *stored;
    std::vector<FieldTrouble> found;
    unknown_in(manifest, kTop, held, "", found);
    unknown_in(member(manifest, "metadata"), kMetadata, member(held, "metadata"), "metadata.", found);
    const json& spec = member(manifest, "spec");
    const json& held_spec = member(held, "spec");
    unknown_in(spec, fields_of(kind), held_spec, "spec.", found);
    if (kind == ResourceKind::node) {
        unknown_in(member(spec, "bgp"), fields_of_node_bgp(), member(held_spec, "bgp"), "spec.bgp.", found);
    }
    return found;
}

std::string check_name(const ResourceId& id) {
    const std::string name =
        id.kind == ResourceKind::bgp_configuration && id.name.starts_with("node.") ? id.name.substr(5) : id.name;
    if (id.kind == ResourceKind::node || name != id.name) return check_node_name(name);
    const auto fits = [](unsigned char c) { return std::isdigit(c) != 0 || std::islower(c) != 0; };
    const bool all =
        !name.empty() && name.size() <= 253 && fits(static_cast<unsigned char>(name.front())) &&
        fits(static_cast<unsigned char>(name.back())) &&
        std::all_of(name.begin(), name.end(), [&](unsigned char c) { return fits(c) || c == '-' || c == '.'; });
    if (all) return {};
    return fmt::format(
        "error with field {}.metadata.name = '{}' (name must consist of lower case alphanumeric characters, '-' or "
        "'.', and start and end with one of the former)",
        to_string(id.kind), shown(name));
}

void fill_pool(json& spec) {
    const auto say = [&](const char* name, const json& value) {
        json& held = spec[name];
        if (held.is_null() || is_empty_text(held) || held == 0 || (held.is_array() && held.empty())) held = value;
    };
    if (!member(spec, "cidr").is_string()) return;
    const auto cidr = parse_prefix(spec["cidr"].get_ref<const std::string&>());
    if (!cidr) return;
    spec["cidr"] = to_string(*cidr);
    say("blockSize", cidr->family() == Family::v4 ? 26U : 122U);
    say("ipipMode", "Never");
    say("vxlanMode", "Never");
    say("nodeSelector", "all()");
    say("allowedUses", json::array({"Workload", "Tunnel"}));
    say("assignmentMode", "Automatic");
}

void check_resource(const ResourceId& id, const json& object, const json* stored, const PoolSurroundings& beside,
                    std::vector<FieldTrouble>& errors, std::vector<FieldTrouble>& warnings) {
    const json& spec = member(object, "spec");
    switch (id.kind) {
        case ResourceKind::ip_pool:
            take(decode_ip_pool(object), errors, warnings);
            no_global(spec, "nodeSelector", errors);
            no_global(spec, "namespaceSelector", errors);
            if (stored == nullptr) new_pool(id, object, beside, errors);
            if (stored != nullptr) changed_pool(object, *stored, errors);
            break;
        case ResourceKind::node:
            take(decode_node(id.name, object), errors, warnings);
            if (member(spec, "bgp") == json::object()) {
                errors.push_back({.field = "spec.bgp", .message = "Spec.BGP should not be empty"});
            }
            break;
        case ResourceKind::bgp_peer:
            take(decode_bgp_peer(object), errors, warnings);
            break;
        case ResourceKind::bgp_configuration:
            take(decode_bgp_configuration(id.name, object), errors, warnings);
            check_bgp_configuration(id, spec, errors);
            break;
        default:
            break;
    }
}

}  // namespace weft
