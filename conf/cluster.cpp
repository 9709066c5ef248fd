#include "conf/cluster.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace weft {
namespace {

std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest(const EVP_MD* algorithm, std::string_view text) {
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> bytes{};
    unsigned length = 0;
    if (EVP_Digest(text.data(), text.size(), bytes.data(), &length, algorithm, nullptr) != 1) {
        throw std::runtime_error("OpenSSL cannot compute a digest");
    }
    return bytes;
}

}  // namespace

std::string_view to_string(Backend backend) {
    switch (backend) {
        case Backend::bird:
            return "bird";
        case Backend::vxlan:
            return "vxlan";
        case Backend::none:
            break;
    }
    return "none";
}

std::string_view to_string(Encapsulate encapsulate) {
    switch (encapsulate) {
        case Encapsulate::always:
            return "always";
        case Encapsulate::cross_subnet:
            return "cross subnet";
        case Encapsulate::never:
            break;
    }
    return "never";
}

const std::optional<InterfaceAddress>& Node::address(Family family) const {
    return family == Family::v4 ? address4 : address6;
}

const std::optional<Address>& Node::vxlan(Family family) const {
    return family == Family::v4 ? vxlan4 : vxlan6;
}

Mac Node::mac(Family family) const {
    const auto& set = family == Family::v4 ? mac4 : mac6;
    return set ? *set : vtep_mac(name, family);
}

const Pool* Cluster::pool_of(const Prefix& cidr) const {
    // Pools are disjoint: only the last one that starts at or before `cidr` can hold it.
    auto after = std::upper_bound(pools.begin(), pools.end(), cidr.address,
                                  [](const Address& address, const Pool& pool) { return address < pool.cidr.address; });
    if (after == pools.begin()) return nullptr;
    const Pool& pool = *std::prev(after);
    return pool.cidr.contains(cidr) ? &pool : nullptr;
}

const Node* Cluster::find_node(std::string_view name) const {
    const auto at = std::lower_bound(nodes.begin(), nodes.end(), name,
                                     [](const Node& node, std::string_view wanted) { return node.name < wanted; });
    return at != nodes.end() && at->name == name ? &*at : nullptr;
}

const Block* Cluster::block_of(const Address& address) const {
    // Blocks are sorted by address, then length: the most specific one that holds `address` is the nearest before it.
    auto at = std::upper_bound(blocks.begin(), blocks.end(), host_prefix(address),
                               [](const Prefix& wanted, const Block& block) { return wanted < block.cidr; });
    // Between it and its holder lie only host prefixes inside the holder, so this looks at few.
    const Pool* const pool = pool_of(host_prefix(address));
    while (at != blocks.begin()) {
        --at;
        if (at->cidr.contains(address)) return &*at;
        if (pool != nullptr && at->cidr.address < pool->cidr.address) break;
        if (!at->cidr.is_host()) break;
    }
    return nullptr;
}

void sort(Cluster& cluster) {
    // Blocks refer to nodes by index, so sorting the nodes means renumbering.
    std::vector<std::uint32_t> order(cluster.nodes.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return cluster.nodes[a].name < cluster.nodes[b].name; });
    std::vector<Node> nodes;
    nodes.reserve(order.size());
    std::vector<std::uint32_t> place(order.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) {
        place[order[i]] = i;
        nodes.push_back(std::move(cluster.nodes[order[i]]));
    }
    cluster.nodes = std::move(nodes);
    for (Block& block : cluster.blocks) block.node = place.at(block.node);
    std::sort(cluster.blocks.begin(), cluster.blocks.end());
    std::sort(cluster.pools.begin(), cluster.pools.end(), [](const Pool& a, const Pool& b) { return a.cidr < b.cidr; });
    std::sort(cluster.bgp.neighbors.begin(), cluster.bgp.neighbors.end(),
              [](const BgpNeighbor& a, const BgpNeighbor& b) { return a.address < b.address; });
}

void normalise(Cluster& cluster) {
    sort(cluster);
    derive_tunnel_addresses(cluster);
}

void derive_tunnel_addresses(Cluster& cluster) {
    for (const Block& block : cluster.blocks) {
        if (block.cidr.is_host()) continue;
        const Pool* const pool = cluster.pool_of(block.cidr);
        if (pool == nullptr) continue;
        Node& node = cluster.nodes[block.node];
        auto& vxlan = block.cidr.family() == Family::v4 ? node.vxlan4 : node.vxlan6;
        if (pool->vxlan != Encapsulate::never && !vxlan) vxlan = block.cidr.address;
        if (pool->ipip != Encapsulate::never && !node.ipip4) node.ipip4 = block.cidr.address;
    }
    // Derived once here, because a planner that hashed 5,000 names on every change would do little else.
    for (Node& node : cluster.nodes) {
        if (node.vxlan4 && !node.mac4) node.mac4 = vtep_mac(node.name, Family::v4);
        if (node.vxlan6 && !node.mac6) node.mac6 = vtep_mac(node.name, Family::v6);
    }
}

Mac vtep_mac(std::string_view node, Family family) {
    const auto hash = digest(EVP_sha1(), family == Family::v4 ? std::string(node) : std::string(node) + "-v6");
    Mac mac;
    mac.bytes[0] = 0x66;
    std::copy_n(hash.begin(), 5, mac.bytes.begin() + 1);
    return mac;
}

Address hashed_router_id(std::string_view node) {
    const auto hash = digest(EVP_sha256(), node);
    Address address{.family = Family::v4, .bytes = {}};
    std::copy_n(hash.begin(), 4, address.bytes.begin());
    if (address.bytes[0] > 223) address.bytes[0] = static_cast<std::uint8_t>(address.bytes[0] - 32);
    return address;
}

}  // namespace weft
