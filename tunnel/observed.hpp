// What the kernel has of what weft owns (the ownership rule is written once, here):
//
// - the VXLAN devices with the configured names, and devices with an alias that starts with "weft:" (made by a weft
//   whose configuration named them otherwise);
// - every permanent neighbour and FDB entry on those devices;
// - routes of protocol 80 in the main table, and every route on those devices but the kernel's own (protocol kernel);
// - nexthop objects of protocol 80;
// - of tunl0: its addresses and its MTU, while an IPIP pool needs it.
//
// Nothing else is ever changed or deleted.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "tunnel/desired.hpp"
#include "tunnel/host.hpp"

namespace weft {

/// A nexthop object. `id` is the kernel's key; `via` is what weft identifies it by.
struct Nexthop {
    std::uint32_t id = 0;
    Family family = Family::v4;
    Via via;
    bool blackhole = false;
    auto operator<=>(const Nexthop&) const = default;
};

/// A route as it stands in the kernel: how it is written matters beside where it leads.
struct ObservedRoute {
    Route route;
    std::uint32_t nexthop_id = 0;  ///< 0: written the classic way
    bool operator==(const ObservedRoute&) const = default;
};

/// A VXLAN device of ours as found. `surplus` are addresses on it (of its family, not link-local) that are not wanted.
struct ObservedVxlan {
    VxlanDevice device;  ///< device.address unspecified: it has none
    std::uint32_t index = 0;
    std::vector<InterfaceAddress> addresses;  ///< all of its family but link-local ones
    bool external = false;
    bool operator==(const ObservedVxlan&) const = default;
};

struct ObservedIpip {
    IpipDevice device;
    std::uint32_t index = 0;
    std::vector<InterfaceAddress> addresses;  ///< all IPv4 ones
    bool ours = false;                        ///< it carries the alias that weft gives it when it configures it
    bool operator==(const ObservedIpip&) const = default;
};

/// Sorted as Desired is.
struct Observed {
    std::vector<ObservedVxlan> vxlan;  ///< role from the name; Device::other: ours by its alias, unwanted
    std::optional<ObservedIpip> ipip;  ///< unset: there is no such device
    std::vector<Neighbour> neighbours;
    std::vector<FdbEntry> fdb;
    std::vector<Nexthop> nexthops;                   ///< ours, sorted by id
    std::vector<std::uint32_t> foreign_nexthop_ids;  ///< sorted; so that ours do not collide
    std::vector<ObservedRoute> routes;
    std::vector<Route> bird;      ///< BIRD's, in the main table, the first of several ways; only if Scope::bird
    std::vector<Sysctl> sysctls;  ///< the present value of each setting that Desired can name

    bool operator==(const Observed&) const = default;
};

}  // namespace weft
