#include "conf/resource.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/checks.hpp"
#include "conf/json.hpp"
#include "conf/resource_fields.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

constexpr const char* kBlockSize =
    "blockSize must be between 20 and 32 for IPv4 pools, and between 116 and 128 for IPv6 pools";

std::optional<Address> address(const Fields& fields, const char* name, Family family) {
    const auto text = fields.text(name);
    if (!text || text->empty()) return std::nullopt;
    const auto parsed = parse_address(*text);
    if (!parsed || parsed->family != family) {
        fields.wrong(name, fmt::format("'{}' is no {} address", shown(*text), family == Family::v4 ? "IPv4" : "IPv6"));
        return std::nullopt;
    }
    if (auto trouble = check_unicast(*parsed); !trouble.empty()) {
        fields.wrong(name, std::move(trouble));
        return std::nullopt;
    }
    return parsed;
}

/// An address with its subnet; a bare one is alone in it.
std::optional<InterfaceAddress> interface_address(const Fields& fields, const char* name, Family family) {
    const auto text = fields.text(name);
    if (!text || text->empty()) return std::nullopt;
    auto parsed = parse_interface_address(*text);
    if (const auto bare = parse_address(*text)) parsed = {.address = *bare, .length = bits(bare->family)};
    if (!parsed || parsed->address.family != family) {
        fields.wrong(name, fmt::format("'{}' is no {} address with its subnet", shown(*text),
                                       family == Family::v4 ? "IPv4" : "IPv6"));
        return std::nullopt;
    }
    if (auto trouble = check_unicast(parsed->address); !trouble.empty()) {
        fields.wrong(name, std::move(trouble));
        return std::nullopt;
    }
    return parsed;
}

std::optional<Mac> mac(const Fields& fields, const char* name) {
    const auto text = fields.text(name);
    if (!text || text->empty()) return std::nullopt;
    const auto parsed = parse_mac(*text);
    if (!parsed) fields.wrong(name, fmt::format("'{}' is no MAC address", shown(*text)));
    if (parsed && ((parsed->bytes[0] & 1U) != 0 || parsed == Mac{})) {
        fields.wrong(name, fmt::format("{} is no address of one interface", *text));
        return std::nullopt;
    }
    return parsed;
}

Encapsulate mode(const Fields& spec, const char* name) {
    const auto word = spec.one_of(name, {"Never", "Always", "CrossSubnet"});
    if (!word || *word == "Never") return Encapsulate::never;
    return *word == "Always" ? Encapsulate::always : Encapsulate::cross_subnet;
}

/// The pool's prefix, checked as Calico does; nullopt: missing or wrong.
std::optional<Prefix> pool_cidr(const Fields& spec) {
    const auto text = spec.text("cidr");
    if (!text || text->empty()) {
        spec.wrong("cidr", "a pool needs its prefix");
        return std::nullopt;
    }
    const auto parsed = text->size() <= 48 ? parse_interface_address(*text) : std::nullopt;
    if (!parsed) {
        spec.wrong("cidr", fmt::format("'{}' is no prefix", shown(*text)));
        return std::nullopt;
    }
    const Prefix cidr{.address = parsed->address, .length = parsed->length};
    if (parsed->network() != cidr) {
        spec.wrong("cidr", "IPPool CIDR must be strictly masked");
    } else if (parse_prefix("169.254.0.0/16")->overlaps(cidr)) {
        spec.wrong("cidr", "IPPool CIDR overlaps with IPv4 link local range 169.254.0.0/16");
    } else if (parse_prefix("fe80::/10")->overlaps(cidr)) {
        spec.wrong("cidr", "IPPool CIDR overlaps with IPv6 link local range fe80::/10");
    }
    return cidr;
}

