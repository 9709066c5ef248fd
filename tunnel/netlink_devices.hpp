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
    std::uint32_t index = 0;    ///< of the device, where it is usable
};

/// Which of the VXLAN devices have our roles. A device is ours by the configured name or by the alias that weft gives
/// it; of ours, the one with the VNI and port that are wanted is the one to use (the one with the configured name
/// first), and others are what it was before, the one made last first. So a change of VNI or port makes a second
/// device beside the first, and a device that somebody renamed is found again. `links`: all of kind vxlan.
struct VxlanLinks {
    const Link* wanted = nullptr;
    const Link* old = nullptr;
    const Link* older = nullptr;
};
VxlanLinks vxlan_links(const std::vector<Link>& links, const Scope& scope, Family family);

/// `index`: of the device that has this role now, 0 where there is none. `parent`: of the underlay device, 0 where
/// there is none. Where the name is taken by a device of an old role, the new one gets an interim name.
DeviceOutcome configure(Socket& socket, const VxlanDevice& device, std::uint32_t index, std::uint32_t parent);
DeviceOutcome configure(Socket& socket, const IpipDevice& device);
/// Success when there is none.
DeviceOutcome remove(Socket& socket, const VxlanDevice& device);
/// Takes off what weft put on: host addresses and the alias.
DeviceOutcome remove(Socket& socket, const IpipDevice& device);

/// Whether this kernel can make devices of this kind: asked with a name that no device can have, so that none is made.
bool probe(Socket& socket, std::string_view kind);

inline constexpr std::string_view kIpipAlias = "weft:ipip";

}  // namespace weft::netlink
