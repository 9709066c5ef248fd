#include "tunnel/netlink_watch.hpp"

#include <fmt/format.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "tunnel/netlink_devices.hpp"

namespace weft::netlink {
namespace {

auto key(const Neighbour& entry) {
    return std::tie(entry.device, entry.address);
}
auto key(const FdbEntry& entry) {
    return std::tie(entry.device, entry.mac);
}
template <class Entry>
bool by_key(const Entry& a, const Entry& b) {
    return key(a) < key(b);
}

/// Up to so many are put in or taken out one by one.
constexpr std::size_t kFew = 32;

/// Merges `added` into `all`, an added one taking the place of one with its key, and takes `removed` out.
template <class Entry, class Less>
void update(std::vector<Entry>& all, std::vector<Entry>& added, std::vector<Entry>& removed, Less less) {
    if (added.size() + removed.size() <= kFew) {
        for (const Entry& entry : removed) {
            const auto [first, last] = std::equal_range(all.begin(), all.end(), entry, less);
            all.erase(first, last);
        }
        for (const Entry& entry : added) {
            const auto [first, last] = std::equal_range(all.begin(), all.end(), entry, less);
            all.insert(all.erase(first, last), entry);
        }
        return;
    }
    if (!removed.empty()) {
        std::ranges::sort(removed, less);
        std::erase_if(all, [&](const Entry& entry) { return std::ranges::binary_search(removed, entry, less); });
    }
    if (added.empty()) return;
    std::ranges::stable_sort(added, less);
    const auto middle = static_cast<std::ptrdiff_t>(all.size());
    all.insert(all.end(), added.begin(), added.end());
    std::inplace_merge(all.begin(), all.begin() + middle, all.end(), less);
    // Of equal keys the last is the newest.
    std::size_t kept = 0;
    for (std::size_t at = 0; at < all.size(); ++at) {
        if (at + 1 < all.size() && !less(all[at], all[at + 1])) continue;
        all[kept++] = all[at];
    }
    all.resize(kept);
}

template <class Entry>
struct Delta {
    std::vector<Entry> added, removed;

