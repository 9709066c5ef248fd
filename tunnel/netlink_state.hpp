// What NetlinkKernel holds; shared by the files that implement it, included by nobody else.
#pragma once

#include <optional>
#include <vector>

#include "tunnel/netlink_dump.hpp"
#include "tunnel/netlink_kernel.hpp"
#include "tunnel/netlink_watch.hpp"

namespace weft {

/// The links and addresses that matter, and which role each link has.
struct Surroundings {
    netlink::Roles roles;
    std::vector<Link> links;             ///< our devices and the underlay's, sorted by index
    std::vector<LinkAddress> addresses;  ///< of our devices, and this node's own; sorted
};

struct NetlinkKernel::State {
    netlink::Socket requests;
    netlink::Socket notifications;
    Capabilities can;
    KernelVersion version;
    netlink::Watch watch;
    std::function<void(const Notice&)> notify;

    /// Asks for the few links by name, so that it costs the same on a node with a thousand workload devices.
    Result<Surroundings> survey(const Scope& scope);
};

}  // namespace weft
