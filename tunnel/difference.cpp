#include "tunnel/difference.hpp"

#include <algorithm>
#include <utility>

namespace weft {
namespace {

int sign(std::strong_ordering order) {
    return order < 0 ? -1 : order > 0 ? 1 : 0;
}
int order(const Address& a, const Address& b) {
    return sign(a <=> b);
}
/// As ==, by numbers instead of bytes: asked for each route at each change.
bool same(const Via& a, const Via& b) {
    if (a.device != b.device || a.onlink != b.onlink || a.gateway.has_value() != b.gateway.has_value()) return false;
    return !a.gateway || order(*a.gateway, *b.gateway) == 0;
}
int order(const Route& a, const Route& b) {
    if (const int by_address = order(a.destination.address, b.destination.address)) return by_address;
    if (a.destination.length != b.destination.length) return a.destination.length < b.destination.length ? -1 : 1;
    if (a.metric != b.metric) return a.metric < b.metric ? -1 : 1;
    return 0;
}
int order(const Route& a, const ObservedRoute& b) {
    return order(a, b.route);
}
int order(const Neighbour& a, const Neighbour& b) {
    if (a.device != b.device) return a.device < b.device ? -1 : 1;
    return order(a.address, b.address);
}
int order(const FdbEntry& a, const FdbEntry& b) {
    if (a.device != b.device) return a.device < b.device ? -1 : 1;
    return sign(a.mac <=> b.mac);
}
int order(const Sysctl& a, const Sysctl& b) {
    return a.path.compare(b.path);
}

/// Walks two vectors sorted by key side by side. Several found objects can have one key (routes that were appended,
/// destinations of one MAC): the one that is right is kept, else one of them is replaced; the others are stale.
template <class Wanted, class Found, class Exists, class Right, class Write, class Stale>
void merge(const std::vector<Wanted>& wanted, const std::vector<Found>& found, Exists exists, Right right, Write write,
           Stale stale) {
    auto at = found.begin();
    for (const Wanted& want : wanted) {
        int place = -1;
        for (; at != found.end() && (place = order(want, *at)) > 0; ++at) {
            if (exists(*at)) stale(*at);
        }
        if (at == found.end() || place < 0) {
            write(want, nullptr);
            continue;
        }
        // Nearly always there is one and it is right. Others of its key then fall behind the next that is wanted.
        if (exists(*at) && right(want, *at)) {
            ++at;
            continue;
        }
        const auto first = at;
        const Found* keep = nullptr;
        const Found* replaced = nullptr;
        for (; at != found.end() && order(want, *at) == 0; ++at) {
            if (!exists(*at)) continue;
            if (!keep && right(want, *at)) keep = &*at;
            if (!replaced) replaced = &*at;
        }
        if (!keep) write(want, replaced);
        for (auto other = first; other != at; ++other) {
            if (exists(*other) && &*other != (keep ? keep : replaced)) stale(*other);
        }
    }
    for (; at != found.end(); ++at) {
        if (exists(*at)) stale(*at);
    }
}

/// A place routes of one family lead to, and the nexthop object that stands for it.
struct Place {
    Family family = Family::v4;
    Via via;
    std::uint32_t id = 0;

    auto key() const { return std::tie(family, via); }
};

/// The difference as it is being found; `finish` puts the parts into their order.
class Differ {
  public:
    Differ(const Desired& desired, const Observed& observed) : desired_(desired), observed_(observed) {}

    std::vector<Change> run() {
        reserve();
        vxlan_devices();
        ipip_device();
        sysctls();
        entries(desired_.neighbours, observed_.neighbours, stale_neighbours_);
        entries(desired_.fdb, observed_.fdb, stale_fdb_);
        routes();
        return finish();
    }

  private:
    struct Pending {
        const Route* route = nullptr;
        Verb verb = Verb::add;
        std::string_view reason;
    };

    /// On a cold start, when nearly all has to be written, growing would cost more than finding it.
    void reserve() {
        const auto more = [](std::size_t wanted, std::size_t found) { return wanted > found ? wanted - found : 0; };
        const std::size_t routes = more(desired_.routes.size(), observed_.routes.size());
        changes_.reserve(2 * routes + more(desired_.fdb.size(), observed_.fdb.size()) +
                         more(desired_.neighbours.size(), observed_.neighbours.size()));
        pending_.reserve(routes);
    }

