// Clusters of any size, made up: node 0 is the one the benchmark runs as, all others are remote.
#pragma once

#include <cstdint>

#include "conf/cluster.hpp"

namespace weft::bench {

/// `nodes` remote nodes with `blocks` blocks each, in one pool with `vxlan always`. Node addresses are distinct and
/// lie outside this node's subnet.
Cluster synthetic(Family family, std::uint32_t nodes, std::uint32_t blocks);

/// This node's underlay address in a synthetic cluster.
InterfaceAddress own_address(Family family);

/// A node more, with its blocks; a node less; the last node's first block given to the one before it.
Cluster with_node_added(const Cluster& cluster, Family family, std::uint32_t blocks);
Cluster with_node_removed(const Cluster& cluster);
Cluster with_block_moved(const Cluster& cluster);

}  // namespace weft::bench
