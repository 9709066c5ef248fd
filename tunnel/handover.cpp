#include "tunnel/handover.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace weft {
namespace {

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
    return std::ranges::find(all, one) != all.end();
}

/// Finds routes by destination and metric in a sorted vector; asked in ascending order, so that all of them together
/// cost one walk.
template <class Entry>
class Cursor {
  public:
    explicit Cursor(const std::vector<Entry>& routes) : at_(routes.begin()), end_(routes.end()) {}

    /// nullptr: there is none.
    const Route* find(const Route& like) {
        while (at_ != end_ && before(route_of(*at_), like)) ++at_;
        return at_ != end_ && !before(like, route_of(*at_)) ? &route_of(*at_) : nullptr;
    }

  private:
    static const Route& route_of(const Route& route) { return route; }
    static const Route& route_of(const ObservedRoute& route) { return route.route; }
    static bool before(const Route& a, const Route& b) {
        if (a.destination == b.destination) return a.metric < b.metric;
        return a.destination < b.destination;
    }

    typename std::vector<Entry>::const_iterator at_, end_;
};

const Route* find(const std::vector<Route>& routes, const Prefix& destination) {
    const auto at = std::ranges::lower_bound(routes, destination, {}, &Route::destination);
    return at != routes.end() && at->destination == destination ? &*at : nullptr;
}

class Staging {
  public:
    explicit Staging(StageInput input) : input_(std::move(input)), self_(input_.cluster.find_node(input_.node)) {}

    Stage run() {
        own_routes();
        routes_for_bird();
        announcements();
        take_target();
        devices();
        keep_interim_names(result_.desired, input_.observed, input_.live_rename);
        std::ranges::sort(result_.echoes);
        result_.echoes.erase(std::unique(result_.echoes.begin(), result_.echoes.end()), result_.echoes.end());
        return std::move(result_);
    }

  private:
    bool accepts(const Echo& echo) {
        if (input_.accepts(echo)) return true;
        result_.echoes.push_back(echo);
        return false;
    }

    /// The node behind a VXLAN route is the one whose neighbour entry its gateway is.
    std::optional<Echo> vxlan_echo(const Route& route) const {
        const Device device = route.via.device;
        const Address& tunnel = route.via.gateway ? *route.via.gateway : route.destination.address;
        const auto neighbour =
            std::ranges::lower_bound(input_.target.neighbours, std::tie(device, tunnel), {},
                                     [](const Neighbour& entry) { return std::tie(entry.device, entry.address); });
        if (neighbour == input_.target.neighbours.end() || neighbour->device != device ||
            neighbour->address != tunnel) {
            return std::nullopt;
        }
        const auto entry = std::ranges::lower_bound(input_.target.fdb, std::tie(device, neighbour->mac), {},
                                                    [](const FdbEntry& at) { return std::tie(at.device, at.mac); });
        if (entry == input_.target.fdb.end() || entry->device != device || entry->mac != neighbour->mac) {
            return std::nullopt;
        }
        return Echo{device, tunnel, entry->destination, neighbour->mac};
    }

    /// Routes that the target has weftd program.
    void own_routes() {
        Cursor present(input_.observed.routes);
        const std::vector<Route>& routes = input_.target.routes;
        for (std::size_t at = 0; at < routes.size(); ++at) {
            const Route& route = routes[at];
            const Device to = route.via.device;
            if (route.type != RouteType::unicast || (to != Device::vxlan4 && to != Device::vxlan6)) continue;
            const Route* const ours = present.find(route);
            const bool leads = ours && ours->type == RouteType::unicast;
            if (leads && ours->via.device == to) continue;
            const Route* const birds = find(input_.observed.bird, route.destination);
            const Route* const now = leads ? ours : birds;
            // Where nothing leads there yet, nothing can be lost.
            if (!now || now->via.device == to || now->via.device == Device::none) continue;
            const auto echo = vxlan_echo(route);
            if (!echo || !is_a_way_to(*echo, *now, birds) || accepts(*echo)) continue;
            ++result_.held;
            // A device that has no role cannot be written to; BIRD's route through one goes on carrying the packets.
            const bool birds_stays = now == birds && now->via.device == Device::other;
            held_.push_back({at, birds_stays ? std::nullopt : std::optional(now->via)});
        }
    }