    static unsigned bit(Device role) { return 1U << static_cast<unsigned>(role); }
    /// Devices that are made anew take all that is on them along.
    bool anew(Device role) const { return (anew_ & bit(role)) != 0; }
    /// Devices that go at the end for good: their entries go with them.
    bool going(Device role) const { return (going_ & bit(role)) != 0; }
    bool stays(Device role) const { return std::ranges::find(desired_.draining, role) != desired_.draining.end(); }
    bool lost(const Neighbour& have) const { return ((anew_ | forgetful_) & bit(have.device)) != 0; }
    bool lost(const FdbEntry& have) const { return anew(have.device); }

    void vxlan_devices() {
        for (const VxlanDevice& want : desired_.vxlan) {
            const auto found = std::ranges::find_if(
                observed_.vxlan, [&](const ObservedVxlan& have) { return have.device.role == want.role; });
            if (found == observed_.vxlan.end()) {
                devices_.push_back({Verb::add, want, "missing"});
                made_.push_back(want.name);
            } else {
                vxlan_device(want, *found);
            }
        }
        for (const ObservedVxlan& have : observed_.vxlan) {
            const auto wanted = [&](const VxlanDevice& want) { return want.role == have.device.role; };
            if (std::ranges::any_of(desired_.vxlan, wanted)) continue;
            if (stays(have.device.role)) continue;
            if (have.device.role != Device::other) going_ |= bit(have.device.role);
            stale_devices_.push_back({Verb::remove, have.device, "not wanted"});
        }
    }

    void vxlan_device(const VxlanDevice& want, const ObservedVxlan& have) {
        if (const std::string_view why = why_anew(want, have); !why.empty()) {
            devices_.push_back({Verb::remove, have.device, why, true});
            devices_.push_back({Verb::add, want, why, true});
            made_.push_back(want.name);
            anew_ |= bit(want.role);
        } else if (const std::string_view what = why_changed(want, have); !what.empty()) {
            // neigh_changeaddr flushes all neighbours of a device whose MAC changes, permanent ones included.
            const bool forgets = have.device.mac != want.mac;
            if (forgets) forgetful_ |= bit(want.role);
            // Its settings are found under the new name only once it has it.
            if (have.device.name != want.name) made_.push_back(want.name);
            devices_.push_back({Verb::replace, want, what, forgets});
        }
    }

    /// vxlan_nl2conf refuses to change these in a device that exists.
    static std::string_view why_anew(const VxlanDevice& want, const ObservedVxlan& have) {
        if (have.external) return "differs: external";
        if (have.device.vni != want.vni) return "differs: vni";
        if (have.device.port != want.port) return "differs: port";
        if (have.device.local.family != want.local.family) return "differs: local address";
        return {};
    }

    static std::string_view why_changed(const VxlanDevice& want, const ObservedVxlan& have) {
        if (have.device.name != want.name) return "differs: name";
        if (have.device.local != want.local) return "differs: local address";
        if (have.device.parent != want.parent) return "differs: parent";
        if (have.device.learning != want.learning) return "differs: learning";
        if (have.device.mac != want.mac) return "differs: mac";
        if (want.mtu != 0 && have.device.mtu != want.mtu) return "differs: mtu";
        if (have.device.up != want.up) return "differs: up";
        return why_addresses(want.address, have.addresses);
    }

    static std::string_view why_addresses(const Address& want, const std::vector<InterfaceAddress>& have) {
        const InterfaceAddress wanted{want, bits(want.family)};
        const bool wants = !want.is_unspecified();
        if (wants && std::ranges::find(have, wanted) == have.end()) return "differs: address";
        return have.size() > (wants ? 1U : 0U) ? "differs: surplus address" : std::string_view{};
    }

    void ipip_device() {
        const auto& have = observed_.ipip;
        if (!desired_.ipip) {
            if (have && have->ours && !stays(Device::ipip))
                stale_devices_.push_back({Verb::remove, have->device, "not wanted"});
            return;
        }
        const IpipDevice& want = *desired_.ipip;
        if (!have) {
            devices_.push_back({Verb::add, want, "missing"});
            made_.push_back(want.name);
            return;
        }
        std::string_view what;
        if (want.mtu != 0 && have->device.mtu != want.mtu) {
            what = "differs: mtu";
        } else if (have->device.up != want.up) {
            what = "differs: up";
        } else if (!want.address.is_unspecified()) {
            what = why_addresses(want.address, have->addresses);
        }
        if (!what.empty()) devices_.push_back({Verb::replace, want, what});
    }

