// Desired and observed states of a made-up cluster, for tests of the difference and of the kernel.
#pragma once

#include "tunnel/difference.hpp"

namespace weft::test {

/// VXLAN devices of both families, and for each remote node a neighbour, a forwarding entry and `blocks` routes per
/// family. Every tenth node is reached straight over the underlay. One blackhole for each family.
Desired cluster_state(unsigned nodes, unsigned blocks, bool nexthop_objects = true);

/// The state in which the kernel is when nothing is left to do.
Observed as_observed(const Desired& desired);

Address address(std::string_view text);
Prefix prefix(std::string_view text);

}  // namespace weft::test
