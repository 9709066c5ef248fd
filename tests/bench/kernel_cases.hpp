// The cases that need no daemon: planner, staging, difference and netlink, called as the controller calls them.
#pragma once

#include "conf/cluster.hpp"
#include "tests/bench/measure.hpp"

namespace weft::bench {

struct Size {
    Family family = Family::v4;
    std::uint32_t nodes = 0;
    std::uint32_t blocks = 0;
    bool objects = true;  ///< nexthop objects; else classic routes
};

// Each in a namespace of its own (isolated), from a cluster in memory to the last acknowledgement.

/// All that remote nodes need. The device is made before, in "device ms", for the floor and the rival as for this.
Figures cold_start(const Size& size);
/// The same objects, written by floor.hpp.
Figures floor_start(const Size& size);
/// Classic routes, one message and one acknowledgement each.
Figures rival_start(const Size& size);
/// A start on a kernel that is already right, beside a bare dump of the same state.
Figures restart(const Size& size);
/// A node added, removed, moved to another address, a block moved to another node, in turn; beside the bare writes of a
/// node added.
Figures one_change(const Size& size, int rounds);
/// One pool's mode: every node's routes move from the tunnel to the underlay and back.
Figures mode_change(const Size& size);
/// All that is ours compared with the kernel's own word, and planning with nothing to be done.
Figures audit(const Size& size);
/// A node coming or going so many times a second; how far the kernel was behind at worst, and what memory grew by.
Figures churn(const Size& size, int per_second, std::chrono::seconds duration);

}  // namespace weft::bench
