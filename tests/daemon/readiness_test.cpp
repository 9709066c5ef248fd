#include "daemon/readiness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const auto kStart = std::chrono::steady_clock::time_point(1000h);

/// A node "a" that has everything: two established sessions under calico_backend bird.
State converged() {
    State state;
    state.config.backend.value = Backend::bird;
    state.config_loaded = state.source_synced = state.kernel_synced = true;
    state.cluster.nodes.emplace_back().name = "a";
    state.node = "a";
    state.bgp.bird = BirdState::running;
    state.bgp.config_accepted = true;
    state.bgp.started = kStart;
    state.bgp.sessions = {{.protocol = "Mesh_192_0_2_12",
                           .peer = "192.0.2.12",
                           .node = "b",
                           .state = "up",
                           .info = "Established",
                           .established = true},
                          {.protocol = "Mesh_192_0_2_13",
                           .peer = "192.0.2.13",
                           .node = "c",
                           .state = "up",
                           .info = "Established",
                           .established = true}};
    return state;
}

struct ReadinessCase {
    const char* name;
    std::function<void(State&)> change;
    std::chrono::seconds after;
    bool ready;
    Phase phase;
    const char* text;  ///< in some reason; empty: no reasons
};

class ReadinessTable : public testing::TestWithParam<ReadinessCase> {};

TEST_P(ReadinessTable, says_whether_and_why) {
    State state = converged();
    GetParam().change(state);
    const Readiness now = readiness(state, kStart + GetParam().after);
    EXPECT_EQ(now.ready, GetParam().ready);
    EXPECT_EQ(to_string(now.phase), to_string(GetParam().phase));
    std::string all;
    for (const Reason& reason : now.reasons) all += reason.object + ": " + reason.text + "\n";
    if (*GetParam().text == '\0') {
        EXPECT_EQ(all, "");
    } else {
        EXPECT_THAT(all, HasSubstr(GetParam().text));
    }
}

void drop(State& state, std::size_t session) {
    state.bgp.sessions.at(session).established = false;
    state.bgp.sessions.at(session).info = "Active  Socket: Connection refused";
}

INSTANTIATE_TEST_SUITE_P(
    Each, ReadinessTable,
    testing::Values(
        ReadinessCase{"converged", [](State&) {}, 5s, true, Phase::ready, ""},
        ReadinessCase{"nothing_loaded", [](State& s) { s.config_loaded = false; }, 5s, false, Phase::starting,
                      "not loaded"},
        ReadinessCase{"source_unread", [](State& s) { s.source_synced = false; }, 5s, false, Phase::config_loaded,
                      "source"},
        ReadinessCase{"kernel_not_synced", [](State& s) { s.kernel_synced = false; }, 5s, false, Phase::source_synced,
                      "kernel"},
        ReadinessCase{"kernel_refuses", [](State& s) { s.kernel_failures = {"route x: EPERM"}; }, 5s, false,
                      Phase::bgp_converged, "EPERM"},
        ReadinessCase{"problem_that_blocks",
                      [](State& s) {
                          s.problems = {{"device tunl0", "no ipip module", true}};
                      },
                      5s, false, Phase::bgp_converged, "device tunl0"},
        ReadinessCase{"problem_that_warns",
                      [](State& s) {
                          s.problems = {{"pool p", "not served", false}};
                      },
                      5s, true, Phase::ready, "pool p"},
        ReadinessCase{"bird_failed",
                      [](State& s) {
                          s.bgp.bird = BirdState::failed;
                          s.bgp.reason = "port 179 is taken";
                      },
                      60s, false, Phase::kernel_synced, "port 179 is taken"},
        ReadinessCase{"config_rejected",
                      [](State& s) {
                          s.bgp.config_accepted = false;
                          s.bgp.config_error = "line 3";
                      },
                      60s, false, Phase::kernel_synced, "line 3"},
        ReadinessCase{"one_peer_down_early", [](State& s) { drop(s, 0); }, 5s, false, Phase::bgp_configured, "node b"},
        ReadinessCase{"one_peer_down_later", [](State& s) { drop(s, 0); }, 31s, true, Phase::ready, "node b"},
        ReadinessCase{"all_peers_down_later",
                      [](State& s) {
                          drop(s, 0);
                          drop(s, 1);
                      },
                      31s, false, Phase::bgp_configured, "refused"},
        ReadinessCase{"no_peers", [](State& s) { s.bgp.sessions.clear(); }, 5s, true, Phase::ready, ""},
        ReadinessCase{"graceful_restart_early", [](State& s) { s.bgp.graceful_restart = true; }, 5s, false,
                      Phase::bgp_configured, "graceful restart"},
        ReadinessCase{"graceful_restart_later", [](State& s) { s.bgp.graceful_restart = true; }, 31s, true,
                      Phase::ready, "graceful restart"},
        ReadinessCase{"vxlan_never_asks_bgp",
                      [](State& s) {
                          s.config.backend.value = Backend::vxlan;
                          s.bgp = {};
                      },
                      5s, true, Phase::ready, ""},
        ReadinessCase{"none_never_asks_bgp",
                      [](State& s) {
                          s.config.backend.value = Backend::none;
                          s.bgp = {};
                      },
                      5s, true, Phase::ready, ""},
        ReadinessCase{"a_lone_node_has_no_bgp",
                      [](State& s) {
                          s.cluster.nodes.clear();
                          s.bgp = {};
                      },
                      5s, true, Phase::ready, ""}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weft
