// Makes, changes and removes weft's own devices, each step acknowledged, because what comes after needs the index.
//
// Only devices of kind vxlan that carry our name or our alias are ever changed or removed, and of tunl0 only MTU,
// state, addresses and alias.
#pragma once

#include <string>

#include "tunnel/kernel.hpp"
#include "tunnel/netlink_dump.hpp"

namespace weft::netlink {

/// How a change of a device went. `usable`: the device is there and up; what remains wrong is in `text`.
struct DeviceOutcome {
    int error = 0;
    std::string text;
    bool usable = true;
    bool unknown_kind = false;  ///< the kernel has no such kind of device
};

/// `parent`: index of the underlay device, 0 where there is none.
DeviceOutcome configure(Socket& socket, const VxlanDevice& device, std::uint32_t parent);
DeviceOutcome configure(Socket& socket, const IpipDevice& device);
/// Success when there is none.
DeviceOutcome remove(Socket& socket, const VxlanDevice& device);
/// Takes off what weft put on: host addresses and the alias.
DeviceOutcome remove(Socket& socket, const IpipDevice& device);

/// Whether this kernel can make vxlan devices: asked with a request that is incomplete, so that none is made.
bool probe_vxlan(Socket& socket);

inline constexpr std::string_view kAliasPrefix = "weft:";
inline constexpr std::string_view kIpipAlias = "weft:ipip";

}  // namespace weft::netlink
