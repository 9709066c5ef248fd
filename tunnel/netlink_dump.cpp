#include "tunnel/netlink_dump.hpp"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace weft::netlink {
namespace {

// Statistics are half of what a link's description costs.
constexpr std::uint32_t kWithoutStatistics = RTEXT_FILTER_SKIP_STATS;

template <class T, class Parse>
Outcome dump_into(Socket& socket, const Writer& request, std::uint16_t type, std::vector<T>& all, Parse parse) {
    const std::size_t before = all.size();
    return socket.dump(
        request, [&] { all.resize(before); },
        [&](const Message& message) {
            if (message.header.nlmsg_type != type) return;
            if (auto one = parse(message)) all.push_back(std::move(*one));
        });
}

std::optional<Link> get_link(Socket& socket, std::uint32_t index, std::string_view name) {
    Writer request;
    request.begin(RTM_GETLINK, 0, socket.take_sequence());
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(index);
    request.fixed(header);
    if (index == 0) request.put_text(IFLA_IFNAME, name);
    request.put_value(IFLA_EXT_MASK, kWithoutStatistics);
    request.end();
    std::optional<Link> found;
    socket.request(request, [&](const Message& message) {
        if (message.header.nlmsg_type == RTM_NEWLINK) found = parse_link(message);
    });
    return found;
}

}  // namespace

Result<std::vector<Link>> dump_links(Socket& socket, std::string_view kind) {
    Writer request;
    request.begin(RTM_GETLINK, NLM_F_DUMP, socket.take_sequence());
    request.fixed(ifinfomsg{});
    request.put_value(IFLA_EXT_MASK, kWithoutStatistics);
    if (!kind.empty()) {
        const std::size_t info = request.open(IFLA_LINKINFO);
        request.put_text(IFLA_INFO_KIND, kind);
        request.close(info);
    }
    request.end();
    std::vector<Link> links;
    const Outcome outcome = dump_into(socket, request, RTM_NEWLINK, links, parse_link);
    if (!outcome.ok()) return Error{"cannot list the network devices: " + outcome.words()};
    // A kind whose module is not loaded filters nothing.
    if (!kind.empty()) std::erase_if(links, [&](const Link& link) { return link.kind != kind; });
    std::ranges::sort(links, {}, &Link::index);
    return links;
}

std::optional<Link> find_link(Socket& socket, std::string_view name) {
    // The kernel's limit, IFNAMSIZ: a longer name exists nowhere, and asking would be an error of another kind.
    if (name.empty() || name.size() > 15) return std::nullopt;
    return get_link(socket, 0, name);
}

std::optional<Link> find_link(Socket& socket, std::uint32_t index) {
    if (index == 0) return std::nullopt;
    return get_link(socket, index, {});
}

Result<std::vector<LinkAddress>> dump_addresses(Socket& socket, std::uint32_t link) {
    Writer request;
    request.begin(RTM_GETADDR, NLM_F_DUMP, socket.take_sequence());
    ifaddrmsg header{};
    header.ifa_index = link;
    request.fixed(header);
    request.end();
    std::vector<LinkAddress> addresses;
    const Outcome outcome = dump_into(socket, request, RTM_NEWADDR, addresses, parse_link_address);
    if (!outcome.ok()) return Error{"cannot list the network addresses: " + outcome.words()};
    if (link != 0) std::erase_if(addresses, [&](const LinkAddress& address) { return address.link != link; });
    std::ranges::sort(addresses);
    return addresses;
}

Outcome dump_routes(Socket& socket, const RouteFilter& filter, std::vector<RawRoute>& routes) {
    Writer request;
    request.begin(RTM_GETROUTE, NLM_F_DUMP, socket.take_sequence());
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(address_family(filter.family));
    header.rtm_protocol = filter.protocol;
    request.fixed(header);
    request.put_value(RTA_TABLE, std::uint32_t{RT_TABLE_MAIN});
    if (filter.oif != 0) request.put_value(RTA_OIF, filter.oif);
    request.end();
    const std::size_t before = routes.size();
    Outcome outcome = socket.dump(
        request, [&] { routes.resize(before); },
        [&](const Message& message) {
            if (message.header.nlmsg_type != RTM_NEWROUTE) return;
            const auto route = parse_route(message);
            if (!route || route->table != RT_TABLE_MAIN || route->cloned) return;
            if (filter.protocol != 0 && route->protocol != filter.protocol) return;
            if (filter.oif != 0 && route->oif != filter.oif && !route->multipath) return;
            routes.push_back(*route);
        });
    // A table that no route has been put into yet does not exist.
    return outcome.error == ENOENT ? Outcome{} : outcome;
}

