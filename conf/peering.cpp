#include "conf/peering.hpp"

#include <algorithm>
#include <set>

namespace weft {
namespace {

/// A neighbour while the peers are gathered: for which nodes it is.
struct Gathered {
    BgpNeighbor neighbor;
    std::set<std::string> nodes;
    bool everywhere = false;
};

using Nodes = std::vector<const NodeResource*>;

/// The nodes that have a peer's session.
struct LocalSide {
    Nodes nodes;
    std::set<std::string> names;  ///< empty where `everywhere`
    bool everywhere = false;
};

template <class Call>
void each_address(const NodeResource& node, Call call) {
    for (const Family family : kFamilies) {
        if (const auto& address = node.node.address(family)) call(address->address);
    }
}

class Gatherer {
  public:
    Gatherer(const std::map<std::string, NodeResource>& nodes,
             const std::map<std::string, BgpConfiguration>& configurations)
        : nodes_(nodes), configurations_(configurations) {
        for (const auto& entry : nodes_) {
            const NodeResource& node = entry.second;
            each_address(node, [&](const Address& address) { at_.emplace(address, &node); });
        }
    }

    /// False: nobody knows the peer's AS.
    bool add(const BgpPeer& peer) {
        const LocalSide local = local_side(peer);
        if (local.names.empty() && !local.everywhere) return true;
        Nodes remotes;
        if (peer.peers) {
            for (const auto& entry : nodes_) {
                const NodeResource& node = entry.second;
                if (!peer.peers->matches(node.labels)) continue;
                remotes.push_back(&node);
                each_address(node, [&](const Address& address) { gather(of_node(node, address, peer), local); });
            }
        } else {
            const auto node = at_.find(*peer.peer);
            if (node == at_.end() && !peer.as) return false;
            BgpNeighbor neighbor = node == at_.end() ? stranger(peer) : of_node(*node->second, *peer.peer, peer);
            if (node != at_.end()) remotes.push_back(node->second);
            if (peer.as) neighbor.as = *peer.as;
            gather(std::move(neighbor), local);
        }
        if (peer.reverse && !remotes.empty()) add_reverse(peer, local.nodes, remotes);
        return true;
    }

    std::vector<BgpNeighbor> take() {
        std::vector<BgpNeighbor> neighbors;
        for (auto& [address, same] : found_) {
            for (Gathered& entry : same) {
                if (!entry.everywhere) entry.neighbor.nodes.assign(entry.nodes.begin(), entry.nodes.end());
                neighbors.push_back(std::move(entry.neighbor));
            }
        }
        return neighbors;
    }

  private:
    LocalSide local_side(const BgpPeer& peer) const {
        LocalSide side;
        side.everywhere = peer.node.empty() && peer.nodes.is_all();
        if (!peer.node.empty()) side.names.insert(peer.node);
        for (const auto& [name, node] : nodes_) {
            const bool chosen = peer.node.empty() ? peer.nodes.matches(node.labels) : name == peer.node;
            if (!chosen) continue;
            side.nodes.push_back(&node);
            if (!side.everywhere) side.names.insert(name);
        }
        return side;
    }

    /// The nodes on the remote side peer back with those on the local side.
    void add_reverse(const BgpPeer& peer, const Nodes& locals, const Nodes& remotes) {
        LocalSide back;
        for (const NodeResource* remote : remotes) back.names.insert(remote->node.name);
        BgpPeer plain = peer;
        plain.port.reset();
        for (const NodeResource* node : locals) {
            each_address(*node, [&](const Address& address) { gather(of_node(*node, address, plain), back); });
        }
    }

    static BgpNeighbor stranger(const BgpPeer& peer) {
        BgpNeighbor neighbor;
        neighbor.address = *peer.peer;
        neighbor.port = peer.port.value_or(179);
        neighbor.next_hop_self = peer.next_hop_self;
        neighbor.next_hop_keep = peer.next_hop_keep;
        return neighbor;
    }

    BgpNeighbor of_node(const NodeResource& node, const Address& address, const BgpPeer& peer) const {
        BgpNeighbor neighbor;
        neighbor.address = address;
        neighbor.as = node.node.as.value_or(0);
        const auto own = configurations_.find("node." + node.node.name);
        const auto own_port = own == configurations_.end() ? std::nullopt : own->second.port;
        neighbor.port = peer.port.value_or(own_port.value_or(0));
        neighbor.next_hop_self = peer.next_hop_self;
        neighbor.next_hop_keep = peer.next_hop_keep;
        return neighbor;
    }

    void gather(BgpNeighbor neighbor, const LocalSide& local) {
        auto& same = found_[neighbor.address];
        const auto known =
            std::find_if(same.begin(), same.end(), [&](const Gathered& other) { return other.neighbor == neighbor; });
        Gathered& entry = known != same.end() ? *known : same.emplace_back(Gathered{std::move(neighbor), {}, false});
        entry.everywhere = entry.everywhere || local.everywhere;
        entry.nodes.insert(local.names.begin(), local.names.end());
    }

    const std::map<std::string, NodeResource>& nodes_;
    const std::map<std::string, BgpConfiguration>& configurations_;
    std::map<Address, const NodeResource*> at_;
    std::map<Address, std::vector<Gathered>> found_;
};

}  // namespace

Peering neighbors_of(const std::map<std::string, BgpPeer>& peers, const std::map<std::string, NodeResource>& nodes,
                     const std::map<std::string, BgpConfiguration>& configurations) {
    Peering peering;
    if (peers.empty()) return peering;
    Gatherer gatherer(nodes, configurations);
    for (const auto& [name, peer] : peers) {
        if (!gatherer.add(peer)) peering.without_as.push_back(name);
    }
    peering.neighbors = gatherer.take();
    return peering;
}

}  // namespace weft