void allowed_uses(const Fields& spec, IpPool& pool) {
    const json& uses = spec.list("allowedUses");
    if (uses.empty()) return;
    pool.workloads = pool.tunnels = pool.load_balancers = false;
    for (std::size_t i = 0; i < uses.size(); ++i) {
        if (uses[i] == "Workload") {
            pool.workloads = true;
        } else if (uses[i] == "Tunnel") {
            pool.tunnels = true;
        } else if (uses[i] == "LoadBalancer") {
            pool.load_balancers = true;
        } else {
            spec.wrong(fmt::format("allowedUses[{}]", i),
                       "Unsupported value: supported values: \"Workload\", \"Tunnel\", \"LoadBalancer\"");
        }
    }
}

void block_size(const Fields& spec, Pool& pool) {
    const bool v4 = pool.cidr.family() == Family::v4;
    pool.block_size = v4 ? 26 : 122;
    const auto size = spec.number("blockSize", 0, 128);
    if (size && *size != 0) {
        if (*size < (v4 ? 20U : 116U) || *size > (v4 ? 32U : 128U)) return spec.wrong("blockSize", kBlockSize);
        pool.block_size = static_cast<std::uint8_t>(*size);
    }
    if (pool.cidr.length > pool.block_size && !pool.disabled) {
        spec.wrong("blockSize",
                   "IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the block "
                   "size.");
    }
}

/// The rules across a pool's fields, in the words of Calico's CRD.
void pool_rules(const Fields& spec, const IpPool& made) {
    const Pool& pool = made.pool;
    const bool encapsulated = pool.ipip != Encapsulate::never || pool.vxlan != Encapsulate::never;
    if (pool.ipip != Encapsulate::never && pool.vxlan != Encapsulate::never) {
        spec.wrong("ipipMode", "ipipMode and vxlanMode cannot both be enabled");
    }
    if (pool.ipip != Encapsulate::never && pool.cidr.family() == Family::v6) {
        spec.wrong("ipipMode", "IPIP is not supported on IPv6 pools");
    }
    if (!made.load_balancers) return;
    if (made.workloads || made.tunnels) {
        spec.wrong("allowedUses", "LoadBalancer cannot be combined with Workload or Tunnel allowed uses");
    } else if (encapsulated) {
        spec.wrong("allowedUses", "LoadBalancer IP pool cannot have IPIP or VXLAN enabled");
    } else if (!pool.exported) {
        spec.wrong("disableBGPExport", "LoadBalancer IP pools cannot disable BGP export");
    } else if (!made.nodes.is_all()) {
        spec.wrong("nodeSelector", "IP Pool with AllowedUse LoadBalancer must have nodeSelector set to all()");
    }
}

/// What IPPool and the operator's pools have in common. False: without a prefix there is no pool to look at.
bool pool_base(const Fields& spec, IpPool& made) {
    const auto cidr = pool_cidr(spec);
    if (!cidr) return false;
    made.pool.cidr = *cidr;
    made.pool.exported = !spec.boolean("disableBGPExport").value_or(false);
    made.nodes = selector(spec, "nodeSelector");
    made.automatic = spec.one_of("assignmentMode", {"Automatic", "Manual"}).value_or("Automatic") == "Automatic";
    allowed_uses(spec, made);
    return true;
}

