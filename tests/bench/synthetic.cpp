#include "tests/bench/synthetic.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::bench {
namespace {

/// `base` with `number` in the four bytes that end at byte `last`.
Address numbered(Address base, std::size_t last, std::uint32_t number) {
    for (std::size_t i = 0; i < 4; ++i) {
        base.bytes.at(last - i) = static_cast<std::uint8_t>(base.bytes.at(last - i) | (number >> (8 * i) & 0xFFU));
    }
    return base;
}

std::uint8_t block_length(Family family) {
    return family == Family::v4 ? 26 : 122;
}

/// Block `number` of the pool: 64 addresses each.
Prefix block(Family family, std::uint32_t number) {
    const Address base = *parse_address(family == Family::v4 ? "10.0.0.0" : "fd00:65::");
    return {.address = numbered(base, family == Family::v4 ? 3 : 15, number * 64), .length = block_length(family)};
}

InterfaceAddress node_address(Family family, std::uint32_t number) {
    if (number == 0) return own_address(family);
    const Address base = *parse_address(family == Family::v4 ? "172.16.0.0" : "2001:db8:1::");
    return {.address = numbered(base, family == Family::v4 ? 3 : 15, number),
            .length = static_cast<std::uint8_t>(family == Family::v4 ? 16 : 64)};
}

void add_node(Cluster& cluster, Family family, std::uint32_t number, std::uint32_t blocks) {
    Node node;
    node.name = fmt::format("node{:06}", number);
    (family == Family::v4 ? node.address4 : node.address6) = node_address(family, number);
    const auto index = static_cast<std::uint32_t>(cluster.nodes.size());
    cluster.nodes.push_back(std::move(node));
    for (std::uint32_t i = 0; i < blocks; ++i) {
        cluster.blocks.push_back({.cidr = block(family, number * blocks + i), .node = index});
    }
}

}  // namespace

InterfaceAddress own_address(Family family) {
    return *parse_interface_address(family == Family::v4 ? "192.0.2.1/24" : "2001:db8::1/64");
}

Cluster synthetic(Family family, std::uint32_t nodes, std::uint32_t blocks) {
    Cluster cluster;
    const bool v4 = family == Family::v4;
    cluster.pools = {{.cidr = *parse_prefix(v4 ? "10.0.0.0/8" : "fd00:65::/64"),
                      .vxlan = Encapsulate::always,
                      .block_size = block_length(family)}};
    cluster.nodes.reserve(nodes + 1);
    cluster.blocks.reserve((nodes + std::size_t{1}) * blocks);
    for (std::uint32_t number = 0; number <= nodes; ++number) add_node(cluster, family, number, blocks);
    normalise(cluster);
    return cluster;
}

Cluster with_node_added(const Cluster& cluster, Family family, std::uint32_t blocks) {
    Cluster changed = cluster;
    add_node(changed, family, static_cast<std::uint32_t>(cluster.nodes.size()), blocks);
    normalise(changed);
    return changed;
}

Cluster with_node_removed(const Cluster& cluster) {
    Cluster changed = cluster;
    const auto last = static_cast<std::uint32_t>(changed.nodes.size() - 1);
    std::erase_if(changed.blocks, [&](const Block& block) { return block.node == last; });
    changed.nodes.pop_back();
    return changed;
}

Cluster with_block_moved(const Cluster& cluster) {
    Cluster changed = cluster;
    const auto last = static_cast<std::uint32_t>(changed.nodes.size() - 1);
    const auto at = std::find_if(changed.blocks.begin(), changed.blocks.end(),
                                 [&](const Block& block) { return block.node == last; });
    // Not the node's first block: that one holds its tunnel address.
    if (at != changed.blocks.end() && std::next(at) != changed.blocks.end()) std::next(at)->node = last - 1;
    return changed;
}

}  // namespace weft::bench
