#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "tunnel/netlink_codec.hpp"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000  // linux/if.h has it, but cannot be included together with net/if.h
#endif

namespace weft::netlink {
namespace {

std::optional<Family> family_of(int address_family) {
    if (address_family == AF_INET) return Family::v4;
    if (address_family == AF_INET6) return Family::v6;
    return std::nullopt;
}

void parse_vxlan(Bytes data, Link& link) {
    while (const auto attribute = next_attribute(data)) {
        switch (attribute->type) {
            case IFLA_VXLAN_ID:
                link.vni = attribute->as<std::uint32_t>().value_or(0);
                break;
            case IFLA_VXLAN_PORT:
                link.port = ntohs(attribute->as<std::uint16_t>().value_or(0));
                break;
            case IFLA_VXLAN_LOCAL:
            case IFLA_VXLAN_LOCAL6:
                link.local = attribute->address();
                break;
            case IFLA_VXLAN_LINK:
                link.parent = attribute->as<std::uint32_t>().value_or(0);
                break;
            case IFLA_VXLAN_LEARNING:
                link.learning = attribute->as<std::uint8_t>().value_or(0) != 0;
                break;
            case IFLA_VXLAN_COLLECT_METADATA:
                link.external = attribute->as<std::uint8_t>().value_or(0) != 0;
                break;
            default:
                break;
        }
    }
}

void parse_link_info(Bytes info, Link& link) {
    Bytes data;
    while (const auto attribute = next_attribute(info)) {
        if (attribute->type == IFLA_INFO_KIND) link.kind = attribute->text();
        if (attribute->type == IFLA_INFO_DATA) data = attribute->value;
    }
    if (link.kind == "vxlan") parse_vxlan(data, link);
}

void parse_metrics(Bytes metrics, RawRoute& route) {
    while (const auto attribute = next_attribute(metrics)) {
        if (attribute->type == RTAX_MTU) route.mtu = attribute->as<std::uint32_t>().value_or(0);
    }
}

/// Of several: struct rtnexthop, its attributes, and then the next one.
RawHop parse_first_hop(Bytes hops) {
    RawHop hop;
    rtnexthop header{};
    if (hops.size() < sizeof header) return hop;
    std::memcpy(&header, hops.data(), sizeof header);
    if (header.rtnh_len < sizeof header || header.rtnh_len > hops.size()) return hop;
    hop.oif = static_cast<std::uint32_t>(std::max(header.rtnh_ifindex, 0));
    hop.onlink = (header.rtnh_flags & RTNH_F_ONLINK) != 0;
    Bytes attributes = hops.subspan(sizeof header, header.rtnh_len - sizeof header);
    while (const auto attribute = next_attribute(attributes)) {
        if (attribute->type == RTA_GATEWAY) hop.gateway = attribute->address();
    }
    return hop;
}

std::optional<Address> of_family(const std::optional<Address>& address, Family family) {
    return address && address->family == family ? address : std::nullopt;
}

}  // namespace

std::optional<Link> parse_link(const Message& message) {
    if (message.body.size() < sizeof(ifinfomsg)) return std::nullopt;
    const auto header = message.fixed<ifinfomsg>();
    if (header.ifi_index <= 0) return std::nullopt;
    Link link;
    link.index = static_cast<std::uint32_t>(header.ifi_index);
    link.up = (header.ifi_flags & IFF_UP) != 0;
    link.running = (header.ifi_flags & IFF_LOWER_UP) != 0;
    link.loopback = (header.ifi_flags & IFF_LOOPBACK) != 0;
    Bytes attributes = message.attributes<ifinfomsg>();
    while (const auto attribute = next_attribute(attributes)) {
        switch (attribute->type) {
            case IFLA_IFNAME:
                link.name = attribute->text();
                break;
            case IFLA_IFALIAS:
                link.alias = attribute->text();
                break;
            case IFLA_MTU:
                link.mtu = attribute->as<std::uint32_t>().value_or(0);
                break;
            case IFLA_ADDRESS:
                link.mac = attribute->mac().value_or(Mac{});
                break;
            case IFLA_LINKINFO:
                parse_link_info(attribute->value, link);
                break;
            default:
                break;
        }
    }
    if (link.name.empty()) return std::nullopt;
    return link;
}

std::optional<LinkAddress> parse_link_address(const Message& message) {
    if (message.body.size() < sizeof(ifaddrmsg)) return std::nullopt;
    const auto header = message.fixed<ifaddrmsg>();
    const auto family = family_of(header.ifa_family);
    if (!family || header.ifa_prefixlen > bits(*family)) return std::nullopt;
    std::optional<Address> local, address;
    Bytes attributes = message.attributes<ifaddrmsg>();
    while (const auto attribute = next_attribute(attributes)) {
        if (attribute->type == IFA_LOCAL) local = of_family(attribute->address(), *family);
        if (attribute->type == IFA_ADDRESS) address = of_family(attribute->address(), *family);
    }
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 mostly has no IFA_LOCAL.
    if (!local) local = address;
    if (!local) return std::nullopt;
    return LinkAddress{header.ifa_index, {*local, header.ifa_prefixlen}};
}

std::optional<RawRoute> parse_route(const Message& message) {
    if (message.body.size() < sizeof(rtmsg)) return std::nullopt;
    const auto header = message.fixed<rtmsg>();
    const auto family = family_of(header.rtm_family);
    if (!family || header.rtm_dst_len > bits(*family)) return std::nullopt;
    RawRoute route;
    route.destination = {Address{*family, {}}, header.rtm_dst_len};
    route.table = header.rtm_table;
    route.protocol = header.rtm_protocol;
    route.type = header.rtm_type;
    route.tos = header.rtm_tos;
    route.onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
    route.cloned = (header.rtm_flags & RTM_F_CLONED) != 0;
    Bytes attributes = message.attributes<rtmsg>();
    while (const auto attribute = next_attribute(attributes)) {
        switch (attribute->type) {
            case RTA_DST:
                if (const auto address = of_family(attribute->address(), *family)) route.destination.address = *address;
                break;
            case RTA_TABLE:
                route.table = attribute->as<std::uint32_t>().value_or(route.table);
                break;
            case RTA_PRIORITY:
                route.metric = attribute->as<std::uint32_t>().value_or(0);
                break;
            case RTA_OIF:
                route.oif = attribute->as<std::uint32_t>().value_or(0);
                break;
            case RTA_NH_ID:
                route.nexthop_id = attribute->as<std::uint32_t>().value_or(0);
                break;
            case RTA_GATEWAY:
                route.gateway = attribute->address();
                break;
            case RTA_METRICS:
                parse_metrics(attribute->value, route);
                break;
            case RTA_MULTIPATH:
                route.multipath = true;
                route.first = parse_first_hop(attribute->value);
                break;
            default:
                break;
        }
    }
    return route;
}

std::optional<RawNexthop> parse_nexthop(const Message& message) {
    if (message.body.size() < sizeof(nhmsg)) return std::nullopt;
    const auto header = message.fixed<nhmsg>();
    RawNexthop nexthop;
    nexthop.protocol = header.nh_protocol;
    nexthop.onlink = (header.nh_flags & RTNH_F_ONLINK) != 0;
    // Groups have no family of their own; what matters of them is that their id is taken.
    if (const auto family = family_of(header.nh_family))
        nexthop.family = *family;
    else
        nexthop.plain = false;
    Bytes attributes = message.attributes<nhmsg>();
    while (const auto attribute = next_attribute(attributes)) {
        switch (attribute->type) {
            case NHA_ID:
                nexthop.id = attribute->as<std::uint32_t>().value_or(0);
                break;
            case NHA_OIF:
                nexthop.oif = attribute->as<std::uint32_t>().value_or(0);
                break;
            case NHA_GATEWAY:
                nexthop.gateway = attribute->address();
                break;
            case NHA_BLACKHOLE:
                nexthop.blackhole = true;
                break;
            case NHA_GROUP:
            case NHA_FDB:
            case NHA_ENCAP:
                nexthop.plain = false;
                break;
            default:
                break;
        }
    }
    if (nexthop.id == 0) return std::nullopt;
    return nexthop;
}

std::optional<RawNeighbour> parse_neighbour(const Message& message) {
    if (message.body.size() < sizeof(ndmsg)) return std::nullopt;
    const auto header = message.fixed<ndmsg>();
    if (header.ndm_ifindex <= 0) return std::nullopt;
    RawNeighbour entry;
    entry.link = static_cast<std::uint32_t>(header.ndm_ifindex);
    entry.bridge = header.ndm_family == AF_BRIDGE;
    entry.permanent = (header.ndm_state & NUD_PERMANENT) != 0;
    entry.proxy = (header.ndm_flags & NTF_PROXY) != 0;
    entry.outline = entry.bridge;  // vxlan_fdb_info writes NDA_CACHEINFO, nlmsg_populate_fdb_fill does not
    Bytes attributes = message.attributes<ndmsg>();
    while (const auto attribute = next_attribute(attributes)) {
        if (attribute->type == NDA_DST) entry.address = attribute->address();
        if (attribute->type == NDA_LLADDR) entry.mac = attribute->mac();
        if (attribute->type == NDA_CACHEINFO) entry.outline = false;
    }
    entry.outline = entry.outline && !entry.address;
    if (entry.bridge ? !entry.mac : !entry.address) return std::nullopt;
    return entry;
}

std::string_view route_type_name(std::uint8_t type) {
    switch (type) {
        case RTN_UNICAST:
            return "unicast";
        case RTN_LOCAL:
            return "local";
        case RTN_BROADCAST:
            return "broadcast";
        case RTN_MULTICAST:
            return "multicast";
        case RTN_BLACKHOLE:
            return "blackhole";
        case RTN_UNREACHABLE:
            return "unreachable";
        case RTN_PROHIBIT:
            return "prohibit";
        default:
            return "other";
    }
}

}  // namespace weft::netlink
