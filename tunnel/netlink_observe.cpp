#include <algorithm>
#include <cerrno>

#include "tunnel/netlink_devices.hpp"
#include "tunnel/netlink_state.hpp"
#include "tunnel/sysctl.hpp"

namespace weft {
namespace {

using netlink::Outcome;
using netlink::RawNexthop;
using netlink::RawRoute;
using netlink::Roles;

constexpr std::uint8_t kUnicast = 1;    // RTN_UNICAST
constexpr std::uint8_t kBlackhole = 6;  // RTN_BLACKHOLE
constexpr std::uint8_t kByKernel = 2;   // RTPROT_KERNEL

/// One observation: everything that is ours, with indexes translated to roles.
class Observation {
  public:
    Observation(netlink::Socket& socket, const Scope& scope, Surroundings& around, bool nexthop_objects)
        : socket_(socket), scope_(scope), around_(around), nexthop_objects_(nexthop_objects) {}

    Result<Observed> run(const std::vector<Link>& links) {
        devices(links);
        for (const auto step : {&Observation::nexthops, &Observation::entries, &Observation::routes}) {
            if (Outcome outcome = (this->*step)(); !outcome.ok()) {
                return Error{"cannot read the kernel's state: " + outcome.words()};
            }
        }
        sysctls();
        return std::move(found_);
    }

  private:
    std::vector<InterfaceAddress> addresses_of(std::uint32_t link, Family family) const {
        std::vector<InterfaceAddress> all;
        for (const LinkAddress& at : around_.addresses) {
            const Address& address = at.address.address;
            const bool link_local =
                family == Family::v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
            if (at.link == link && address.family == family && !link_local) all.push_back(at.address);
        }
        return all;
    }

    /// The tunnel address is the one that stands alone in its network.
    static Address tunnel_address(const std::vector<InterfaceAddress>& addresses, Family family) {
        const auto host = std::ranges::find(addresses, bits(family), &InterfaceAddress::length);
        if (host != addresses.end()) return host->address;
        return addresses.empty() ? Address{family, {}} : addresses.front().address;
    }

    void vxlan(const Link& link, Device role) {
        // Of an unwanted device the family that it tunnels over counts.
        Family family = netlink::vxlan_family(role);
        if (role == Device::other && link.local) family = link.local->family;
        ObservedVxlan have;
        have.index = link.index;
        have.external = link.external;
        have.addresses = addresses_of(link.index, family);
        have.device = {.role = role,
                       .name = link.name,
                       .vni = link.vni,
                       .port = link.port,
                       .local = link.local.value_or(Address{family, {}}),
                       .parent = around_.roles.role(link.parent, family),
                       .mac = link.mac,
                       .mtu = link.mtu,
                       .learning = link.learning,
                       .up = link.up,
                       .address = tunnel_address(have.addresses, family)};
        found_.vxlan.push_back(std::move(have));
    }

    void devices(const std::vector<Link>& links) {
        for (const Link& link : links) {
            if (link.index == around_.roles.index(Device::ipip)) {
                auto addresses = addresses_of(link.index, Family::v4);
                const Address address = tunnel_address(addresses, Family::v4);
                found_.ipip = ObservedIpip{{link.name, link.mtu, link.up, address},
                                           link.index,
                                           std::move(addresses),
                                           link.alias == netlink::kIpipAlias};
            }
            if (link.kind != "vxlan") continue;
            const bool known = around_.roles.is_vxlan(link.index);
            if (!known && !link.ours()) continue;
            vxlan(link, known ? around_.roles.role(link.index, Family::v4) : Device::other);
        }
        std::ranges::sort(found_.vxlan, {},
                          [](const ObservedVxlan& have) { return std::tie(have.device.role, have.device.name); });
    }

    Via via_of(std::uint32_t oif, const std::optional<Address>& gateway, bool onlink, Family family) const {
        return {around_.roles.role(oif, family), gateway, onlink};
    }

    Outcome nexthops() {
        if (!nexthop_objects_) return {};
        if (Outcome outcome = netlink::dump_nexthops(socket_, raw_nexthops_); !outcome.ok()) return outcome;
        for (const RawNexthop& raw : raw_nexthops_) {
            if (raw.protocol != kProtocol || !raw.plain) {
                found_.foreign_nexthop_ids.push_back(raw.id);
                continue;
            }
            Nexthop nexthop{raw.id, raw.family, {}, raw.blackhole};
            if (!raw.blackhole) nexthop.via = via_of(raw.oif, raw.gateway, raw.onlink, raw.family);
            found_.nexthops.push_back(nexthop);
        }
        return {};
    }

    Outcome entries() {
        for (const Device device : {Device::vxlan4, Device::vxlan6}) {
            const std::uint32_t index = around_.roles.index(device);
            if (index == 0) continue;
            for (const bool bridge : {false, true}) {
                std::vector<netlink::RawNeighbour> raw;
                if (Outcome outcome = netlink::dump_neighbours(socket_, index, bridge, raw); !outcome.ok()) {
                    return outcome;
                }
                for (const netlink::RawNeighbour& one : raw) entry(device, one);
            }
        }
        std::ranges::sort(found_.neighbours);
        std::ranges::sort(found_.fdb);
        return {};
    }