    /// The target, with the routes that are held where they are now, and those that BIRD does not carry yet.
    void take_target() {
        result_.desired = std::move(input_.target);
        std::vector<Route>& routes = result_.desired.routes;
        auto held = held_.begin();
        std::size_t end = held_.empty() ? routes.size() : held->route;
        for (std::size_t at = end; at < routes.size(); ++at) {
            const bool waits = held != held_.end() && held->route == at;
            const std::optional<Via> via = waits ? (held++)->via : routes[at].via;
            if (!via) continue;
            routes[end] = routes[at];
            routes[end++].via = *via;
        }
        routes.resize(end);
        if (kept_.empty()) return;
        routes.insert(routes.end(), kept_.begin(), kept_.end());
        std::ranges::sort(routes);
    }

    /// Whether the node was reached like this before, or somebody has just bent our route: that is repaired at once.
    static bool is_a_way_to(const Echo& echo, const Route& now, const Route* birds) {
        const Family family = echo.tunnel.family;
        return now.via.device == old_device(family) || now.via.device == older_device(family) ||
               now.via.gateway == echo.underlay || (birds != nullptr && birds->via == now.via);
    }

    const Block* block_of(const Prefix& cidr) const {
        const auto& blocks = input_.cluster.blocks;
        const auto at = std::ranges::lower_bound(blocks, cidr, {}, &Block::cidr);
        return at != blocks.end() && at->cidr == cidr ? &*at : nullptr;
    }

    /// Routes that the target leaves to BIRD.
    void routes_for_bird() {
        if (input_.backend != Backend::bird || self_ == nullptr) return;
        Cursor wanted(input_.target.routes);
        for (const ObservedRoute& have : input_.observed.routes) {
            const Route& ours = have.route;
            if (wanted.find(ours) != nullptr) continue;
            if (ours.type != RouteType::unicast || ours.protocol != kProtocol ||
                ours.metric != route_metric(ours.destination.family())) {
                continue;
            }
            if (!birds_own(ours.destination) || taken_over(ours.destination)) continue;
            ++result_.held;
            keep(ours.destination, ours.via);
        }
        if (input_.turning.empty()) return;
        Cursor present(input_.observed.routes);
        for (const Route& birds : input_.observed.bird) {
            const Prefix& to = birds.destination;
            const bool turning =
                std::ranges::any_of(input_.turning, [&](const Prefix& pool) { return pool.contains(to); });
            if (!turning || birds.type != RouteType::unicast || birds.via.device == Device::other) continue;
            const Route ours{.destination = to, .metric = route_metric(to.family()), .via = {}};
            if (present.find(ours) != nullptr || !birds_own(to) || taken_over(to)) continue;
            ++result_.held;
            keep(to, birds.via);
        }
    }

    void keep(const Prefix& destination, const Via& via) {
        kept_.push_back({.destination = destination,
                         .metric = route_metric(destination.family()),
                         .type = RouteType::unicast,
                         .via = via});
    }

    /// A remote node's block in a pool that is BIRD's.
    bool birds_own(const Prefix& destination) const {
        const Block* const block = block_of(destination);
        if (block == nullptr || &input_.cluster.nodes[block->node] == self_) return false;
        const Pool* const pool = input_.cluster.pool_of(destination);
        return pool != nullptr && pool->vxlan == Encapsulate::never;
    }

    /// BIRD's route leads where the pool says, and the node takes what comes that way.
    bool taken_over(const Prefix& destination) {
        const Node& node = input_.cluster.nodes[block_of(destination)->node];
        const Pool& pool = *input_.cluster.pool_of(destination);
        const Route* const birds = find(input_.observed.bird, destination);
        const bool ipip =
            pool.ipip != Encapsulate::never && node.address4 && self_->address4 &&
            (pool.ipip == Encapsulate::always || !self_->address4->network().contains(node.address4->address));
        const bool there = birds != nullptr && (birds->via.device == Device::ipip) == ipip;
        if (!input_.bird_vouches) return accepts({Device::none, destination.address, {}, {}});
        // One that BIRD knows no way to yet goes on being reached as it was, however long that takes.
        if (birds == nullptr) {
            accepts({Device::none, destination.address, {}, {}});
            return false;
        }
        if (!there) return accepts({Device::none, destination.address, {}, {}});
        if (!ipip) return true;
        // One that has not got its IPIP tunnel address yet still has that of VXLAN, and takes packets to it either way.
        const auto& tunnel = node.ipip4 ? node.ipip4 : node.vxlan4;
        return accepts(tunnel ? Echo{Device::ipip, *tunnel, node.address4->address, {}} : address_of(node, Family::v4));
    }

