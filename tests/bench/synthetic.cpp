#include "tests/bench/synthetic.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tests/bench/measure.hpp"

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

/// More nodes than any case has.
constexpr std::uint32_t kMostNodes = 1U << 14U;

/// A node's block: 64 addresses. As in a cluster that has grown, one node's blocks lie far apart.
Prefix block(Family family, std::uint32_t node, std::uint32_t at) {
    const Address base = *parse_address(family == Family::v4 ? "10.0.0.0" : "fd00:65::");
    const std::uint32_t number = at * kMostNodes + node;
    return {.address = numbered(base, family == Family::v4 ? 3 : 15, number * 64), .length = block_length(family)};
}

/// Of an odd length, which names mostly have; their order is not that of the addresses.
std::string node_name(std::uint32_t number) {
    if (number == 0) return std::string(own_name());
    return fmt::format("worker-{:05}.example.net", number * 7919U % 99'991U);
}

InterfaceAddress node_address(Family family, std::uint32_t number) {
    if (number == 0) return own_address(family);
    const Address base = *parse_address(family == Family::v4 ? "172.16.0.0" : "2001:db8:1::");
    return {.address = numbered(base, family == Family::v4 ? 3 : 15, number),
            .length = static_cast<std::uint8_t>(family == Family::v4 ? 12 : 64)};
}

void add_node(Cluster& cluster, Family family, std::uint32_t number, std::uint32_t blocks) {
    Node node;
    node.name = node_name(number);
    (family == Family::v4 ? node.address4 : node.address6) = node_address(family, number);
    const auto index = static_cast<std::uint32_t>(cluster.nodes.size());
    cluster.nodes.push_back(std::move(node));
    for (std::uint32_t i = 0; i < blocks; ++i) {
        cluster.blocks.push_back({.cidr = block(family, number, i), .node = index});
    }
}

}  // namespace

InterfaceAddress own_address(Family family) {
    return *parse_interface_address(family == Family::v4 ? "172.31.0.1/12" : "2001:db8:1:0:ffff::1/64");
}

void make_underlay(Family family) {
    command("ip link add under0 mtu 1500 type veth peer name under1 && ip link set under0 up && ip link set under1 up");
    command(fmt::format("ip {} address add {} dev under0 {}", family == Family::v4 ? "-4" : "-6",
                        to_string(own_address(family)), family == Family::v6 ? "nodad" : ""));
}

std::string_view own_name() {
    return "here.example.net";
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

Cluster with_block_moved(const Cluster& cluster) {
    Cluster changed = cluster;
    // Not a node's first block, which holds its tunnel address: the last of all is none, where nodes have several.
    Block& moved = changed.blocks.back();
    moved.node = moved.node == 1 ? 2 : 1;
    return changed;
}

Cluster with_node_moved(const Cluster& cluster, Family family) {
    Cluster changed = cluster;
    Node& node = changed.nodes.back();
    (family == Family::v4 ? node.address4 : node.address6) = node_address(family, kMostNodes);
    return changed;
}

}  // namespace weft::bench
