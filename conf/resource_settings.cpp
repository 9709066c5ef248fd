// The resources that say how the cluster is run: BGP's, Felix's, and whether the store is ready.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/checks.hpp"
#include "conf/resource.hpp"
#include "conf/resource_fields.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

/// "192.0.2.1", "192.0.2.1:1179", "2001:db8::1", "[2001:db8::1]:1179"
bool peer_address(std::string_view text, BgpPeer& peer) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || (end + 1 < text.size() && text[end + 1] != ':')) return false;
        if (end + 1 < text.size()) port = text.substr(end + 2);
        text = text.substr(1, end - 1);
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        port = text.substr(text.find(':') + 1);
        text = text.substr(0, text.find(':'));
    }
    peer.peer = parse_address(text);
    if (!peer.peer) return false;
    if (port.empty()) return true;
    const auto number = parse_number(port);
    if (!number || *number == 0 || *number > 65535) return false;
    peer.port = static_cast<std::uint16_t>(*number);
    return true;
}

/// Reports fields that are stated and that weft does not do.
void unsupported(const Fields& spec, const std::vector<std::pair<const char*, const char*>>& fields,
                 std::vector<FieldTrouble>& found) {
    for (const auto& [name, message] : fields) {
        const json* const value = spec.find(name);
        if (value == nullptr || is_empty_text(*value) || *value == 0 || *value == false) continue;  // Go's zero values
        if (value->is_structured() && value->empty()) continue;
        found.push_back({.field = spec.path(name), .message = message, .only_weft = true});
    }
}

void peer_sides(const Fields& spec, BgpPeer& peer) {
    peer.node = node_name(spec, "node");
    const bool nodes = !spec.text("nodeSelector").value_or("").empty();
    const bool peers = !spec.text("peerSelector").value_or("").empty();
    const std::string remote = spec.text("peerIP").value_or("");
    if (!peer.node.empty() && nodes) spec.wrong("node", "Node field must be empty when NodeSelector is specified");
    if (!remote.empty() && peers) spec.wrong("peerIP", "PeerIP field must be empty when PeerSelector is specified");
    const bool workloads = spec.find("localWorkloadSelector") != nullptr;
    if (remote.empty() && !peers && !workloads) {
        spec.wrong("peerIP", "either peerIP or peerSelector has to say who the peer is");
    }
    peer.nodes = selector(spec, "nodeSelector");
    if (peers) peer.peers = selector(spec, "peerSelector");
    if (!remote.empty() && !peer_address(remote, peer)) {
        spec.wrong("peerIP", fmt::format("'{}' is no address, or address and port", shown(remote)));
    }
    if (peer.peer) {
        if (auto trouble = check_unicast(*peer.peer); !trouble.empty()) spec.wrong("peerIP", std::move(trouble));
    }
    peer.as = as_number(spec, "asNumber");
    if (peer.as && peers) spec.wrong("asNumber", "ASNumber field must be empty when PeerSelector is specified");
}

std::optional<std::uint16_t> restart_seconds(const Fields& spec, const char* name) {
    const auto text = spec.text(name);
    if (!text || text->empty()) return std::nullopt;
    const auto seconds = parse_go_seconds(*text);
    if (seconds && *seconds <= 4095) return static_cast<std::uint16_t>(*seconds);
    spec.wrong(name, fmt::format("'{}' is no time such as 2m30s of at most 4095 s", shown(*text)));
    return std::nullopt;
}

std::optional<std::uint16_t> port(const Fields& spec, const char* name) {
    const auto number = spec.number(name, 0, 65535);
    if (!number || *number == 0) return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

}  // namespace

Decoded<BgpPeer> decode_bgp_peer(const json& object) {
    Decoded<BgpPeer> decoded;
    BgpPeer& peer = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields spec = top.object("spec");
    peer_sides(spec, peer);
    const std::string next_hop = spec.one_of("nextHopMode", {"Auto", "Self", "Keep"}).value_or("");
    peer.next_hop_self = next_hop == "Self";
    peer.next_hop_keep =
        next_hop == "Keep" || (next_hop.empty() && spec.boolean("keepOriginalNextHop").value_or(false));
    peer.reverse = spec.one_of("reversePeering", {"Auto", "Manual"}).value_or("Auto") == "Auto";
    // A session without these would be another than the one asked for: it would fail, or let routes through.
    static constexpr const char* kElsewise =
        "not supported: the peer is left out, because without it the session would be another than was asked for";
    unsupported(spec,
                {{"filters", kElsewise},
                 {"localASNumber", kElsewise},
                 {"password", kElsewise},
                 {"ttlSecurity", kElsewise},
                 {"reachableBy", kElsewise},
                 {"numAllowedLocalASNumbers", kElsewise},
                 {"localWorkloadSelector", kElsewise}},
                decoded.errors);
    unsupported(spec,
                {{"maxRestartTime", "not supported: protocol bgp's 'graceful restart time' is used"},
                 {"keepaliveTime", "not supported: BIRD's default is used"}},
                decoded.unsupported);
    if (spec.one_of("sourceAddress", {"UseNodeIP", "None"}).value_or("") == "None") {
        decoded.unsupported.push_back(
            {.field = "spec.sourceAddress", .message = "None is not supported: the node's address is used"});
    }
    return decoded;
}

