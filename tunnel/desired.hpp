// What weft wants of the kernel, and what it has: the same value types for both, so that the difference is a merge of
// sorted vectors.
//
// Devices are named by role, not by interface index: an index does not exist before its device does and changes when
// the device is made anew. The netlink codec translates between the two.
//
// Each type has one `key` (exactly the kernel's own key for that object) and full equality. Reasons are part of a
// desired object's text, never of its identity.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/address.hpp"

namespace weft {

/// The devices that our routes and entries go through.
enum class Device : std::uint8_t {
    none,    ///< no device (blackhole)
    vxlan4,  ///< our VXLAN device for IPv4
    vxlan6,
    ipip,  ///< tunl0
    old4,  ///< our VXLAN device for IPv4 as it was before the VNI or the port changed; traffic leaves it
    old6,
    older4,  ///< as it was before that: another change came before traffic had left it
    older6,
    under4,  ///< the underlay device that carries this node's IPv4 address
    under6,
    other,  ///< observed only: some device that has none of these roles
};
constexpr Device vxlan_device(Family family) {
    return family == Family::v4 ? Device::vxlan4 : Device::vxlan6;
}
constexpr Device old_device(Family family) {
    return family == Family::v4 ? Device::old4 : Device::old6;
}
constexpr Device older_device(Family family) {
    return family == Family::v4 ? Device::older4 : Device::older6;
}
inline constexpr std::array kVxlanDevices{Device::vxlan4, Device::vxlan6, Device::old4,
                                          Device::old6,   Device::older4, Device::older6};
constexpr Device under_device(Family family) {
    return family == Family::v4 ? Device::under4 : Device::under6;
}

/// RTPROT of all that weft writes: Calico's, so that a node taken over from Calico is adopted in place.
inline constexpr std::uint8_t kProtocol = 80;
/// RTPROT_BIRD.
inline constexpr std::uint8_t kProtocolBird = 12;
/// Metric of own blocks' blackholes: worse than any route a workload, a bridge or an administrator would set, so that
/// a blackhole never shadows one.
inline constexpr std::uint32_t kBlackholeMetric = 65535;
/// Metrics of our routes. For IPv6 the kernel makes 1024 of 0 (IP6_RT_PRIO_USER).
constexpr std::uint32_t route_metric(Family family) {
    return family == Family::v4 ? 0 : 1024;
}

/// A VXLAN device. Key: role. A device that differs in what vxlan_changelink refuses to change (vni, port,
/// family of the local address; external) is made anew; all else is changed in place.
struct VxlanDevice {
    Device role = Device::vxlan4;
    std::string name;
    std::uint32_t vni = 0;
    std::uint16_t port = 0;
    Address local;
    Device parent = Device::under4;
    Mac mac;
    std::uint32_t mtu = 0;
    bool learning = false;
    bool up = true;
    Address address;  ///< the tunnel address, on the device as /32 or /128

    bool operator==(const VxlanDevice&) const = default;
};

/// The ipip module's fall-back device, used as it is found.
struct IpipDevice {
    std::string name;
    std::uint32_t mtu = 0;
    bool up = true;
    Address address;

    bool operator==(const IpipDevice&) const = default;
};

/// A permanent neighbour (ARP or NDP) on one of our VXLAN devices. Key: device, address.
struct Neighbour {
    Device device = Device::vxlan4;
    Address address;
    Mac mac;
    auto operator<=>(const Neighbour&) const = default;
};

/// A permanent forwarding entry of a VXLAN device. Key: device, mac. (The kernel can hold several destinations for one
/// unicast MAC only when they are appended; weft replaces.)
struct FdbEntry {
    Device device = Device::vxlan4;
    Mac mac;
    Address destination;
    auto operator<=>(const FdbEntry&) const = default;
};

/// Where a route leads: straight out of a device, or to a gateway through it.
struct Via {
    Device device = Device::none;
    std::optional<Address> gateway;  ///< unset: the destination is on the link
    bool onlink = false;
    auto operator<=>(const Via&) const = default;
};

enum class RouteType : std::uint8_t { unicast, blackhole };

/// A route in the main table. Key: destination, metric (fib_table_insert: prefix, TOS, priority; ip6_fib: the same).
struct Route {
    Prefix destination;
    std::uint32_t metric = 0;
    RouteType type = RouteType::unicast;
    Via via;
    std::uint8_t protocol = kProtocol;

    auto operator<=>(const Route&) const = default;
};

/// Per-device settings under /proc/sys/net.
struct Sysctl {
    std::string path;  ///< "ipv4/ip_forward", relative to /proc/sys/net
    std::string value;
    auto operator<=>(const Sysctl&) const = default;
};

/// Everything weft wants. Vectors sorted by key, keys unique.
struct Desired {
    std::vector<VxlanDevice> vxlan;  ///< at most one for each family
    std::optional<IpipDevice> ipip;
    std::vector<Neighbour> neighbours;
    std::vector<FdbEntry> fdb;
    std::vector<Route> routes;
    std::vector<Sysctl> sysctls;
    /// Roles of devices that are not wanted any more but stay, with all that is on them: traffic is still leaving them.
    std::vector<Device> draining;
    bool use_nexthop_objects = true;  ///< routes refer to nexthop objects, one for each distinct Via

    bool operator==(const Desired&) const = default;
};

std::string to_string(const Neighbour& neighbour);
std::string to_string(const FdbEntry& entry);
/// As `ip route` prints it, with the role's name for the device: "10.65.2.0/26 via 10.65.2.0 dev vxlan4 onlink".
std::string to_string(const Route& route);
std::string to_string(const Via& via);
std::string_view to_string(Device device);

}  // namespace weft
