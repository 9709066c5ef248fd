#include "tunnel/netlink_kernel.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tunnel/netlink_devices.hpp"
#include "tunnel/netlink_state.hpp"
#include "tunnel/sysctl.hpp"

namespace weft {
namespace {

using netlink::Roles;

std::optional<Underlay> underlay_of(netlink::Socket& socket, const std::vector<LinkAddress>& addresses,
                                    const std::optional<Address>& own, const std::optional<Address>& peer) {
    const auto link = netlink::find_underlay(socket, addresses, own, peer);
    if (!link) return std::nullopt;
    Underlay underlay{link->name, link->index, link->mtu};
    if (!peer) return underlay;
    const auto route = netlink::get_route(socket, *peer, false);
    if (!route || route->oif == 0) return underlay;
    if (route->mtu != 0) underlay.mtu = std::min(underlay.mtu, route->mtu);
    const auto towards = netlink::find_link(socket, route->oif);
    if (towards && !towards->loopback) underlay.mtu = std::min(underlay.mtu, towards->mtu);
    return underlay;
}

}  // namespace

NetlinkKernel::NetlinkKernel(std::unique_ptr<State> state) : state_(std::move(state)) {}
NetlinkKernel::~NetlinkKernel() = default;

Result<std::unique_ptr<NetlinkKernel>> NetlinkKernel::open(Options options) {
    auto requests = netlink::Socket::open();
    if (!requests) return requests.error();
    auto notifications = netlink::Socket::open(netlink::watched_groups());
    if (!notifications) return notifications.error();
    if (options.notification_buffer != 0) notifications->set_receive_buffer(options.notification_buffer);
    auto state = std::make_unique<State>(State{std::move(*requests), std::move(*notifications), {}, {}, {}, {}});
    utsname name{};
    if (uname(&name) == 0) state->version = parse_kernel_version(name.release);
    std::vector<netlink::RawNexthop> nexthops;
    state->can.nexthop_objects =
        options.nexthop_objects && netlink::dump_nexthops(state->requests, nexthops).error != EOPNOTSUPP;
    state->can.ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0;
    state->can.vxlan = netlink::probe(state->requests, "vxlan");
    return std::unique_ptr<NetlinkKernel>(new NetlinkKernel(std::move(state)));
}

bool NetlinkKernel::can_make(std::string_view kind) {
    const bool can = netlink::probe(state_->requests, kind);
    if (kind == "vxlan") state_->can.vxlan = can;
    if (kind == "ipip") state_->can.ipip = can;
    return can;
}

Result<Host> NetlinkKernel::host(const Scope& scope) {
    auto links = netlink::dump_links(state_->requests);
    if (!links) return links.error();
    auto addresses = netlink::dump_addresses(state_->requests);
    if (!addresses) return addresses.error();
    Host host;
    host.kernel = state_->version;
    // A module that was missing may have been loaded since; then there is a device of its kind.
    if (std::ranges::find(*links, "ipip", &Link::kind) != links->end()) state_->can.ipip = true;
    if (std::ranges::find(*links, "vxlan", &Link::kind) != links->end()) state_->can.vxlan = true;
    host.can = state_->can;
    host.underlay4 = underlay_of(state_->requests, *addresses, scope.own4, scope.peer4);
    host.underlay6 = underlay_of(state_->requests, *addresses, scope.own6, scope.peer6);
    host.links = std::move(*links);
    host.addresses = std::move(*addresses);
    return host;
}

Result<Surroundings> NetlinkKernel::State::survey(const Scope& scope) {
    auto addresses = netlink::dump_addresses(requests);
    if (!addresses) return addresses.error();
    Surroundings found;
    const auto add = [&](std::optional<Link> link, Device role) {
        if (!link) return;
        found.roles.set(role, link->index);
        if (std::ranges::find(found.links, link->index, &Link::index) == found.links.end()) {
            found.links.push_back(std::move(*link));
        }
    };
    auto ours = netlink::dump_links(requests, "vxlan");
    if (!ours) return ours.error();
    for (const Family family : kFamilies) {
        const netlink::VxlanLinks links = netlink::vxlan_links(*ours, scope, family);
        if (links.wanted) add(*links.wanted, vxlan_device(family));
        if (links.old) add(*links.old, old_device(family));
        if (links.older) add(*links.older, older_device(family));
    }
    auto ipip = netlink::find_link(requests, scope.ipip_device);
    if (ipip && ipip->kind == "ipip") add(std::move(ipip), Device::ipip);
    add(netlink::find_underlay(requests, *addresses, scope.own4, scope.peer4), Device::under4);
    add(netlink::find_underlay(requests, *addresses, scope.own6, scope.peer6), Device::under6);
    std::ranges::sort(found.links, {}, &Link::index);
    std::erase_if(*addresses, [&](const LinkAddress& at) {
        const Address& address = at.address.address;
        return !found.roles.is_ours(at.link) && address != scope.own4 && address != scope.own6;
    });
    found.addresses = std::move(*addresses);
    return found;
}

Result<Lookup> NetlinkKernel::lookup(const Address& destination) {
    const auto route = netlink::get_route(state_->requests, destination, false);
    if (!route) return route.error();
    Lookup found;
    found.destination = destination;
    found.gateway = route->gateway;
    found.protocol = route->protocol;
    found.type = netlink::route_type_name(route->type);
    found.metric = route->metric;
    found.mtu = route->mtu;
    if (const auto link = netlink::find_link(state_->requests, route->oif)) {
        found.device = link->name;
        if (found.mtu == 0) found.mtu = link->mtu;
    }
    // The second question is about the route itself instead of the way one packet would take.
    const auto match = netlink::get_route(state_->requests, destination, true);
    if (match && !found.device.empty()) {
        found.match = match->destination;
        found.protocol = match->protocol;
        found.metric = match->metric;
        found.type = netlink::route_type_name(match->type);
    }
    return found;
}

Result<std::vector<ObservedRoute>> NetlinkKernel::routes_of(std::uint8_t protocol) {
    std::vector<ObservedRoute> found;
    for (const Family family : kFamilies) {
        if (family == Family::v6 && !state_->can.ipv6) continue;
        std::vector<netlink::RawRoute> routes;
        const auto outcome =
            netlink::dump_routes(state_->requests, {.family = family, .protocol = protocol, .oif = 0}, routes);
        if (!outcome.ok()) return Error{"cannot read the kernel's routes: " + outcome.words()};
        for (const netlink::RawRoute& route : routes) {
            // No device, no gateway: a removal then does not ask for them, and takes those with several as well.
            constexpr std::uint8_t kBlackhole = 6;  // RTN_BLACKHOLE
            found.push_back({.route = {.destination = route.destination,
                                       .metric = route.metric,
                                       .type = route.type == kBlackhole ? RouteType::blackhole : RouteType::unicast,
                                       .via = {},
                                       .protocol = protocol},
                             .nexthop_id = 0});
        }
    }
    return found;
}

void NetlinkKernel::watch(std::function<void(const Notice&)> notify) {
    state_->notify = std::move(notify);
}

int NetlinkKernel::notification_fd() const {
    return state_->notifications.fd();
}

void NetlinkKernel::read_notifications() {
    bool lost = false;
    bool look_at_links = false;
    bool look_at_sysctls = false;
    std::vector<Notice> notices;
    for (netlink::Bytes datagram; !(datagram = state_->notifications.poll(lost)).empty();) {
        while (const auto message = netlink::next_message(datagram)) {
            auto verdict = state_->watch.judge(*message, state_->requests.port());
            look_at_links = look_at_links || verdict.look_at_links;
            look_at_sysctls = look_at_sysctls || verdict.look_at_sysctls;
            if (verdict.notice) notices.push_back(std::move(*verdict.notice));
        }
    }
    if (lost) notices.push_back({true, 0, "notifications were lost"});
    if (look_at_links) {
        auto now = state_->survey(state_->watch.scope());
        if (now && now->links != state_->watch.links()) {
            notices.push_back({true, 0, "a device changed"});
            state_->watch.learn_links(now->roles, std::move(now->links), std::move(now->addresses));
        }
    }
    if (look_at_sysctls) {
        for (const Sysctl& setting : state_->watch.sysctls()) {
            if (read_sysctl(setting.path) == setting.value) continue;
            notices.push_back({false, 0, "sysctl " + setting.path + " changed"});
        }
    }
    if (!state_->notify) return;
    for (const Notice& notice : notices) state_->notify(notice);
}

}  // namespace weft