Decoded<BgpConfiguration> decode_bgp_configuration(const std::string& name, const json& object) {
    Decoded<BgpConfiguration> decoded;
    BgpConfiguration& made = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields spec = top.object("spec");
    const bool global = name == "default";
    static constexpr const char* kServices = "not supported: weft announces no services";
    static constexpr const char* kIgnored = "not supported, and left out";
    if (global) {
        made.as = as_number(spec, "asNumber");
        made.mesh = spec.boolean("nodeToNodeMeshEnabled");
        made.graceful_restart_seconds = restart_seconds(spec, "nodeMeshMaxRestartTime");
        if (made.mesh == false && spec.find("nodeMeshPassword") != nullptr) {
            spec.wrong("nodeMeshPassword", "nodeMeshPassword cannot be set when nodeToNodeMeshEnabled is false");
        }
        if (made.mesh == false && made.graceful_restart_seconds) {
            spec.wrong("nodeMeshMaxRestartTime",
                       "nodeMeshMaxRestartTime cannot be set when nodeToNodeMeshEnabled is false");
        }
        unsupported(spec,
                    {{"nodeMeshPassword",
                      "not supported, because it lies in a Kubernetes Secret: state 'password' in "
                      "weft.conf's protocol bgp"},
                     {"serviceClusterIPs", kServices},
                     {"serviceExternalIPs", kServices},
                     {"serviceLoadBalancerIPs", kServices},
                     {"ignoredInterfaces", kIgnored},
                     {"localWorkloadPeeringIPV4", kIgnored},
                     {"localWorkloadPeeringIPV6", kIgnored}},
                    decoded.unsupported);
    }
    made.port = port(spec, "listenPort");
    if (spec.one_of("bindMode", {"None", "NodeIP"}).value_or("") == "NodeIP") {
        decoded.unsupported.push_back({.field = "spec.bindMode", .message = kIgnored});
    }
    unsupported(spec, {{"communities", kIgnored}, {"prefixAdvertisements", kIgnored}}, decoded.unsupported);
    return decoded;
}

Decoded<FelixConfiguration> decode_felix_configuration(const json& object) {
    Decoded<FelixConfiguration> decoded;
    FelixConfiguration& made = decoded.value;
    const Fields top(object, "", decoded.errors);
    const Fields spec = top.object("spec");
    if (const auto vni = spec.number("vxlanVNI", 0, 0xFFFFFF); vni && *vni != 0) made.vni = vni;
    made.vxlan_port = port(spec, "vxlanPort");
    made.vxlan_mtu = mtu(spec, "vxlanMTU");
    made.vxlan_mtu6 = mtu(spec, "vxlanMTUV6");
    made.ipip_mtu = mtu(spec, "ipipMTU");
    made.vxlan_enabled = spec.boolean("vxlanEnabled");
    made.ipip_enabled = spec.boolean("ipipEnabled");
    return decoded;
}

Decoded<ClusterInformation> decode_cluster_information(const json& object) {
    Decoded<ClusterInformation> decoded;
    const Fields top(object, "", decoded.errors);
    const Fields spec = top.object("spec");
    decoded.value.datastore_ready = spec.boolean("datastoreReady").value_or(true);
    decoded.value.guid = spec.text("clusterGUID").value_or("");
    return decoded;
}

Decoded<std::optional<Backend>> decode_calico_config(const json& object) {
    Decoded<std::optional<Backend>> decoded;
    const Fields top(object, "", decoded.errors);
    const auto word = top.object("data").text("calico_backend");
    if (!word || word->empty()) return decoded;
    decoded.value = Backend::bird;
    if (*word == "vxlan") decoded.value = Backend::vxlan;
    if (*word == "none") decoded.value = Backend::none;
    if (*word != to_string(*decoded.value)) {
        decoded.unsupported.push_back(
            {.field = "data.calico_backend",
             .message =
                 fmt::format("'{}' is none of bird, vxlan and none; bird is used, as Calico does", shown(*word))});
    }
    return decoded;
}

std::optional<std::uint32_t> parse_go_seconds(std::string_view text) {
    std::uint64_t milliseconds = 0;
    while (!text.empty()) {
        const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
        const auto number = parse_number(text.substr(0, digits));
        if (!number) return std::nullopt;
        text.remove_prefix(digits);
        const std::uint64_t unit = text.starts_with("ms")  ? 1
                                   : text.starts_with("s") ? 1'000
                                   : text.starts_with("m") ? 60'000
                                   : text.starts_with("h") ? 3'600'000
                                                           : 0;
        if (unit == 0) return std::nullopt;
        text.remove_prefix(unit == 1 ? 2 : 1);
        milliseconds += *number * unit;
        if (milliseconds > 0xFFFFFFFFU) return std::nullopt;
    }
    return static_cast<std::uint32_t>((milliseconds + 500) / 1000);
}

}  // namespace weft
