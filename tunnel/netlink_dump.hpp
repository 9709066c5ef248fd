// Questions to the kernel: links, addresses, routes, nexthops, neighbours. Each answers values of netlink_codec.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tunnel/kernel.hpp"
#include "tunnel/netlink_codec.hpp"
#include "tunnel/netlink_socket.hpp"

namespace weft::netlink {

/// All, or those of one kind.
Result<std::vector<Link>> dump_links(Socket& socket, std::string_view kind = {});
/// unset: there is none.
std::optional<Link> find_link(Socket& socket, std::string_view name);
std::optional<Link> find_link(Socket& socket, std::uint32_t index);
/// Of all devices, or of one.
Result<std::vector<LinkAddress>> dump_addresses(Socket& socket, std::uint32_t link = 0);

/// Routes of the main table, of this protocol (0: any) and through this device (0: any).
struct RouteFilter {
    Family family = Family::v4;
    std::uint8_t protocol = 0;
    std::uint32_t oif = 0;
};
Outcome dump_routes(Socket& socket, const RouteFilter& filter, std::vector<RawRoute>& routes);
/// Sorted by id. Error EOPNOTSUPP: this kernel has no nexthop objects.
Outcome dump_nexthops(Socket& socket, std::vector<RawNexthop>& nexthops);
/// Neighbours (of both families) or forwarding entries on one device.
Outcome dump_neighbours(Socket& socket, std::uint32_t link, bool bridge, std::vector<RawNeighbour>& entries);

/// Where a packet to `destination` goes. A route that drops packets is an answer too: its type tells, it has no device.
Result<RawRoute> get_route(Socket& socket, const Address& destination, bool fib_match);

/// The device that carries `own`. When that is a loopback or dummy device, which carries no packets (an address that
/// routing protocols announce), the one that the kernel routes through towards `peer`.
std::optional<Link> find_underlay(Socket& socket, const std::vector<LinkAddress>& addresses,
                                  const std::optional<Address>& own, const std::optional<Address>& peer);

}  // namespace weft::netlink