    /// Settings of a device that is about to be made have no file yet, and a new device starts with defaults.
    bool of_made_device(const Sysctl& setting) const {
        return std::ranges::any_of(made_, [&](std::string_view name) {
            const auto at = setting.path.find(name);
            return at != std::string::npos && at > 0 && setting.path[at - 1] == '/' &&
                   setting.path.size() > at + name.size() && setting.path[at + name.size()] == '/';
        });
    }

    void sysctls() {
        for (const Sysctl& want : desired_.sysctls) {
            if (of_made_device(want)) late_sysctls_.push_back({Verb::replace, want, "device is new"});
        }
        merge(
            desired_.sysctls, observed_.sysctls, [](const Sysctl&) { return true; },
            [&](const Sysctl& want, const Sysctl& have) { return want.value == have.value || of_made_device(want); },
            [&](const Sysctl& want, const Sysctl* have) {
                if (of_made_device(want)) return;
                early_sysctls_.push_back({Verb::replace, want, have ? "differs: value" : "unknown value"});
            },
            [](const Sysctl&) {});
        for (auto* part : {&early_sysctls_, &devices_, &late_sysctls_}) append(*part);
    }

    void append(std::vector<Change>& part) { std::ranges::move(part, std::back_inserter(changes_)); }

    template <class Entry>
    void entries(const std::vector<Entry>& wanted, const std::vector<Entry>& found, std::vector<Change>& stale) {
        merge(
            wanted, found, [&](const Entry& have) { return !lost(have); },
            [](const Entry& want, const Entry& have) { return want == have; },
            [&](const Entry& want, const Entry* have) {
                changes_.push_back({have ? Verb::replace : Verb::add, want, have ? "differs" : "missing"});
            },
            [&](const Entry& have) {
                if (!going(have.device) && !stays(have.device)) stale.push_back({Verb::remove, have, "not wanted"});
            });
    }

    /// Index of one of our nexthops by its id; ids are mostly consecutive, so the first guess mostly hits.
    std::size_t nexthop_at(std::uint32_t id) const {
        const std::vector<Nexthop>& all = observed_.nexthops;
        if (all.empty() || id < all.front().id) return all.size();
        if (const std::size_t guess = id - all.front().id; guess < all.size() && all[guess].id == id) return guess;
        const auto found = std::ranges::lower_bound(all, id, {}, &Nexthop::id);
        return found != all.end() && found->id == id ? static_cast<std::size_t>(found - all.begin()) : all.size();
    }

    /// Whether `have` is where and how `want` says. Marks the nexthop it uses.
    bool right(const Route& want, const ObservedRoute& have) {
        if (have.route.type != want.type || have.route.protocol != want.protocol || !same(have.route.via, want.via)) {
            return false;
        }
        if (want.type == RouteType::blackhole || !desired_.use_nexthop_objects) return have.nexthop_id == 0;
        const std::size_t at = nexthop_at(have.nexthop_id);
        if (at == observed_.nexthops.size() || observed_.nexthops[at].family != want.destination.family()) return false;
        used_[at] = true;
        return true;
    }

    static std::string_view why_route(const Route& want, const ObservedRoute* have) {
        if (!have) return "missing";
        if (have->route.type != want.type) return "differs: type";
        if (have->route.via != want.via) return "differs: nexthop";
        if (have->route.protocol != want.protocol) return "differs: protocol";
        return "differs: written another way";
    }

    void routes() {
        used_.assign(observed_.nexthops.size(), false);
        merge(
            desired_.routes, observed_.routes, [&](const ObservedRoute& have) { return !anew(have.route.via.device); },
            [&](const Route& want, const ObservedRoute& have) { return right(want, have); },
            [&](const Route& want, const ObservedRoute* have) {
                pending_.push_back({&want, have ? Verb::replace : Verb::add, why_route(want, have)});
            },
            [&](const ObservedRoute& have) {
                stale_routes_.push_back({Verb::remove, have, "not wanted"});
            });
        if (desired_.use_nexthop_objects) places();
        for (std::size_t at = observed_.nexthops.size(); at-- > 0;) {
            const Nexthop& have = observed_.nexthops[at];
            if (!used_[at] && !anew(have.via.device)) stale_nexthops_.push_back({Verb::remove, have, "not used"});
        }
    }