    /// What cannot be asked before the node has a tunnel address; that is waited for as long as for an answer.
    static Echo address_of(const Node& node, Family family) {
        return {Device::none, {}, node.address(family)->address, {}};
    }

    /// Pools that are weftd's now, while BIRD's routes tell that others still learn this node's blocks from BIRD.
    void announcements() {
        if (input_.backend == Backend::none || self_ == nullptr) return;
        for (const Pool& pool : input_.cluster.pools) {
            if (pool.vxlan == Encapsulate::never) continue;
            bool any = false;
            bool ipip = false;
            for (const Route& birds : input_.observed.bird) {
                if (birds.type != RouteType::unicast || !pool.cidr.contains(birds.destination)) continue;
                const Block* const block = block_of(birds.destination);
                if (block == nullptr || &input_.cluster.nodes[block->node] == self_) continue;
                any = true;
                ipip = ipip || birds.via.device == Device::ipip;
            }
            if (!any || everybody_answered(pool)) continue;
            Pool as_before = pool;
            as_before.vxlan = Encapsulate::never;
            as_before.ipip = ipip ? Encapsulate::always : Encapsulate::never;
            result_.still_announced.push_back(as_before);
        }
    }

    /// Every node that has blocks in the pool.
    bool everybody_answered(const Pool& pool) {
        const Family family = pool.cidr.family();
        bool all = true;
        const auto& blocks = input_.cluster.blocks;
        std::vector<bool> asked(input_.cluster.nodes.size(), false);
        for (const Block& block : blocks) {
            const Node& node = input_.cluster.nodes[block.node];
            if (asked[block.node] || &node == self_ || !pool.cidr.contains(block.cidr)) continue;
            asked[block.node] = true;
            const auto& address = node.address(family);
            const auto& vtep = node.vxlan(family);
            if (!address) continue;
            all = accepts(vtep ? Echo{vxlan_device(family), *vtep, address->address, node.mac(family)}
                               : address_of(node, family)) &&
                  all;
        }
        // As long as this node has no VTEP, nobody has another way to it.
        if (self_->address(family) && !self_->vxlan(family)) all = accepts(address_of(*self_, family)) && all;
        return all;
    }

    void devices() {
        for (const ObservedVxlan& have : input_.observed.vxlan) {
            const Device role = have.device.role;
            const auto wanted = [&](const VxlanDevice& want) { return want.role == role; };
            if (role != Device::other && std::ranges::none_of(result_.desired.vxlan, wanted)) leave(role);
        }
        if (input_.observed.ipip && input_.observed.ipip->ours && !result_.desired.ipip) leave(Device::ipip);
    }

    void leave(Device role) {
        const auto through = [&](const Route& route) { return route.via.device == role; };
        // In a pool that is gone, BIRD's routes count for nothing.
        const auto of_a_pool = [&](const Route& route) {
            return through(route) && input_.cluster.pool_of(route.destination) != nullptr;
        };
        const bool used = std::ranges::any_of(result_.desired.routes, through) ||
                          (role == Device::ipip && std::ranges::any_of(input_.observed.bird, of_a_pool));
        // Without a backend there is nothing that could come in.
        if (!used && (contains(input_.drained, role) || input_.backend == Backend::none)) return;
        result_.draining.push_back(role);
        result_.desired.draining.push_back(role);
        if (!used) result_.idle.push_back(role);
    }

    /// A route of the target that is not to be as the target has it yet.
    struct Held {
        std::size_t route = 0;   ///< its place
        std::optional<Via> via;  ///< where it leads meanwhile; unset: it is not there yet
    };

    StageInput input_;
    const Node* self_;
    std::vector<Held> held_;   ///< in the order of their places
    std::vector<Route> kept_;  ///< that the target does not have any more
    Stage result_;
};

/// So many nodes' blocks are named one by one. Where more change at once, or half of all, BIRD may be started anew
/// (bgp/replaced_sessions.hpp).
constexpr std::size_t kFewNodes = 16;

