// Clusters that the tests of bgp/ share.
#pragma once

#include <string>

#include "conf/cluster.hpp"

namespace weft::test {

Address ip(const std::string& text);
Prefix net(const std::string& text);

/// `count` nodes named n0001, n0002, ... with 192.0.2.0/23 and 2001:db8::/64 addresses, a block each of an IPIP
/// cross-subnet, a plain, a VXLAN, an unexported and an IPv6 pool.
Cluster mesh_of(unsigned count);
/// The same, where the last two are route reflectors.
Cluster reflected(unsigned count);

}  // namespace weft::test
