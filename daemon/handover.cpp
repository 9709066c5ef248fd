#include <utility>

#include "daemon/handover.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <sstream>

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

}  // namespace

std::optional<std::uint64_t> received_packets(const std::string& device) {
    std::ifstream file("/proc/net/dev");
    for (std::string line; std::getline(file, line);) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const auto name = line.find_first_not_of(' ');
        if (line.compare(name, colon - name, device) != 0) continue;
        std::istringstream fields(line.substr(colon + 1));
        std::uint64_t bytes = 0;
        std::uint64_t packets = 0;
        fields >> bytes >> packets;
        return packets;
    }
    return std::nullopt;
}

Handover::Handover(boost::asio::io_context& io, std::function<void(std::string)> again)
    : again_(std::move(again)),
      prober_(io,
              [this](const Echo& echo) {
                  answered_.insert(proof(echo));
                  again_(fmt::format("{} answered", to_string(echo)));
              }),
      timer_(io) {}

void Handover::configured(const Cluster& before, const Cluster& now) {
    answered_.clear();
    asked_.clear();
    given_up_.clear();
    drains_.clear();
    drained_.clear();
    looks_at_bird_ = true;
    pause_ = kFirstLook;
    for (const Prefix& pool : turned_pools(before, now)) {
        if (std::ranges::find(turning_, pool) == turning_.end()) turning_.push_back(pool);
    }
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
    const std::function<bool(const Echo&)> accepted = [&](const Echo& echo) { return accepts(echo, now, patience); };
    Stage stage = weft::stage({.cluster = state.cluster,
                               .node = state.node,
                               .backend = state.backend(),
                               .target = std::move(target),
                               .observed = state.observed,
                               .turning = turning_,
                               .accepts = accepted,
                               .drained = drained_,
                               .live_rename = state.host.renames_live(),
                               .bird_vouches = vouches(state.bgp)});
    const auto asking = prober_.want(source_of(state), stage.echoes);
    const std::string trouble = asking ? "" : asking.error().message;
    if (trouble != std::exchange(cannot_ask_, trouble) && !trouble.empty()) spdlog::error("{}", trouble);
    watch_devices(state, stage, now);
    held_ = stage.held;
    waiting_ = stage.echoes.size();
    state.still_announced = std::move(stage.still_announced);
    looks_at_bird_ = !stage.done() || !turning_.empty();
    look_again(stage);
    return std::move(stage.desired);
}

void Handover::watch_devices(const State& state, const Stage& stage, Clock::time_point now) {
    std::erase_if(drains_, [&](const auto& at) { return std::ranges::find(stage.idle, at.first) == stage.idle.end(); });
    for (const Device role : stage.idle) {
        const std::uint64_t received = received_packets(name_of(state, role)).value_or(0);
        const auto [at, fresh] = drains_.try_emplace(role, Drain{received, now, now});
        Drain& drain = at->second;
        if (received != drain.received) {
            drain.received = received;
            drain.since = now;
        }
        const bool quiet = now - drain.since >= state.config.handover_quiet.value;
        const bool late = now - drain.begin >= state.config.handover_longest.value;
        if (quiet || late) drained_.push_back(role);
    }
}

void Handover::look_again(const Stage& stage) {
    if (stage.done() && drained_.empty()) {
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
    for (const auto& [role, drain] : drains_) {
        problems.push_back({.object = fmt::format("device {}", name_of(state, role)),
                            .text = "not wanted any more; it goes when nothing has come in through it for a while",
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
