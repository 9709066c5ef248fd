#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "tunnel/netlink_codec.hpp"

namespace weft::netlink {
namespace {

/// An add must not overwrite what somebody else put under the same key; a replace follows an observation of ours.
unsigned flags_of(Verb verb) {
    if (verb == Verb::remove) return 0;
    return NLM_F_CREATE | (verb == Verb::add ? unsigned{NLM_F_EXCL} : unsigned{NLM_F_REPLACE});
}

void put_via(Writer& writer, const Via& via, const Roles& roles) {
    if (const std::uint32_t index = roles.index(via.device)) writer.put_value(RTA_OIF, index);
    if (via.gateway) writer.put_address(RTA_GATEWAY, *via.gateway);
}

}  // namespace

int address_family(Family family) {
    return family == Family::v4 ? AF_INET : AF_INET6;
}

std::string errno_name(int error) {
    const char* const name = strerrorname_np(error);
    return name ? name : fmt::format("errno {}", error);
}

Device Roles::role(std::uint32_t index, Family family) const {
    if (index == 0) return Device::none;
    if (index == this->index(Device::ipip)) return Device::ipip;
    const auto vxlan = std::ranges::find(kVxlanDevices, index, [&](Device role) { return this->index(role); });
    if (vxlan != kVxlanDevices.end()) return *vxlan;
    return index == this->index(under_device(family)) ? under_device(family) : Device::other;
}

void write_route(Writer& writer, Verb verb, const ObservedRoute& route, const Roles& roles, std::uint32_t sequence) {
    const Route& what = route.route;
    const bool blackhole = what.type == RouteType::blackhole;
    const bool remove = verb == Verb::remove;
    writer.begin(remove ? RTM_DELROUTE : RTM_NEWROUTE, flags_of(verb), sequence);
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(address_family(what.destination.family()));
    header.rtm_dst_len = what.destination.length;
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = what.protocol;
    header.rtm_scope = RT_SCOPE_UNIVERSE;
    if (!blackhole && !what.via.gateway && what.destination.family() == Family::v4) header.rtm_scope = RT_SCOPE_LINK;
    // fib_table_delete compares type, scope, protocol, metric and the nexthop where they are given: as much of them as
    // is known, so that a foreign route of the same destination is never hit.
    if (remove) header.rtm_scope = RT_SCOPE_NOWHERE;
    header.rtm_type = blackhole ? RTN_BLACKHOLE : RTN_UNICAST;
    if (!remove && what.via.onlink && route.nexthop_id == 0) header.rtm_flags = RTNH_F_ONLINK;
    writer.fixed(header);
    writer.put_address(RTA_DST, what.destination.address);
    if (what.metric != 0) writer.put_value(RTA_PRIORITY, what.metric);
    if (route.nexthop_id != 0) {
        writer.put_value(RTA_NH_ID, route.nexthop_id);
    } else if (!blackhole) {
        put_via(writer, what.via, roles);
    }
    writer.end();
}

void write_nexthop(Writer& writer, Verb verb, const Nexthop& nexthop, const Roles& roles, std::uint32_t sequence) {
    const bool remove = verb == Verb::remove;
    writer.begin(remove ? RTM_DELNEXTHOP : RTM_NEWNEXTHOP, flags_of(verb), sequence);
    nhmsg header{};
    if (!remove) {
        header.nh_family = static_cast<std::uint8_t>(address_family(nexthop.family));
        header.nh_protocol = kProtocol;
        header.nh_flags = nexthop.via.onlink ? RTNH_F_ONLINK : 0;
    }
    writer.fixed(header);
    writer.put_value(NHA_ID, nexthop.id);
    if (!remove) {
        writer.put_value(NHA_OIF, roles.index(nexthop.via.device));
        if (nexthop.via.gateway) writer.put_address(NHA_GATEWAY, *nexthop.via.gateway);
    }
    writer.end();
}

void write_neighbour(Writer& writer, Verb verb, const Neighbour& entry, const Roles& roles, std::uint32_t sequence) {
    const bool remove = verb == Verb::remove;
    // A neighbour that the kernel is resolving by itself is in the way of nothing: always replace.
    writer.begin(remove ? RTM_DELNEIGH : RTM_NEWNEIGH, remove ? 0 : unsigned{NLM_F_CREATE | NLM_F_REPLACE}, sequence);
    ndmsg header{};
    header.ndm_family = static_cast<std::uint8_t>(address_family(entry.address.family));
    header.ndm_ifindex = static_cast<int>(roles.index(entry.device));
    header.ndm_state = remove ? 0 : NUD_PERMANENT;
    writer.fixed(header);
    writer.put_address(NDA_DST, entry.address);
    if (!remove) writer.put_mac(NDA_LLADDR, entry.mac);
    writer.end();
}

void write_fdb(Writer& writer, Verb verb, const FdbEntry& entry, const Roles& roles, std::uint32_t sequence) {
    const bool remove = verb == Verb::remove;
    writer.begin(remove ? RTM_DELNEIGH : RTM_NEWNEIGH, remove ? 0 : unsigned{NLM_F_CREATE | NLM_F_REPLACE}, sequence);
    ndmsg header{};
    header.ndm_family = AF_BRIDGE;
    header.ndm_ifindex = static_cast<int>(roles.index(entry.device));
    header.ndm_state = NUD_PERMANENT;
    header.ndm_flags = NTF_SELF;
    writer.fixed(header);
    writer.put_mac(NDA_LLADDR, entry.mac);
    if (!entry.destination.is_unspecified()) writer.put_address(NDA_DST, entry.destination);
    writer.end();
}

void write_address(Writer& writer, bool add, const LinkAddress& address, std::uint32_t sequence) {
    const Address& local = address.address.address;
    writer.begin(add ? RTM_NEWADDR : RTM_DELADDR, add ? unsigned{NLM_F_CREATE | NLM_F_EXCL} : 0U, sequence);
    ifaddrmsg header{};
    header.ifa_family = static_cast<std::uint8_t>(address_family(local.family));
    header.ifa_prefixlen = address.address.length;
    header.ifa_index = address.link;
    header.ifa_scope = RT_SCOPE_UNIVERSE;
    // No neighbour on a tunnel could answer a duplicate address probe, and a tentative address cannot be used.
    if (add && local.family == Family::v6) header.ifa_flags = IFA_F_NODAD;
    writer.fixed(header);
    writer.put_address(IFA_LOCAL, local);
    writer.put_address(IFA_ADDRESS, local);
    writer.end();
}

}  // namespace weft::netlink