    void note(Verb verb, const Entry& entry) { (verb == Verb::remove ? removed : added).push_back(entry); }
};

std::string device_name(const Scope& scope, Device device) {
    if (device == Device::vxlan4) return scope.vxlan_device4;
    return device == Device::vxlan6 ? scope.vxlan_device6 : scope.ipip_device;
}

Watch::Verdict notice(bool full, const Message& message, std::string object) {
    return {Kernel::Notice{full, message.header.nlmsg_pid, std::move(object)}, false, false};
}

}  // namespace

std::span<const int> watched_groups() {
    static constexpr std::array kGroups{int{RTNLGRP_LINK},       int{RTNLGRP_IPV4_IFADDR},  int{RTNLGRP_IPV6_IFADDR},
                                        int{RTNLGRP_IPV4_ROUTE}, int{RTNLGRP_IPV6_ROUTE},   int{RTNLGRP_NEIGH},
                                        int{RTNLGRP_NEXTHOP},    int{RTNLGRP_IPV4_NETCONF}, int{RTNLGRP_IPV6_NETCONF}};
    return kGroups;
}

void Watch::learn(const Scope& scope, const Roles& roles, std::vector<Link> links, std::vector<LinkAddress> addresses,
                  const Observed& observed) {
    started_ = true;
    scope_ = scope;
    learn_links(roles, std::move(links), std::move(addresses));
    neighbours_ = observed.neighbours;
    fdb_ = observed.fdb;
    sysctls_ = observed.sysctls;
    std::vector<RouteKey> routes;
    routes.reserve(observed.routes.size());
    const auto key_of = [](const ObservedRoute& at) { return RouteKey{at.route.destination, at.route.metric}; };
    std::ranges::transform(observed.routes, std::back_inserter(routes), key_of);
    if (routes == routes_) return;
    std::vector<RouteKey> all;
    all.reserve(std::max(routes.size(), routes_.size()));
    std::ranges::set_union(routes, routes_, std::back_inserter(all));
    routes_ = std::move(all);
}

bool Watch::holds(const Route& route) const {
    return std::ranges::binary_search(routes_, RouteKey{route.destination, route.metric});
}

void Watch::learn_links(const Roles& roles, std::vector<Link> links, std::vector<LinkAddress> addresses) {
    roles_ = roles;
    links_ = std::move(links);
    addresses_ = std::move(addresses);
}

void Watch::learn(std::span<const Change> changes, const std::vector<std::size_t>& failed) {
    Delta<Neighbour> neighbours;
    Delta<FdbEntry> fdb;
    Delta<RouteKey> routes;
    for (std::size_t at = 0; at < changes.size(); ++at) {
        if (std::ranges::binary_search(failed, at)) continue;
        const Change& change = changes[at];
        if (const auto* entry = std::get_if<Neighbour>(&change.object)) neighbours.note(change.verb, *entry);
        if (const auto* entry = std::get_if<FdbEntry>(&change.object)) fdb.note(change.verb, *entry);
        if (const auto* setting = std::get_if<Sysctl>(&change.object)) {
            const auto known = std::ranges::find(sysctls_, setting->path, &Sysctl::path);
            if (known != sysctls_.end()) known->value = setting->value;
        }
        if (const auto* route = std::get_if<ObservedRoute>(&change.object)) {
            routes.note(change.verb, {route->route.destination, route->route.metric});
        }
    }
    update(neighbours_, neighbours.added, neighbours.removed, by_key<Neighbour>);
    update(fdb_, fdb.added, fdb.removed, by_key<FdbEntry>);
    update(routes_, routes.added, routes.removed, std::less<RouteKey>());
}

Watch::Verdict Watch::judge(const Message& message, std::uint32_t own_port) const {
    if (!started_ || message.header.nlmsg_pid == own_port) return {};
    switch (message.header.nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            return judge_link(message);
        case RTM_NEWADDR:
        case RTM_DELADDR:
            return judge_address(message);
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
            return judge_route(message);
        case RTM_NEWNEXTHOP:
        case RTM_DELNEXTHOP:
            return judge_nexthop(message);
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
            return judge_neighbour(message);
        case RTM_NEWNETCONF:
            return judge_setting(message);
        default:
            return {};
    }
}

Watch::Verdict Watch::judge_link(const Message& message) const {
    if (message.fixed<ifinfomsg>().ifi_family == AF_BRIDGE) return {};
    const auto link = parse_link(message);
    if (!link) return {};
    const bool known = std::ranges::find(links_, link->index, &Link::index) != links_.end();
    const bool named =
        link->name == scope_.vxlan_device4 || link->name == scope_.vxlan_device6 || link->name == scope_.ipip_device;
    return {std::nullopt, known || named || link->alias.starts_with(kAliasPrefix), false};
}

Watch::Verdict Watch::judge_address(const Message& message) const {
    const auto at = parse_link_address(message);
    if (!at) return {};
    const Address& address = at->address.address;
    const bool added = message.header.nlmsg_type == RTM_NEWADDR;
    const bool nodes_own = address == scope_.own4 || address == scope_.own6;
    const bool link_local =
        address.family == Family::v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
    if (!nodes_own && (!roles_.is_ours(at->link) || link_local)) return {};
    if (added == std::ranges::binary_search(addresses_, *at)) return {};
    return notice(true, message, fmt::format("address {} {}", to_string(at->address), added ? "added" : "deleted"));
}

Watch::Verdict Watch::judge_route(const Message& message) const {
    const auto route = parse_route(message);
    if (!route || route->table != RT_TABLE_MAIN || route->cloned || route->protocol == RTPROT_KERNEL) return {};
    const bool added = message.header.nlmsg_type == RTM_NEWROUTE;
    const Device device = roles_.role(route->oif, route->destination.family());
    // What leads through tunl0 is BIRD's or anybody's.
    const bool ours = route->protocol == kProtocol || roles_.is_vxlan(route->oif);
    const bool believed = std::ranges::binary_search(routes_, RouteKey{route->destination, route->metric});
    if (!ours && !(added && believed)) return {};
    // Of a device that we removed the kernel announces the IPv6 routes, in nobody's name.
    if (!added && message.header.nlmsg_pid == 0 && device == Device::other) return {};
    if (!added && !believed) return {};
    const char* const what = !added ? "deleted" : (ours ? "changed" : "overridden");
    return notice(false, message, fmt::format("route {} {}", to_string(route->destination), what));
}

Watch::Verdict Watch::judge_setting(const Message& message) const {
    Bytes attributes = message.attributes<netconfmsg>();
    Verdict verdict;
    while (const auto attribute = next_attribute(attributes)) {
        if (attribute->type == NETCONFA_FORWARDING || attribute->type == NETCONFA_RP_FILTER) {
            verdict.look_at_sysctls = true;
        }
    }
    return verdict;
}

Watch::Verdict Watch::judge_nexthop(const Message& message) const {
    const auto nexthop = parse_nexthop(message);
    if (!nexthop || nexthop->protocol != kProtocol) return {};
    const bool added = message.header.nlmsg_type == RTM_NEWNEXTHOP;
    return notice(false, message, fmt::format("nexthop {} {}", nexthop->id, added ? "changed" : "deleted"));
}

template <class Entry>
Watch::Verdict Watch::judge_entry(const std::vector<Entry>& believed, const Entry& entry, bool there,
                                  bool permanent) const {
    const auto found = std::ranges::lower_bound(believed, entry, by_key<Entry>);
    const bool known = found != believed.end() && key(*found) == key(entry);
    // What the kernel resolves or learns by itself is no business of ours, but where it stands in place of our own.
    if (!known) return {there && permanent ? std::optional(Kernel::Notice{}) : std::nullopt, false, false};
    const bool as_believed = there && permanent && *found == entry;
    return {as_believed ? std::nullopt : std::optional(Kernel::Notice{}), false, false};
}

Watch::Verdict Watch::judge_neighbour(const Message& message) const {
    const auto entry = parse_neighbour(message);
    if (!entry || entry->proxy) return {};
    const Device device = roles_.role(entry->link, Family::v4);
    if (device != Device::vxlan4 && device != Device::vxlan6) return {};
    const bool there = message.header.nlmsg_type == RTM_NEWNEIGH;
    if (there && entry->outline) return {};  // the device has told it in full
    Verdict verdict;
    std::string object;
    if (entry->bridge) {
        const FdbEntry found{device, *entry->mac, entry->address.value_or(Address{vxlan_family(device), {}})};
        verdict = judge_entry(fdb_, found, there, entry->permanent);
        if (verdict.notice) object = "fdb entry " + to_string(*entry->mac);
    } else {
        const Neighbour found{device, *entry->address, entry->mac.value_or(Mac{})};
        verdict = judge_entry(neighbours_, found, there, entry->permanent);
        if (verdict.notice) object = "neighbour " + to_string(*entry->address);
    }
    if (!verdict.notice) return {};
    return notice(false, message,
                  fmt::format("{} on {} {}", object, device_name(scope_, device), there ? "changed" : "deleted"));
}

}  // namespace weft::netlink
