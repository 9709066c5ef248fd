// Facts about this machine that decisions depend on: links, addresses, MTUs, kernel capabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/address.hpp"
#include "conf/cluster.hpp"

namespace weft {

struct KernelVersion {
    unsigned major = 0, minor = 0, patch = 0;
    auto operator<=>(const KernelVersion&) const = default;
};
/// "6.1.0-28-amd64" -> 6.1.0; what is missing is 0.
KernelVersion parse_kernel_version(std::string_view release);

/// What the aliases begin with that weft gives its devices.
inline constexpr std::string_view kAliasPrefix = "weft:";

/// A network interface, as RTM_NEWLINK describes it.
struct Link {
    std::uint32_t index = 0;
    std::string name;
    std::string kind;  ///< "vxlan", "ipip", "veth", ...; empty for a physical one
    std::string alias;
    std::uint32_t mtu = 0;
    bool up = false;       ///< IFF_UP
    bool running = false;  ///< IFF_LOWER_UP: it has a carrier
    bool loopback = false;
    Mac mac;
    // of kind vxlan
    std::uint32_t vni = 0;
    std::uint16_t port = 0;
    std::optional<Address> local;
    std::uint32_t parent = 0;  ///< index of the underlay device, 0: none
    bool learning = false;
    bool external = false;  ///< IFLA_VXLAN_COLLECT_METADATA

    /// A tunnel that weft has made or uses, whatever its name is at present.
    bool ours() const { return alias.starts_with(kAliasPrefix); }
    bool operator==(const Link&) const = default;
};

/// An address on an interface.
struct LinkAddress {
    std::uint32_t link = 0;
    InterfaceAddress address;
    auto operator<=>(const LinkAddress&) const = default;
};

struct Capabilities {
    bool vxlan = true;
    bool ipip = true;
    bool ipv6 = true;
    bool nexthop_objects = true;  ///< kernel >= 5.3, probed
    bool operator==(const Capabilities&) const = default;
};

/// The underlay as one family sees it: the device that carries this node's address.
struct Underlay {
    std::string device;
    std::uint32_t index = 0;
    std::uint32_t mtu = 0;  ///< of the device that carries the routes to peers (mostly the same one)
    bool operator==(const Underlay&) const = default;
};

struct Host {
    KernelVersion kernel;
    Capabilities can;
    std::vector<Link> links;             ///< sorted by index
    std::vector<LinkAddress> addresses;  ///< sorted
    std::optional<Underlay> underlay4;   ///< unset: no interface has this node's address of that family
    std::optional<Underlay> underlay6;

    bool operator==(const Host&) const = default;
    /// The kernel renames a link that is up.
    bool renames_live() const { return kernel >= KernelVersion{.major = 6, .minor = 2, .patch = 0}; }
    const Link* link(std::uint32_t index) const;
    const Link* link(std::string_view name) const;
    const std::optional<Underlay>& underlay(Family family) const {
        return family == Family::v4 ? underlay4 : underlay6;
    }
};

}  // namespace weft
