#include "cluster_state.hpp"

#include <algorithm>
#include <map>

namespace weft::test {
namespace {

/// `base` with `number` added to its last four bytes (IPv4) or to bytes 4 to 7 (IPv6).
Address numbered(const Address& base, std::uint32_t number) {
    Address result = base;
    const std::size_t last = base.family == Family::v4 ? 3 : 7;
    std::uint32_t sum = number;
    for (std::size_t at = 0; at < 4; ++at, sum >>= 8) {
        const std::uint32_t byte = result.bytes[last - at] + (sum & 0xff);
        result.bytes[last - at] = static_cast<std::uint8_t>(byte);
        sum += (byte >> 8) << 8;
    }
    return result;
}

Mac mac_of(std::uint32_t node, Family family) {
    return {{0x66, static_cast<std::uint8_t>(family), 0, static_cast<std::uint8_t>(node >> 16),
             static_cast<std::uint8_t>(node >> 8), static_cast<std::uint8_t>(node)}};
}

void add_family(Desired& desired, Family family, unsigned nodes, unsigned blocks) {
    const bool v4 = family == Family::v4;
    const Address own = address(v4 ? "172.16.0.1" : "2001:db8::1");
    const Address underlay = address(v4 ? "172.16.0.1" : "2001:db8:0:0::1");
    const Address pool = address(v4 ? "10.0.0.0" : "fd00::");
    const auto length = static_cast<std::uint8_t>(v4 ? 26 : 64);
    const unsigned step = v4 ? 64 : 1;
    const Device device = vxlan_device(family);
    desired.vxlan.push_back({.role = device,
                             .name = v4 ? "vxlan.calico" : "vxlan-v6.calico",
                             .vni = 4096,
                             .port = 4789,
                             .local = own,
                             .parent = under_device(family),
                             .mac = mac_of(0, family),
                             .mtu = v4 ? 1450U : 1430U,
                             .address = numbered(pool, 0)});
    desired.routes.push_back({network_of(pool, length), kBlackholeMetric, RouteType::blackhole, {}});
    for (unsigned node = 1; node <= nodes; ++node) {
        const Address tunnel = numbered(pool, node * blocks * step);
        // IPv6 counts in the upper half, which would leave the subnet: a remote node is anywhere.
        const Address remote = numbered(underlay, node);
        desired.neighbours.push_back({device, tunnel, mac_of(node, family)});
        desired.fdb.push_back({device, mac_of(node, family), remote});
        const Via through{device, tunnel, true};
        const Via straight{under_device(family), remote, true};
        for (unsigned block = 0; block < blocks; ++block) {
            const Address first = numbered(pool, (node * blocks + block) * step);
            desired.routes.push_back({network_of(first, length), route_metric(family), RouteType::unicast,
                                      node % 10 == 0 ? straight : through});
        }
    }
}

}  // namespace

Address address(std::string_view text) {
    return parse_address(text).value();
}
Prefix prefix(std::string_view text) {
    return parse_prefix(text).value();
}

Desired cluster_state(unsigned nodes, unsigned blocks, bool nexthop_objects) {
    Desired desired;
    desired.use_nexthop_objects = nexthop_objects;
    for (const Family family : kFamilies) add_family(desired, family, nodes, blocks);
    desired.sysctls = {
        {"ipv4/conf/vxlan.calico/rp_filter", "0"}, {"ipv4/ip_forward", "1"}, {"ipv6/conf/all/forwarding", "1"}};
    std::ranges::sort(desired.neighbours);
    std::ranges::sort(desired.fdb);
    std::ranges::sort(desired.routes);
    return desired;
}

Observed as_observed(const Desired& desired) {
    Observed observed;
    std::uint32_t index = 10;
    for (const VxlanDevice& device : desired.vxlan) {
        observed.vxlan.push_back({device, ++index, {{device.address, bits(device.address.family)}}, false});
    }
    if (desired.ipip) {
        observed.ipip = ObservedIpip{*desired.ipip, ++index, {{desired.ipip->address, 32}}, true};
    }
    observed.neighbours = desired.neighbours;
    observed.fdb = desired.fdb;
    observed.sysctls = desired.sysctls;
    std::map<std::pair<Family, Via>, std::uint32_t> ids;
    for (const Route& route : desired.routes) {
        std::uint32_t id = 0;
        if (desired.use_nexthop_objects && route.type == RouteType::unicast) {
            const auto [at, fresh] = ids.try_emplace({route.destination.family(), route.via},
                                                     kFirstNexthopId + static_cast<std::uint32_t>(ids.size()));
            id = at->second;
            if (fresh) observed.nexthops.push_back({id, route.destination.family(), route.via});
        }
        observed.routes.push_back({route, id});
    }
    return observed;
}

}  // namespace weft::test
