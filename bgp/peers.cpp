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

const Node* node_at(const Cluster& cluster, const Address& address) {
    for (const Node& node : cluster.nodes) {
        const auto& own = node.address(address.family);
        if (own && own->address == address) return &node;
    }
    return nullptr;
}

std::uint32_t as_of(const Cluster& cluster, const Node& node) {
    return node.as.value_or(cluster.bgp.local_as);
}

/// A reflector's clients: who is in its AS and is no reflector of the same group.
bool is_client(const Cluster& cluster, const Node& self, const Node* peer, std::uint32_t as) {
    return self.cluster_id && as == as_of(cluster, self) && !(peer && peer->cluster_id == self.cluster_id);
}

Peer from_neighbor(const Cluster& cluster, const Node& self, const BgpNeighbor& neighbor) {
    const Node* node = node_at(cluster, neighbor.address);
    Peer peer;
    peer.reflect = is_client(cluster, self, node, neighbor.as);
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
        const auto& own = self.address(neighbor.address.family);
        if (!concerns(neighbor, self) || !own || own->address == neighbor.address) continue;
        Peer peer = from_neighbor(cluster, self, neighbor);
        const auto same =
            std::find_if(peers.begin(), peers.end(), [&](const Peer& other) { return other.address == peer.address; });
        // Two protocols of one address would wait for each other; of two statements the one for every node wins,
        // as it does with Calico.
        if (same == peers.end()) {
            peers.push_back(std::move(peer));
        } else if (neighbor.nodes.empty()) {
            *same = std::move(peer);
        }
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
            // The same session whether they meet in the mesh or as reflector and client: a node that becomes a
            // reflector changes nothing for its clients' BIRDs.
            peer.protocol = protocol_name("Mesh", address->address);
            peer.address = address->address;
            peer.as = as_of(cluster, node);
            peer.port = node.bgp_port.value_or(cluster.bgp.port);
            peer.node = node.name;
            peer.password = cluster.bgp.password;
            // Calico compares the addresses as text ("10.0.0.9" > "10.0.0.10"); with numbers both ends could be
            // passive.
            peer.passive = to_string(address->address) > to_string(own->address);
            peer.reflection = reflected;
            peer.reflect = is_client(cluster, self, &node, peer.as);
            peers.push_back(std::move(peer));
        }
    }
    std::sort(peers.begin(), peers.end(), [](const Peer& a, const Peer& b) { return a.address < b.address; });
    return peers;
}

}  // namespace weft
