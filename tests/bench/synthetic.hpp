// Clusters of any size, made up: one node is the one the benchmark runs as, all others are remote.
#pragma once

#include <cstdint>
#include <string_view>

#include "conf/cluster.hpp"

namespace weft::bench {

/// `nodes` remote nodes with `blocks` blocks each, in one pool with `vxlan always`. Node addresses are distinct and
/// lie in this node's subnet; names, addresses and blocks each have an order of their own.
Cluster synthetic(Family family, std::uint32_t nodes, std::uint32_t blocks);

/// This node's name and underlay address in a synthetic cluster.
std::string_view own_name();
InterfaceAddress own_address(Family family);
/// An interface with that address in this namespace.
void make_underlay(Family family);

/// A node more, with its blocks.
Cluster with_node_added(const Cluster& cluster, Family family, std::uint32_t blocks);
/// The last block given to another node; the nodes have several.
Cluster with_block_moved(const Cluster& cluster);
/// The last node at another underlay address.
Cluster with_node_moved(const Cluster& cluster, Family family);

}  // namespace weft::bench