std::string when(const Fields& metadata, const char* name) {
    const json* const value = metadata.find(name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

void labels_of(const Fields& metadata, Labels& labels) {
    const json* const all = metadata.find("labels");
    if (all == nullptr || !all->is_object()) return;
    for (const auto& [key, value] : all->items()) {  // nlohmann's objects are sorted by key
        if (value.is_string()) labels.emplace_back(key, value.get<std::string>());
    }
}

/// A VTEP's MAC is hashed once here, not at every plan.
void derive_macs(Node& node) {
    if (node.vxlan4 && !node.mac4) node.mac4 = vtep_mac(node.name, Family::v4);
    if (node.vxlan6 && !node.mac6) node.mac6 = vtep_mac(node.name, Family::v6);
}

/// The fields of a Calico Node's spec.
void node_spec(const Fields& spec, Node& node) {
    const Fields bgp = spec.object("bgp");
    node.address4 = interface_address(bgp, "ipv4Address", Family::v4);
    node.address6 = interface_address(bgp, "ipv6Address", Family::v6);
    node.ipip4 = address(bgp, "ipv4IPIPTunnelAddr", Family::v4);
    node.as = as_number(bgp, "asNumber");
    if (const auto id = bgp.text("routeReflectorClusterID"); id && !id->empty()) {
        node.cluster_id = parse_address(*id);
        if (!node.cluster_id || node.cluster_id->family != Family::v4) {
            bgp.wrong("routeReflectorClusterID", "must be an IPv4 address");
        }
    }
    node.vxlan4 = address(spec, "ipv4VXLANTunnelAddr", Family::v4);
    node.vxlan6 = address(spec, "ipv6VXLANTunnelAddr", Family::v6);
    node.mac4 = mac(spec, "vxlanTunnelMACAddr");
    node.mac6 = mac(spec, "vxlanTunnelMACAddrV6");
}

/// Where Kubernetes is the datastore, Calico keeps a node's fields in annotations.
json spec_of_annotations(const Fields& metadata) {
    static const std::vector<std::pair<const char*, json::json_pointer>> kFields{
        {"IPv4Address", json::json_pointer("/bgp/ipv4Address")},
        {"IPv6Address", json::json_pointer("/bgp/ipv6Address")},
        {"IPv4IPIPTunnelAddr", json::json_pointer("/bgp/ipv4IPIPTunnelAddr")},
        {"ASNumber", json::json_pointer("/bgp/asNumber")},
        {"RouteReflectorClusterID", json::json_pointer("/bgp/routeReflectorClusterID")},
        {"IPv4VXLANTunnelAddr", json::json_pointer("/ipv4VXLANTunnelAddr")},
        {"IPv6VXLANTunnelAddr", json::json_pointer("/ipv6VXLANTunnelAddr")},
        {"VXLANTunnelMACAddr", json::json_pointer("/vxlanTunnelMACAddr")},
        {"VXLANTunnelMACAddrV6", json::json_pointer("/vxlanTunnelMACAddrV6")}};
    const Fields annotations = metadata.object("annotations");
    json spec = json::object();
    for (const auto& [name, pointer] : kFields) {
        const json* const value = annotations.find((std::string("projectcalico.org/") + name).c_str());
        if (value != nullptr) spec[pointer] = *value;
    }
    return spec;
}

/// "host:NAME"; a block of load balancers' addresses is "virtual:load-balancer". Before affinities had types, the
/// name stood in hostAffinity.
std::string affine_node(const Fields& block, bool& of_host) {
    std::string name;
    if (const auto affinity = block.text("affinity"); affinity && !affinity->empty()) {
        of_host = affinity->starts_with("host:");
        if (!of_host && !affinity->starts_with("virtual:")) {
            block.wrong("affinity", fmt::format("'{}' is neither host:NAME nor virtual:NAME", shown(*affinity)));
        }
        if (of_host) name = affinity->substr(5);
    } else if (const auto host = block.text("hostAffinity")) {
        name = *host;
    }
    if (name.empty()) return name;
    if (auto trouble = check_node_name(name); !trouble.empty()) block.wrong("affinity", std::move(trouble));
    return name;
}

Address address_at(const Prefix& block, std::size_t ordinal) {
    Address address = block.address;
    for (std::size_t i = address.size(); i-- > 0 && ordinal > 0; ordinal >>= 8U) {
        address.bytes.at(i) = static_cast<std::uint8_t>(address.bytes.at(i) | (ordinal & 0xFFU));
    }
    return address;
}

/// The node that an allocation's attributes name; empty: none, or an address that was released and only cools down.
std::string user_of(const json& attribute) {
    if (!attribute.is_object()) return {};
    const auto released = attribute.find("releasedAt");
    if (released != attribute.end() && !released->is_null()) return {};
    const auto secondary = attribute.find("secondary");
    if (secondary == attribute.end() || !secondary->is_object()) return {};
    const auto node = secondary->find("node");
    return node != secondary->end() && node->is_string() ? node->get<std::string>() : std::string();
}

void allocations(const Fields& fields, IpamBlock& block) {
    const json& attributes = fields.list("attributes");
    const json& allocated = fields.list("allocations");
    const std::size_t size = std::size_t{1} << static_cast<unsigned>(bits(block.cidr.family()) - block.cidr.length);
    if (allocated.size() > size) {
        return fields.wrong("allocations", fmt::format("{} entries, but a /{} has {} addresses", allocated.size(),
                                                       block.cidr.length, size));
    }
    // Few sets of attributes stand for many addresses: look at each once.
    std::vector<std::string> users;
    for (const json& attribute : attributes) {
        users.push_back(user_of(attribute));
        if (!check_node_name(users.back()).empty()) users.back().clear();
        if (users.back() == block.node) users.back().clear();
    }
    for (std::size_t ordinal = 0; ordinal < allocated.size(); ++ordinal) {
        const json& index = allocated[ordinal];
        if (index.is_null()) continue;
        if (!index.is_number_unsigned() || index.get<std::uint64_t>() >= users.size()) {
            return fields.wrong(
                fmt::format("allocations[{}]", ordinal),
                fmt::format("{} is no index into the {} attributes", shown(index.dump()), attributes.size()));
        }
        const std::string& user = users[index.get<std::size_t>()];
        if (!user.empty()) block.borrowed.push_back({.address = address_at(block.cidr, ordinal), .node = user});
    }
}

BlockAffinity::State affinity_state(const Fields& fields) {
    const auto word = fields.one_of("state", {"confirmed", "pending", "pendingDeletion"});
    if (!word || *word == "confirmed") return BlockAffinity::State::confirmed;
    return *word == "pending" ? BlockAffinity::State::pending : BlockAffinity::State::pending_deletion;
}

IpPool operator_pool(const Fields& spec) {
    IpPool made;
    if (!pool_base(spec, made)) return made;
    const auto word =
        spec.one_of("encapsulation", {"IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None"}).value_or("IPIP");
    if (word == "IPIP") made.pool.ipip = Encapsulate::always;
    if (word == "IPIPCrossSubnet") made.pool.ipip = Encapsulate::cross_subnet;
    if (word == "VXLAN") made.pool.vxlan = Encapsulate::always;
    if (word == "VXLANCrossSubnet") made.pool.vxlan = Encapsulate::cross_subnet;
    made.pool.nat_outgoing = spec.one_of("natOutgoing", {"Enabled", "Disabled"}).value_or("Enabled") == "Enabled";
    made.pool.disabled = spec.boolean("disableNewAllocations").value_or(false);
    block_size(spec, made.pool);
    pool_rules(spec, made);
    return made;
}

}  // namespace

Decoded<IpPool> decode_ip_pool(const json& object) {
    Decoded<IpPool> decoded;
    IpPool& made = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields metadata = top.object("metadata");
    const Fields spec = top.object("spec");
    made.created = when(metadata, "creationTimestamp");
    made.deleting = !when(metadata, "deletionTimestamp").empty();
    if (!pool_base(spec, made)) return decoded;
    made.pool.ipip = mode(spec, "ipipMode");
    made.pool.vxlan = mode(spec, "vxlanMode");
    made.pool.nat_outgoing = spec.boolean("natOutgoing").value_or(false);
    made.pool.disabled = spec.boolean("disabled").value_or(false);
    if (made.tunnels && !spec.list("allowedUses").empty() && !spec.text("namespaceSelector").value_or("").empty()) {
        spec.wrong("namespaceSelector", "IP Pool with AllowedUse Tunnel cannot have namespaceSelector");
    }
    block_size(spec, made.pool);
    pool_rules(spec, made);
    return decoded;
}

Decoded<NodeResource> decode_node(const std::string& name, const json& object) {
    Decoded<NodeResource> decoded;
    Node& node = decoded.value.node;
    node.name = name;
    const Fields top(object, "", decoded.errors);
    const Fields metadata = top.object("metadata");
    if (auto trouble = check_node_name(name); !trouble.empty()) metadata.wrong("name", std::move(trouble));
    labels_of(metadata, decoded.value.labels);
    if (top.text("apiVersion") == "v1") {
        const json spec = spec_of_annotations(metadata);
        node_spec(Fields(spec, "metadata.annotations", decoded.errors), node);
    } else {
        node_spec(top.object("spec"), node);
    }
    derive_macs(node);
    return decoded;
}

Decoded<IpamBlock> decode_block(const json& block, const std::string& path) {
    Decoded<IpamBlock> decoded;
    IpamBlock& made = decoded.value;
    const Fields fields(block, path, decoded.errors);
    const std::string text = fields.text("cidr").value_or("");
    const auto cidr = parse_prefix(text);
    if (!cidr || cidr->length < (cidr->family() == Family::v4 ? 20 : 116)) {
        fields.wrong("cidr", fmt::format("'{}' is no block: {}", shown(text),
                                         cidr ? "at most 4096 addresses are" : "a prefix without host bits is"));
        return decoded;
    }
    made.cidr = *cidr;
    made.deleted = fields.boolean("deleted").value_or(false);
    bool of_host = true;
    made.node = affine_node(fields, of_host);
    if (of_host) allocations(fields, made);
    return decoded;
}

Decoded<BlockAffinity> decode_affinity(const std::string& node, const Prefix& cidr, const json& value) {
    Decoded<BlockAffinity> decoded;
    BlockAffinity& made = decoded.value;
    const Fields fields(value, "", decoded.errors);
    made.cidr = cidr;
    made.node = node;
    if (auto trouble = check_node_name(node); !trouble.empty()) fields.wrong("", std::move(trouble));
    made.state = affinity_state(fields);
    made.deleted = fields.boolean("deleted").value_or(false);
    return decoded;
}

Decoded<BlockAffinity> decode_block_affinity(const json& object) {
    Decoded<BlockAffinity> decoded;
    BlockAffinity& made = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields spec = top.object("spec");
    const std::string text = spec.text("cidr").value_or("");
    if (const auto cidr = parse_prefix(text)) {
        made.cidr = *cidr;
    } else {
        spec.wrong("cidr", fmt::format("'{}' is no prefix without host bits", shown(text)));
    }
    made.node = node_name(spec, "node");
    if (made.node.empty()) spec.wrong("node", "an affinity needs its node");
    made.of_host = spec.one_of("type", {"host", "virtual"}).value_or("host") == "host";
    made.state = affinity_state(spec);
    made.deleted = spec.boolean("deleted").value_or(false);
    return decoded;
}

Decoded<Installation> decode_installation(const json& object) {
    Decoded<Installation> decoded;
    Installation& made = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields network = top.object("spec").object("calicoNetwork");
    if (const auto bgp = network.one_of("bgp", {"Enabled", "Disabled"})) {
        made.backend = *bgp == "Enabled" ? Backend::bird : Backend::vxlan;
    }
    if (const auto size = mtu(network, "mtu"); size && *size != 0) made.mtu = size;
    const json& pools = network.list("ipPools");
    for (std::size_t i = 0; i < pools.size(); ++i) {
        const std::string path = fmt::format("spec.calicoNetwork.ipPools[{}]", i);
        made.pools.push_back(operator_pool(Fields(pools[i], path, decoded.errors)));
        if (made.backend == Backend::vxlan && made.pools.back().pool.ipip != Encapsulate::never) {
            decoded.unsupported.push_back(
                {.field = path + ".encapsulation", .message = "IPIP encapsulation requires BGP, which is Disabled"});
        }
    }
    return decoded;
}

}  // namespace weft
