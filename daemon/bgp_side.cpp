#include <utility>

#include "daemon/bgp_side.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/controller.hpp"
#include "daemon/readiness.hpp"
#include "tunnel/port_owner.hpp"

namespace weft {
namespace {

bool kernel_has_birds_routes(Kernel& kernel) {
    const auto routes = kernel.routes_of(kBirdProtocol);
    return routes && !routes->empty();
}

std::string name_of(const Session& session) {
    return session.node.empty() ? session.peer : fmt::format("{} (node {})", session.peer, session.node);
}

/// What became of the sessions, for the log and `show events`.
void note_sessions(State& state, const std::vector<Session>& before, const std::vector<Session>& now) {
    for (const Session& session : now) {
        const auto known = std::ranges::find(before, session.protocol, &Session::protocol);
        const bool was = known != before.end() && known->established;
        if (was == session.established) continue;
        const std::string what =
            fmt::format("BGP session to {} {}", name_of(session), session.established ? "established" : "down");
        if (session.established) {
            spdlog::info("{}", what);
        } else {
            spdlog::warn("{}: {}", what, session.info);
        }
        state.note(what, session.established ? "bgp" : session.info);
    }
}

}  // namespace

BirdSettings bird_settings(const Config& config) {
    return {.program = config.bird_program.value,
            .socket = config.bird_socket.value,
            .state_directory = config.state_directory.value,
            .spawn = config.bird_spawn.value,
            .port = config.bgp_port.value};
}

BirdConfig bird_config(const Config& config, const Cluster& cluster) {
    return render({.cluster = cluster,
                   .node = config.hostname.value,
                   .router_id = config.router_id.value,
                   .workload_interfaces = config.workload_interfaces.value});
}

Result<std::vector<Change>> removal_of_birds_routes(Kernel& kernel, const std::vector<Pool>& pools) {
    const auto routes = kernel.routes_of(kBirdProtocol);
    if (!routes) return routes.error();
    std::vector<Change> changes;
    for (const ObservedRoute& route : *routes) {
        const Prefix& destination = route.route.destination;
        const bool ours = std::ranges::any_of(pools, [&](const Pool& pool) { return pool.cidr.contains(destination); });
        if (ours) {
            changes.push_back({.verb = Verb::remove, .object = route, .reason = "BIRD is off", .may_interrupt = false});
        }
    }
    return changes;
}

BgpSide::BgpSide(boost::asio::io_context& io, State& state, Kernel& kernel, std::function<void()> changed)
    : state_(state),
      kernel_(kernel),
      changed_(std::move(changed)),
      bird_(io, {.changed = [this] { take_over_status(); },
                 .kernel_has_routes = [this] { return kernel_has_birds_routes(kernel_); },
                 .port_owner = tcp_port_owner}),
      patience_(io) {}

void BgpSide::kernel_changed(std::span<const Change> changes) {
    const bool appeared = std::ranges::any_of(changes, [](const Change& change) {
        return change.verb != Verb::remove && std::holds_alternative<IpipDevice>(change.object);
    });
    if (appeared) bird_.ipip_device_appeared();
}

void BgpSide::follow() {
    if (!state_.cluster_known) return;
    if (announced_ != state_.still_announced) {
        announced_ = state_.still_announced;
        stale_ = true;
    }
    if (bgp_is_wanted(state_) || !announced_.empty()) return want();
    // Until weftd's own routes are there, BIRD's carry the traffic.
    if (!state_.kernel_synced) return;
    patience_.cancel();
    stale_ = true;
    // Other nodes may read the change later than this one: until then they go on with the routes they have.
    bird_.unwanted(bird_settings(state_.config), Goodbye::quiet);
    if (state_.bgp.bird == BirdState::off && leftovers_) remove_leftovers();
}

void BgpSide::want() {
    leftovers_ = true;
    if (!std::exchange(stale_, false)) return;
    pools_ = state_.cluster.pools;
    Cluster told = state_.cluster;
    for (const Pool& pool : announced_) {
        const auto at = std::ranges::find(told.pools, pool.cidr, &Pool::cidr);
        if (at != told.pools.end()) *at = pool;
    }
    bird_.want(bird_settings(state_.config), bird_config(state_.config, told));
    take_over_status();
    patience_.expires_at(state_.bgp.started + kAllSessions + std::chrono::milliseconds(1));
    patience_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) changed_();
    });
}

void BgpSide::take_over_status() {
    const BgpStatus before = std::exchange(state_.bgp, bird_.status());
    const BgpStatus& now = state_.bgp;
    if (before.bird != now.bird) state_.note(fmt::format("BIRD is {}", to_string(now.bird)), now.reason);
    if (before.bird != now.bird && now.bird == BirdState::failed) ++state_.counters.errors["bird"];
    note_sessions(state_, before.sessions, now.sessions);
    follow();
    changed_();
}

void BgpSide::remove_leftovers() {
    std::vector<Pool> pools = state_.cluster.pools;
    pools.insert(pools.end(), pools_.begin(), pools_.end());
    const auto changes = removal_of_birds_routes(kernel_, pools);
    if (!changes) return spdlog::error("{}", changes.error().message);
    leftovers_ = false;
    if (changes->empty()) return;
    const auto failures = kernel_.apply(scope_of(state_.config, state_.cluster), *changes);
    for (const Failure& failure : failures) spdlog::error("{}", failure.message);
    const std::string what =
        fmt::format("removed {} routes that BIRD left in the pools", changes->size() - failures.size());
    spdlog::info("{}", what);
    state_.note(what, "BIRD is off");
    pools_.clear();
}

}  // namespace weft
