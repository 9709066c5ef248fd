// BIRD's configuration as a pure function of the cluster.
//
// Deterministic and sorted: the same cluster gives the same bytes, so a reload touches only what changed, and the
// generation mark (a hash of the text) tells whether a running BIRD has this very configuration.
//
// How a route gets into a tunnel with stock BIRD >= 2.0.12: the kernel protocol's export filter says
// `ifname = "tunl0"; onlink = true; gw = bgp_next_hop; onlink = true;`, in this order. Assigning ifname clears the
// gateway, and in BIRD 3 assigning the gateway clears onlink, so it is set on both sides.
//
// Metrics: the kernel protocol has `metric 0`, or krt_metric would be ignored; the filter sets 1024 (IPv6: 2048), so
// that BIRD's routes lose to weftd's own (0, IPv6: 1024) and a pool can pass from one to the other without a gap.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "conf/cluster.hpp"
#include "conf/config.hpp"

namespace weft {

struct RenderInput {
    const Cluster& cluster;
    std::string_view node;  ///< this node's name; one that the cluster does not hold has no sessions
    RouterId router_id;
    std::vector<std::string> workload_interfaces;
};

struct BirdConfig {
    std::string text;
    std::string generation;                           ///< what `eval WEFT_GEN` answers while this is live
    std::map<std::string, std::string> node_of_peer;  ///< address of a session's peer -> node name
    bool operator==(const BirdConfig&) const = default;
};

/// A BGP session that this node should have.
struct Peer {
    std::string protocol;  ///< Mesh_192_0_2_12: from the address, because a rename is a session flap
    Address address;
    std::uint32_t as = 0;
    std::uint16_t port = 179;
    std::string node;  ///< the node it leads to; empty: a neighbour
    std::string password;
    bool passive = false;
    bool reflection = false;  ///< one of both is a reflector
    bool reflect = false;     ///< the peer is this reflector's client
    bool bfd = false, next_hop_self = false, next_hop_keep = false;
    bool mesh = true;                      ///< imports are limited to the pools
    std::optional<std::uint8_t> multihop;  ///< of a neighbour; between nodes any distance will do
};

/// All of a node's sessions, sorted by address. Route reflectors stay out of the mesh: every node peers with each of
/// them, and they with each other. A stated neighbour with a node's address takes that node's place.
std::vector<Peer> peers_of(const Cluster& cluster, const Node& self);

/// Milliseconds for 1,000 nodes.
BirdConfig render(const RenderInput& input);

}  // namespace weft
