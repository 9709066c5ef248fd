// The kernel objects weft knows, to and from netlink messages. Pure: bytes in, values out.
//
// Everything here names devices by interface index, as the kernel does; `Roles` translates between indexes and the
// roles that desired and observed state are written in. libnl 3.7 has no nexthop objects, no RTA_NH_ID and no strict
// dumps, hence a codec of our own.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "tunnel/difference.hpp"
#include "tunnel/netlink_message.hpp"

namespace weft::netlink {

/// Which interface has which role; 0: none. Both families may share one underlay device.
class Roles {
  public:
    Roles() = default;
    Roles(std::initializer_list<std::pair<Device, std::uint32_t>> all) {
        for (const auto& [role, index] : all) set(role, index);
    }
    bool operator==(const Roles&) const = default;

    std::uint32_t index(Device role) const { return indexes_.at(static_cast<std::size_t>(role)); }
    /// The role that `index` has for something of this family.
    Device role(std::uint32_t index, Family family) const;
    bool is_vxlan(std::uint32_t index) const { return has(index, kVxlanDevices); }
    bool is_ours(std::uint32_t index) const {
        return index != 0 && (is_vxlan(index) || index == this->index(Device::ipip));
    }
    /// Of `none` and `other` there is no one device.
    void set(Device role, std::uint32_t index) {
        if (role != Device::none && role != Device::other) indexes_.at(static_cast<std::size_t>(role)) = index;
    }

  private:
    bool has(std::uint32_t index, std::span<const Device> roles) const {
        return index != 0 && std::ranges::any_of(roles, [&](Device role) { return this->index(role) == index; });
    }

    std::array<std::uint32_t, static_cast<std::size_t>(Device::other) + 1> indexes_{};
};

struct RawHop {
    std::uint32_t oif = 0;
    std::optional<Address> gateway;
    bool onlink = false;
};

/// A route as the kernel writes it.
struct RawRoute {
    Prefix destination;
    std::uint32_t table = 0, metric = 0, oif = 0, nexthop_id = 0, mtu = 0;
    std::uint8_t protocol = 0, type = 0, tos = 0;
    std::optional<Address> gateway;
    bool onlink = false, cloned = false;
    /// It has several nexthops; `oif`, `gateway` and `onlink` tell nothing, these are the first one's.
    bool multipath = false;
    RawHop first;
};

struct RawNexthop {
    std::uint32_t id = 0, oif = 0;
    Family family = Family::v4;
    std::uint8_t protocol = 0;
    std::optional<Address> gateway;
    bool onlink = false, blackhole = false;
    bool plain = true;  ///< neither a group nor one for forwarding databases
};

/// A neighbour, or (bridge: AF_BRIDGE) an entry of a forwarding database.
struct RawNeighbour {
    std::uint32_t link = 0;
    bool bridge = false, permanent = false, proxy = false;
    std::optional<Address> address;  ///< the neighbour, or the destination of a forwarding entry
    std::optional<Mac> mac;
    /// Of a forwarding entry: told by the kernel's core, which does not know the destination (rtnl_fdb_notify).
    /// Linux 6.1 tells each entry that is written a second time that way, 6.18 does not.
    bool outline = false;
};

// Each answers nullopt for a message that lacks what the object cannot be without.
std::optional<Link> parse_link(const Message& message);
std::optional<LinkAddress> parse_link_address(const Message& message);
std::optional<RawRoute> parse_route(const Message& message);
std::optional<RawNexthop> parse_nexthop(const Message& message);
std::optional<RawNeighbour> parse_neighbour(const Message& message);

/// Appends the message that carries out `verb`. The device's index must not be 0, but for a removal, which then does
/// not ask for the device.
void write_route(Writer& writer, Verb verb, const ObservedRoute& route, const Roles& roles, std::uint32_t sequence);
void write_nexthop(Writer& writer, Verb verb, const Nexthop& nexthop, const Roles& roles, std::uint32_t sequence);
void write_neighbour(Writer& writer, Verb verb, const Neighbour& entry, const Roles& roles, std::uint32_t sequence);
void write_fdb(Writer& writer, Verb verb, const FdbEntry& entry, const Roles& roles, std::uint32_t sequence);
void write_address(Writer& writer, bool add, const LinkAddress& address, std::uint32_t sequence);

/// "unicast", "blackhole", "local", ...
std::string_view route_type_name(std::uint8_t type);
/// "EEXIST"; "errno 999" for what has no name.
std::string errno_name(int error);
int address_family(Family family);
constexpr Family vxlan_family(Device device) {
    const bool v6 = device == Device::vxlan6 || device == Device::old6 || device == Device::older6;
    return v6 ? Family::v6 : Family::v4;
}

}  // namespace weft::netlink