Outcome dump_nexthops(Socket& socket, std::vector<RawNexthop>& nexthops) {
    Writer request;
    request.begin(RTM_GETNEXTHOP, NLM_F_DUMP, socket.take_sequence());
    request.fixed(nhmsg{});
    request.end();
    Outcome outcome = dump_into(socket, request, RTM_NEWNEXTHOP, nexthops, parse_nexthop);
    std::ranges::sort(nexthops, {}, &RawNexthop::id);
    return outcome;
}

Outcome dump_neighbours(Socket& socket, std::uint32_t link, bool bridge, std::vector<RawNeighbour>& entries) {
    Writer request;
    request.begin(RTM_GETNEIGH, NLM_F_DUMP, socket.take_sequence());
    ndmsg header{};
    // A forwarding database is asked for by index in the header, neighbours by attribute (rtnl_fdb_dump,
    // neigh_valid_dump_req).
    header.ndm_family = bridge ? AF_BRIDGE : AF_UNSPEC;
    if (bridge) header.ndm_ifindex = static_cast<int>(link);
    request.fixed(header);
    if (!bridge) request.put_value(NDA_IFINDEX, link);
    request.end();
    const std::size_t before = entries.size();
    return socket.dump(
        request, [&] { entries.resize(before); },
        [&](const Message& message) {
            if (message.header.nlmsg_type != RTM_NEWNEIGH) return;
            const auto entry = parse_neighbour(message);
            if (entry && entry->link == link && entry->bridge == bridge && !entry->proxy) entries.push_back(*entry);
        });
}

Result<RawRoute> get_route(Socket& socket, const Address& destination, bool fib_match) {
    Writer request;
    request.begin(RTM_GETROUTE, 0, socket.take_sequence());
    rtmsg header{};
    header.rtm_family = static_cast<std::uint8_t>(address_family(destination.family));
    header.rtm_dst_len = bits(destination.family);
    if (fib_match) header.rtm_flags = RTM_F_FIB_MATCH;
    request.fixed(header);
    request.put_address(RTA_DST, destination);
    request.end();
    std::optional<RawRoute> found;
    const Outcome outcome = socket.request(request, [&](const Message& message) {
        if (message.header.nlmsg_type == RTM_NEWROUTE) found = parse_route(message);
    });
    // Routes that drop packets are answered with their error instead of themselves (fib_props, ip6_rt_type_to_error).
    const auto dropping = [&](std::uint8_t type) {
        RawRoute route;
        route.destination = host_prefix(destination);
        route.type = type;
        return route;
    };
    if (outcome.error == EINVAL) return dropping(RTN_BLACKHOLE);
    if (outcome.error == EHOSTUNREACH) return dropping(RTN_UNREACHABLE);
    if (outcome.error == EACCES) return dropping(RTN_PROHIBIT);
    if (!outcome.ok()) return Error{fmt::format("route to {}: {}", to_string(destination), outcome.words())};
    if (!found) return Error{fmt::format("route to {}: no answer", to_string(destination))};
    return *found;
}

std::optional<Link> find_underlay(Socket& socket, const std::vector<LinkAddress>& addresses,
                                  const std::optional<Address>& own, const std::optional<Address>& peer) {
    if (!own) return std::nullopt;
    const auto carries =
        std::ranges::find_if(addresses, [&](const LinkAddress& at) { return at.address.address == *own; });
    if (carries == addresses.end()) return std::nullopt;
    auto link = find_link(socket, carries->link);
    if (!link || !peer || !(link->loopback || link->kind == "dummy")) return link;
    const auto route = get_route(socket, *peer, false);
    if (!route || route->oif == 0) return link;
    auto towards = find_link(socket, route->oif);
    return towards && !towards->loopback ? towards : link;
}

}  // namespace weft::netlink
