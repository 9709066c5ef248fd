#include <fmt/format.h>

#include <algorithm>

#include "bgp/render.hpp"

namespace weft {
namespace {

std::string protocol_name(std::string_view kind, const Address& address) {
    std::string name = fmt::format("{}_{}", kind, to_string(address));
    for (char& c : name) {
        if (c == '.' || c == ':') c = '_';
    }
    return name;
}

bool concerns(const BgpNeighbor& neighbor, const Node& self) {
    return neighbor.nodes.empty() ||
           std::find(neighbor.nodes.begin(), neighbor.nodes.end(), self.name) != neighbor.nodes.end();
}

Peer from_neighbor(const BgpNeighbor& neighbor) {
    Peer peer;
    peer.protocol = protocol_name(neighbor.nodes.empty() ? "Global" : "Node", neighbor.address);
    peer.address = neighbor.address;
    peer.as = neighbor.as;
    peer.port = neighbor.port;
    peer.password = neighbor.password;
    peer.passive = neighbor.passive;
    peer.bfd = neighbor.bfd;
    peer.next_hop_self = neighbor.next_hop_self;
    peer.next_hop_keep = neighbor.next_hop_keep;
    peer.mesh = false;
    peer.multihop = neighbor.multihop;
    return peer;
}

}  // namespace

std::vector<Peer> peers_of(const Cluster& cluster, const Node& self) {
    std::vector<Peer> peers;
    for (const BgpNeighbor& neighbor : cluster.bgp.neighbors) {
        if (concerns(neighbor, self) && self.address(neighbor.address.family)) peers.push_back(from_neighbor(neighbor));
    }
    const auto stated = [&, count = peers.size()](const Address& address) {
        return std::any_of(peers.begin(), peers.begin() + static_cast<std::ptrdiff_t>(count),
                           [&](const Peer& peer) { return peer.address == address; });
    };
    for (const Node& node : cluster.nodes) {
        if (&node == &self) continue;
        const bool reflected = self.cluster_id || node.cluster_id;
        if (!reflected && !cluster.bgp.mesh) continue;
        for (const Family family : kFamilies) {
            const auto& own = self.address(family);
            const auto& address = node.address(family);
            if (!own || !address || address->address == own->address || stated(address->address)) continue;
            Peer peer;
            peer.protocol = protocol_name(reflected ? "Node" : "Mesh", address->address);
            peer.address = address->address;
            peer.as = node.as.value_or(cluster.bgp.local_as);
            peer.port = cluster.bgp.port;
            peer.node = node.name;
            peer.password = cluster.bgp.password;
            // Calico compares the addresses as text ("10.0.0.9" > "10.0.0.10"); with numbers both ends could be
            // passive.
            peer.passive = !reflected && to_string(address->address) > to_string(own->address);
            peer.reflect = self.cluster_id && node.cluster_id != self.cluster_id &&
                           peer.as == self.as.value_or(cluster.bgp.local_as);
            peers.push_back(std::move(peer));
        }
    }
    std::sort(peers.begin(), peers.end(), [](const Peer& a, const Peer& b) { return a.address < b.address; });
    return peers;
}

}  // namespace weft
