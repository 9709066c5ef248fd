// The seam to the kernel: one real implementation over netlink, one simulated for tests.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "conf/result.hpp"
#include "tunnel/difference.hpp"
#include "tunnel/host.hpp"
#include "tunnel/observed.hpp"

namespace weft {

/// Which devices are ours, and what this node's own addresses are (they make the underlay devices).
struct Scope {
    std::string vxlan_device4, vxlan_device6, ipip_device;
    std::optional<Address> own4, own6;    ///< this node's underlay addresses
    std::optional<Address> peer4, peer6;  ///< some remote node's, to ask for the device that carries the route
    /// What our VXLAN devices should have; ones of ours that have another are old, or older. 0: whatever they have.
    std::uint32_t vni = 0;
    std::uint16_t port = 0;
    bool bird = false;  ///< observe BIRD's routes as well
    bool operator==(const Scope&) const = default;
};

/// One change that the kernel refused: its place in the span, errno, and the kernel's own words (ext-ack) with the
/// object's name.
struct Failure {
    std::size_t change = 0;
    int error = 0;
    std::string message;
    std::string waits_for{};  ///< "device NAME": not refused, only impossible before that device is there
};

/// What a person is told of them: a device that cannot be made is one line, however many routes wait for it.
std::vector<std::string> messages_of(std::span<const Failure> failures);

/// What the last `route_get` found: the kernel's own answer to "where would a packet to this address go".
struct Lookup {
    Address destination;
    std::string device;
    std::optional<Address> gateway;
    std::uint8_t protocol = 0;
    std::string type;             ///< "unicast", "blackhole", "local", "unreachable"
    std::optional<Prefix> match;  ///< the prefix of the route that matched (RTM_F_FIB_MATCH), where the kernel tells
    std::uint32_t metric = 0;
    std::uint32_t mtu = 0;
};

class Kernel {
  public:
    virtual ~Kernel() = default;

    /// Links, addresses, capabilities. Capabilities are probed once, at construction.
    virtual Result<Host> host(const Scope& scope) = 0;
    /// Whether devices of this kind ("vxlan", "ipip") can be made. Probed now: the kernel loads the module if it can.
    virtual bool can_make(std::string_view kind) = 0;
    /// A full dump of everything that is ours. O(objects); retried by itself when the kernel says it was interrupted.
    virtual Result<Observed> observe(const Scope& scope) = 0;
    /// Carries out the changes in order, in as few system calls as can be; a failed one does not stop the rest.
    /// Returns the failures. Cost: about 3 us a change.
    virtual std::vector<Failure> apply(const Scope& scope, std::span<const Change> changes) = 0;
    virtual Result<Lookup> lookup(const Address& destination) = 0;
    /// The main table's routes of a routing protocol that is not weft's, BIRD's for example: enough of each to remove
    /// it through apply().
    virtual Result<std::vector<ObservedRoute>> routes_of(std::uint8_t protocol) = 0;

    /// Calls back whenever something that concerns us may have changed: our own writes never do. `full`: notifications
    /// were lost or a device came or went, so dump everything.
    struct Notice {
        bool full = false;
        std::uint32_t by = 0;  ///< nlmsg_pid of who changed it, 0: the kernel itself or unknown
        std::string object;    ///< for events: "route 10.65.2.0/26 deleted"
    };
    virtual void watch(std::function<void(const Notice&)> notify) = 0;
};

}  // namespace weft
