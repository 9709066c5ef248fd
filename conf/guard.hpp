// The guard against mass withdrawal: whether a new cluster may be followed at once.
//
// A store that was emptied, restored from an old backup, or that is not the one it was, says that most of the cluster
// is gone. Following that takes the network down; not following it for a while costs nothing but time.
#pragma once

#include <string>

#include "conf/cluster.hpp"

namespace weft {

/// What most of is gone: "7 of 9 nodes are gone"; empty: nothing is suspicious. Nodes count by name, pools and blocks
/// by prefix; most is more than half. O(n).
std::string mass_withdrawal(const Cluster& before, const Cluster& now);

/// What is gone at all, of nodes, pools and blocks: "1 of 3 nodes is gone"; empty: nothing.
std::string withdrawal(const Cluster& before, const Cluster& now);

}  // namespace weft