/// The nodes that both clusters have and whose sessions are about to be replaced; nullopt: all of this node's sessions
/// are, or those of a reflector, through which anything may have been learnt.
std::optional<std::vector<std::size_t>> nodes_with_other_sessions(const Cluster& before, const Cluster& now,
                                                                  std::string_view self) {
    const auto common = [](const BgpSettings& bgp) { return std::tie(bgp.password, bgp.graceful_restart_seconds); };
    if (common(before.bgp) != common(now.bgp)) return std::nullopt;
    const auto own = [](const Node& node, const BgpSettings& bgp) {
        return std::tuple(node.as.value_or(bgp.local_as), node.cluster_id, node.bgp_port.value_or(bgp.port));
    };
    std::vector<std::size_t> others;
    auto old = before.nodes.begin();  // both are sorted by name
    for (std::size_t at = 0; at < now.nodes.size(); ++at) {
        const Node& node = now.nodes[at];
        while (old != before.nodes.end() && old->name < node.name) ++old;
        if (old == before.nodes.end()) break;
        if (old->name != node.name || own(*old, before.bgp) == own(node, now.bgp)) continue;
        const bool many = others.size() == kFewNodes || 2 * (others.size() + 1) + 1 >= now.nodes.size();
        const bool everything = many || node.name == self || node.cluster_id || old->cluster_id;
        if (everything) return std::nullopt;
        others.push_back(at);
    }
    return others;
}

}  // namespace

std::string to_string(const Echo& echo) {
    if (echo.through == Device::none && echo.underlay != Address{}) {
        return fmt::format("the tunnel address of {}", to_string(echo.underlay));
    }
    if (echo.through == Device::none) return fmt::format("BIRD's route to the block at {}", to_string(echo.tunnel));
    return fmt::format("{} through {}", to_string(echo.underlay), to_string(echo.through));
}

void keep_interim_names(Desired& desired, const Observed& observed, bool live_rename) {
    for (VxlanDevice& want : desired.vxlan) {
        const auto have = std::ranges::find_if(observed.vxlan, [&](const ObservedVxlan& at) {
            return at.device.role == want.role && at.device.name != want.name;
        });
        if (have == observed.vxlan.end()) continue;
        const bool taken =
            std::ranges::any_of(observed.vxlan, [&](const ObservedVxlan& at) { return at.device.name == want.name; });
        if (!taken && (live_rename || !have->device.up)) continue;
        for (Sysctl& setting : desired.sysctls) {
            const std::string wanted = "/" + want.name + "/";
            const auto at = setting.path.find(wanted);
            if (at != std::string::npos) setting.path.replace(at, wanted.size(), "/" + have->device.name + "/");
        }
        want.name = have->device.name;
    }
    std::ranges::sort(desired.sysctls);
}

Stage stage(StageInput input) {
    return Staging(std::move(input)).run();
}

std::vector<Prefix> turned(const Cluster& before, const Cluster& now, std::string_view node) {
    const auto by_bgp = [](const Pool& pool) { return pool.vxlan == Encapsulate::never; };
    const bool bgp = std::ranges::any_of(now.pools, by_bgp);
    const auto nodes = bgp ? nodes_with_other_sessions(before, now, node) : std::vector<std::size_t>{};
    std::vector<Prefix> turned;
    for (const Pool& pool : now.pools) {
        const bool differs = std::ranges::any_of(before.pools, [&](const Pool& old) {
            const bool same_place = old.cidr.contains(pool.cidr) || pool.cidr.contains(old.cidr);
            const bool relearnt = !nodes && by_bgp(pool);
            return same_place && (relearnt || old.ipip != pool.ipip || old.vxlan != pool.vxlan);
        });
        if (differs) turned.push_back(pool.cidr);
    }
    if (!nodes || nodes->empty()) return turned;
    for (const Block& block : now.blocks) {
        if (std::ranges::find(*nodes, block.node) == nodes->end()) continue;
        const Pool* const pool = now.pool_of(block.cidr);
        if (pool != nullptr && by_bgp(*pool) && before.pool_of(block.cidr) != nullptr) turned.push_back(block.cidr);
    }
    return turned;
}

}  // namespace weft
