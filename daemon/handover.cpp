#include <utility>

#include "daemon/handover.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace weft {
namespace {

constexpr std::chrono::milliseconds kFirstLook{100};
constexpr std::chrono::milliseconds kLastLook{1'000};

EchoSource source_of(const State& state) {
    EchoSource source;
    const Node* const self = state.cluster.find_node(state.node);
    if (self == nullptr) return source;
    if (self->address4) source.own4 = self->address4->address;
    if (self->address6) source.own6 = self->address6->address;
    // Any address of this node's that the others have a route to will do to come back to.
    source.vxlan4 = self->vxlan4 ? self->vxlan4 : self->ipip4;
    source.vxlan6 = self->vxlan6;
    source.ipip = self->ipip4 ? self->ipip4 : self->vxlan4;
    source.mac4 = self->mac(Family::v4);
    source.mac6 = self->mac(Family::v6);
    source.vni = state.cluster.vxlan.vni;
    source.port = state.cluster.vxlan.port;
    return source;
}

/// One that has just been started with recovery holds routes that the one before it left.
bool vouches(const BgpStatus& bird) {
    return bird.bird == BirdState::running && bird.config_accepted && !bird.graceful_restart;
}

/// What an answer tells: a node that takes IPIP takes it to whichever of its addresses, also to one it gets later.
Echo proof(Echo echo) {
    if (echo.through == Device::ipip) echo.tunnel = {};
    return echo;
}

std::string name_of(const State& state, Device role) {
    for (const ObservedVxlan& have : state.observed.vxlan) {
        if (have.device.role == role) return have.device.name;
    }
    return state.cluster.ipip.device;
}

/// Of what comes in through weft's devices.
Drains::Received received(const State& state) {
    return [&state](Device role) { return received_packets(name_of(state, role)).value_or(0); };
}

}  // namespace

Handover::Handover(boost::asio::io_context& io, std::function<void(std::string)> again)
    : again_(std::move(again)),
      prober_(io,
              [this](const Echo& echo) {
                  answered_.insert(proof(echo));
                  again_(fmt::format("{} answered", to_string(echo)));
              }),
      timer_(io) {}

void Handover::follow(const Cluster& before, const Cluster& now, std::string_view node) {
    for (const Prefix& prefix : turned(before, now, node)) {
        looks_at_bird_ = true;
        pause_ = kFirstLook;
        if (std::ranges::find(turning_, prefix) == turning_.end()) turning_.push_back(prefix);
    }
}

void Handover::begin(const Cluster& before, const Cluster& now, std::string_view node) {
    answered_.clear();
    asked_.clear();
    given_up_.clear();
    drains_ = {};
    looks_at_bird_ = true;
    pause_ = kFirstLook;
    follow(before, now, node);
}

bool Handover::accepts(const Echo& echo, Clock::time_point now, std::chrono::seconds patience) {
    const Echo asked = proof(echo);
    if (answered_.contains(asked)) return true;
    const auto since = asked_.try_emplace(asked, now).first->second;
    if (now - since < patience) return false;
    if (given_up_.insert(asked).second) {
        spdlog::warn("handover: waited {} s for {}", patience.count(), to_string(asked));
    }
    return true;
}

Desired Handover::stage(State& state, Desired target) {
    const auto now = Clock::now();
    const auto patience = state.config.handover_prove.value;
    const std::vector<Device> drained =
        drains_.look(now, state.config.handover_quiet.value, state.config.handover_longest.value, received(state));
    const std::function<bool(const Echo&)> accepted = [&](const Echo& echo) { return accepts(echo, now, patience); };
    Stage stage = weft::stage({.cluster = state.cluster,
                               .node = state.node,
                               .backend = state.backend(),
                               .target = std::move(target),
                               .observed = state.observed,
                               .turning = turning_,
                               .accepts = accepted,
                               .drained = drained,
                               .live_rename = state.host.renames_live(),
                               .bird_vouches = vouches(state.bgp)});
    const auto asking = prober_.want(source_of(state), stage.echoes);
    const std::string trouble = asking ? "" : asking.error().message;
    if (trouble != std::exchange(cannot_ask_, trouble) && !trouble.empty()) spdlog::error("{}", trouble);
    drains_.watch(stage.idle, now, received(state));
    used_by_bird_.clear();
    std::ranges::copy_if(stage.draining, std::back_inserter(used_by_bird_), [&](Device role) {
        return stage.held == 0 && std::ranges::find(stage.idle, role) == stage.idle.end();
    });
    held_ = stage.held;
    waiting_ = stage.echoes.size();
    state.still_announced = std::move(stage.still_announced);
    looks_at_bird_ = !stage.done() || !turning_.empty();
    look_again(stage);
    return std::move(stage.desired);
}

void Handover::look_again(const Stage& stage) {
    if (stage.done()) {
        if (!turning_.empty() && pause_ >= kLastLook) turning_.clear();
        if (turning_.empty()) return;
    }
    timer_.expires_after(pause_);
    pause_ = std::min(pause_ * 2, kLastLook);
    timer_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) again_("handover");
    });
}

std::vector<Problem> Handover::problems(const State& state) const {
    std::vector<Problem> problems;
    if (held_ > 0) {
        problems.push_back({.object = "handover",
                            .text = fmt::format("{} routes stay as they were until the nodes behind them have answered "
                                                "through the new encapsulation ({} are asked){}{}",
                                                held_, waiting_, cannot_ask_.empty() ? "" : "; ", cannot_ask_),
                            .unready = false});
    }
    for (const Device role : drains_.devices()) {
        problems.push_back({.object = fmt::format("device {}", name_of(state, role)),
                            .text = "not wanted any more; it goes when nothing has come in through it for a while",
                            .unready = false});
    }
    for (const Device role : used_by_bird_) {
        problems.push_back({.object = fmt::format("device {}", name_of(state, role)),
                            .text = "not wanted any more; it stays as long as BIRD has routes through it",
                            .unready = false});
    }
    for (const VxlanDevice& want : state.desired.vxlan) {
        const std::string& name = state.cluster.vxlan.device(want.role == Device::vxlan4 ? Family::v4 : Family::v6);
        if (want.name == name) continue;
        problems.push_back({.object = fmt::format("device {}", want.name),
                            .text = fmt::format("is to be {}, and is renamed when that costs no packet: when no other "
                                                "device has the name and it is down, or the kernel is 6.2 or later",
                                                name),
                            .unready = false});
    }
    std::size_t named = 0;
    for (const Echo& echo : given_up_) {
        if (++named > 5) break;
        const bool address = echo.through == Device::none && echo.underlay != Address{};
        const char* const what = address ? "did not come; traffic moved without. Does that node register?"
                                 : echo.through == Device::none
                                     ? "is not as the pool wants it; look at 'birdc show route all'"
                                     : "was not answered for; traffic moved without. Is the node up, and does the "
                                       "underlay carry this encapsulation?";
        problems.push_back(
            {.object = "handover", .text = fmt::format("{} {}", to_string(echo), what), .unready = false});
    }
    return problems;
}

}  // namespace weft