    void entry(Device device, const netlink::RawNeighbour& raw) {
        if (!raw.permanent) return;
        if (raw.bridge) {
            const Address nowhere{netlink::vxlan_family(device), {}};
            found_.fdb.push_back({device, *raw.mac, raw.address.value_or(nowhere)});
        } else {
            found_.neighbours.push_back({device, *raw.address, raw.mac.value_or(Mac{})});
        }
    }

    Outcome routes() {
        for (const Family family : kFamilies) {
            std::vector<RawRoute> raw;
            Outcome outcome = netlink::dump_routes(socket_, {family, kProtocol, 0}, raw);
            const std::size_t ours = raw.size();
            for (const Device role : kVxlanDevices) {
                const std::uint32_t device = around_.roles.index(role);
                if (device != 0 && outcome.ok()) outcome = netlink::dump_routes(socket_, {family, 0, device}, raw);
            }
            // An IPv6 module that is not loaded has no routes.
            if (!outcome.ok() && outcome.error != EAFNOSUPPORT && outcome.error != EOPNOTSUPP) return outcome;
            found_.routes.reserve(found_.routes.size() + ours);
            for (std::size_t at = 0; at < raw.size(); ++at) {
                // Those of our protocol are in the first part already.
                if (at < ours || raw[at].protocol != kProtocol) route(raw[at]);
            }
        }
        std::ranges::sort(found_.routes,
                          [](const ObservedRoute& a, const ObservedRoute& b) { return a.route < b.route; });
        return scope_.bird ? birds_routes() : Outcome{};
    }

    Outcome birds_routes() {
        for (const Family family : kFamilies) {
            std::vector<RawRoute> raw;
            Outcome outcome = netlink::dump_routes(socket_, {family, kProtocolBird, 0}, raw);
            if (!outcome.ok() && outcome.error != EAFNOSUPPORT && outcome.error != EOPNOTSUPP) return outcome;
            for (const RawRoute& one : raw) {
                if (one.type != kUnicast || one.tos != 0) continue;
                // Of several ways (`merge paths`), each of which leads there, the first stands for all.
                const Via via =
                    one.multipath ? via_of(one.first.oif, one.first.gateway, one.first.onlink, family) : route_via(one);
                found_.bird.push_back({one.destination, one.metric, RouteType::unicast, via, kProtocolBird});
            }
        }
        std::ranges::sort(found_.bird);
        return {};
    }

    void route(const RawRoute& raw) {
        if (raw.protocol == kByKernel || raw.tos != 0 || (raw.type != kUnicast && raw.type != kBlackhole)) return;
        ObservedRoute have;
        have.nexthop_id = raw.nexthop_id;
        have.route.destination = raw.destination;
        have.route.metric = raw.metric;
        have.route.protocol = raw.protocol;
        if (raw.type == kBlackhole) {
            have.route.type = RouteType::blackhole;
        } else if (raw.multipath) {
            have.route.via.device = Device::other;
        } else {
            have.route.via = route_via(raw);
        }
        found_.routes.push_back(have);
    }

    Via route_via(const RawRoute& raw) const {
        const Family family = raw.destination.family();
        if (raw.nexthop_id != 0) {
            const auto nexthop = std::ranges::lower_bound(raw_nexthops_, raw.nexthop_id, {}, &RawNexthop::id);
            if (nexthop != raw_nexthops_.end() && nexthop->id == raw.nexthop_id) {
                return via_of(nexthop->oif, nexthop->gateway, nexthop->onlink, nexthop->family);
            }
        }
        return via_of(raw.oif, raw.gateway, raw.onlink, family);
    }

    void sysctls() {
        std::vector<std::string> paths{"ipv4/ip_forward", "ipv6/conf/all/forwarding"};
        std::vector<std::string> names{scope_.vxlan_device4, scope_.vxlan_device6, scope_.ipip_device};
        for (const ObservedVxlan& have : found_.vxlan) names.push_back(have.device.name);
        std::ranges::sort(names);
        names.erase(std::unique(names.begin(), names.end()), names.end());
        for (const std::string& name : names) {
            if (name.empty()) continue;
            paths.push_back("ipv4/conf/" + name + "/rp_filter");
            paths.push_back("ipv6/conf/" + name + "/accept_ra");
        }
        for (std::string& path : paths) {
            std::string value = read_sysctl(path);
            found_.sysctls.push_back({std::move(path), std::move(value)});
        }
        std::ranges::sort(found_.sysctls);
    }

    netlink::Socket& socket_;
    const Scope& scope_;
    Surroundings& around_;
    bool nexthop_objects_;
    std::vector<RawNexthop> raw_nexthops_;
    Observed found_;
};

}  // namespace

Result<Observed> NetlinkKernel::observe(const Scope& scope) {
    auto around = state_->survey(scope);
    if (!around) return around.error();
    const auto links = netlink::dump_links(state_->requests);
    if (!links) return links.error();
    auto observed = Observation(state_->requests, scope, *around, state_->can.nexthop_objects).run(*links);
    if (!observed) return observed.error();
    state_->watch.learn(scope, around->roles, std::move(around->links), std::move(around->addresses), *observed);
    return observed;
}

}  // namespace weft