    /// Finds or makes a nexthop for each place that a route to be written leads to.
    void places() {
        for (const Pending& pending : pending_) {
            const Place place{pending.route->destination.family(), pending.route->via, 0};
            // A node's blocks mostly follow each other.
            const bool known = !places_.empty() && places_.back().key() == place.key();
            if (pending.route->type == RouteType::unicast && !known) places_.push_back(place);
        }
        std::ranges::sort(places_, {}, &Place::key);
        // Not std::ranges::unique, whose result clang 14 cannot compile with the library of gcc 12.
        const auto same = [](const Place& a, const Place& b) { return a.key() == b.key(); };
        places_.erase(std::unique(places_.begin(), places_.end(), same), places_.end());
        if (places_.empty()) return;
        for (std::size_t at = 0; at < observed_.nexthops.size(); ++at) {
            const Nexthop& have = observed_.nexthops[at];
            if (have.blackhole || anew(have.via.device)) continue;
            Place* const place = place_of(have.family, have.via);
            if (!place || place->id != 0) continue;
            place->id = have.id;
            used_[at] = true;
        }
        for (Place& place : places_) {
            if (place.id != 0) continue;
            place.id = free_id();
            changes_.push_back({Verb::add, Nexthop{place.id, place.family, place.via}, "missing"});
        }
    }

    Place* place_of(Family family, const Via& via) {
        const auto found = std::ranges::lower_bound(places_, std::tie(family, via), {}, &Place::key);
        return found != places_.end() && found->family == family && found->via == via ? &*found : nullptr;
    }

    /// The first that is free. Past all that exist would be simpler, but whoever flushes nexthops goes through them by
    /// id and would meet again what was repaired behind its back. Walks the ids that exist once, however often it is
    /// asked: both lists are sorted.
    std::uint32_t free_id() {
        const auto& foreign = observed_.foreign_nexthop_ids;
        for (;; ++next_id_) {
            while (own_at_ < observed_.nexthops.size() && observed_.nexthops[own_at_].id < next_id_) ++own_at_;
            while (foreign_at_ < foreign.size() && foreign[foreign_at_] < next_id_) ++foreign_at_;
            const bool own = own_at_ < observed_.nexthops.size() && observed_.nexthops[own_at_].id == next_id_;
            if (!own && (foreign_at_ == foreign.size() || foreign[foreign_at_] != next_id_)) return next_id_++;
        }
    }

    std::vector<Change> finish() {
        const Place* place = nullptr;
        for (const Pending& pending : pending_) {
            ObservedRoute route{*pending.route, 0};
            if (pending.route->type == RouteType::unicast && desired_.use_nexthop_objects) {
                const Family family = pending.route->destination.family();
                if (!place || place->family != family || place->via != pending.route->via) {
                    place = place_of(family, pending.route->via);
                }
                route.nexthop_id = place->id;
            }
            changes_.push_back({pending.verb, route, pending.reason});
        }
        for (auto* part : {&stale_routes_, &stale_nexthops_, &stale_fdb_, &stale_neighbours_, &stale_devices_}) {
            append(*part);
        }
        return std::move(changes_);
    }

    const Desired& desired_;
    const Observed& observed_;
    unsigned anew_ = 0;       ///< roles
    unsigned going_ = 0;      ///< roles
    unsigned forgetful_ = 0;  ///< roles whose device loses its neighbours
    std::vector<std::string_view> made_;
    std::vector<Pending> pending_;
    std::vector<Place> places_;
    std::vector<bool> used_;  ///< for each observed nexthop
    std::uint32_t next_id_ = kFirstNexthopId;
    std::size_t own_at_ = 0, foreign_at_ = 0;  ///< the first ids that exist and are not below next_id_
    std::vector<Change> changes_;              ///< in their order
    std::vector<Change> early_sysctls_, devices_, late_sysctls_;
    std::vector<Change> stale_routes_, stale_nexthops_, stale_fdb_, stale_neighbours_, stale_devices_;
};

}  // namespace

std::vector<Change> difference(const Desired& desired, const Observed& observed) {
    return Differ(desired, observed).run();
}

}  // namespace weft
