// The metrics as Prometheus and its linter want them, and as the manual names them.
#include "daemon/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "states.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const std::chrono::steady_clock::time_point kNowSteady(1000h);

/// A node with everything that can be measured.
State eventful() {
    State state = four_nodes(Backend::bird);
    state.bgp.bird = BirdState::running;
    state.bgp.config_accepted = true;
    state.bgp.restarts = 2;
    state.bgp.sessions = {{.protocol = "Mesh",
                           .peer = "192.0.2.12",
                           .node = "b",
                           .state = "up",
                           .info = "Established",
                           .established = true},
                          {.protocol = "Mesh",
                           .peer = "198.51.100.13",
                           .node = "c",
                           .state = "start",
                           .info = "Active        Socket: Connection refused"},
                          {.protocol = "Mesh", .peer = "192.0.2.1", .node = "", .state = "down", .info = ""}};
    state.counters.kernel_writes[{"route", "ok"}] = 7;
    state.counters.drift_repaired["fdb"] = 3;
    state.counters.errors["kernel"] = 1;
    state.counters.reconcile_buckets.at(2) = 4;
    state.counters.reconciles = 4;
    state.counters.reconcile_seconds = 0.02;
    state.behind_since = kNowSteady - 1500ms;
    state.problems.push_back({.object = "device \"x\"\n", .text = "hostile", .unready = true});
    return state;
}

struct MetricFamily {
    std::string help;
    std::string type;
    std::set<std::string> series;
};

/// The families of the text format; fails the test where a line is none of it.
std::map<std::string, MetricFamily> families_of(const std::string& text) {
    static const std::regex kSample(R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? \S+)re");
    std::map<std::string, MetricFamily> families;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string hash;
        std::string what;
        std::string name;
        if (line.starts_with("# ")) {
            words >> hash >> what >> name;
            std::string rest;
            std::getline(words >> std::ws, rest);
            (what == "HELP" ? families[name].help : families[name].type) = rest;
            continue;
        }
        std::smatch match;
        EXPECT_TRUE(std::regex_match(line, match, kSample)) << line;
        name = match[1];
        for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
            const std::string base = name.substr(0, name.size() - std::min(name.size(), suffix.size()));
            if (name.ends_with(suffix) && families.contains(base)) name = base;
        }
        EXPECT_TRUE(families[name].series.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
    }
    return families;
}

TEST(Metrics, keep_the_rules_that_promtool_checks) {
    for (const State& state : {eventful(), State{}, four_nodes(Backend::none)}) {
        for (const auto& [name, family] : families_of(render_metrics(state, kNowSteady))) {
            EXPECT_TRUE(std::regex_match(name, std::regex("(weft|process)_[a-z0-9_]+"))) << name;
            EXPECT_NE(family.help, "") << name;
            EXPECT_TRUE(family.type == "gauge" || family.type == "counter" || family.type == "histogram") << name;
            EXPECT_FALSE(family.series.empty()) << name;
            EXPECT_EQ(family.type == "counter", name.ends_with("_total")) << name;
            EXPECT_FALSE(family.type != "histogram" && std::regex_search(name, std::regex("_(count|sum|bucket)$")))
                << name;
            for (const char* word : {"milliseconds", "minutes", "hours", "kilobytes", "percent", "gauge", "counter",
                                     "histogram", "summary", "untyped"}) {
                EXPECT_THAT(name, Not(HasSubstr(word)));
            }
            EXPECT_FALSE(std::regex_search(name, std::regex("_(s|sec|ms|us|ns|m|min|h|hr|d|b|kb|mb|gb|tb)(_|$)")))
                << name << " abbreviates a unit";
        }
    }
}

TEST(Metrics, tell_what_the_state_holds) {
    const std::string text = render_metrics(eventful(), kNowSteady);
    for (const char* sample : {
             "weft_ready 0\n",
             "weft_mode_info{backend=\"bird\"} 1\n",
             "weft_nodes 4\n",
             "weft_pools 4\n",
             "weft_blocks 13\n",
             "weft_pool_served{pool=\"10.66.0.0/16\"} 1\n",
             "weft_routes{state=\"desired\"} ",
             "weft_vteps{state=\"observed\"} 4\n",
             "weft_kernel_writes_total{object=\"route\",result=\"ok\"} 7\n",
             "weft_drift_repaired_total{object=\"fdb\"} 3\n",
             "weft_errors_total{kind=\"kernel\"} 1\n",
             "weft_errors_total{kind=\"bird\"} 0\n",
             "weft_source_lag_seconds 1.5\n",
             "weft_reconcile_duration_seconds_bucket{le=\"0.005\"} 4\n",
             "weft_bird_restarts_total 2\n",
             "weft_bgp_sessions{state=\"established\"} 1\n",
             "weft_bgp_session_up{peer=\"192.0.2.12\",node=\"b\"} 1\n",
             "weft_bgp_session_info{peer=\"198.51.100.13\",node=\"c\",state=\"Active\"} 1\n",
             "weft_bgp_session_info{peer=\"192.0.2.1\",node=\"\",state=\"down\"} 1\n",
         }) {
        EXPECT_THAT(text, HasSubstr(sample));
    }
    EXPECT_THAT(render_metrics(four_nodes(Backend::vxlan), kNowSteady),
                HasSubstr("weft_pool_served{pool=\"10.66.0.0/16\"} 0\n"));
}

TEST(Metrics, are_all_explained_in_the_manual) {
    std::ifstream page(WEFT_TEST_DATA "/../../packaging/man/weftd.8");
    const std::string manual{std::istreambuf_iterator<char>(page), {}};
    for (const auto& [name, family] : families_of(render_metrics(eventful(), kNowSteady))) {
        EXPECT_THAT(manual, HasSubstr(".It Li " + name)) << family.help;
    }
}

TEST(Metrics, satisfy_promtool_itself) {
    if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "promtool is not installed";  // NOLINT
    std::string file = (std::filesystem::temp_directory_path() / "weft-metrics-XXXXXX").string();
    close(mkstemp(file.data()));
    for (const State& state : {eventful(), State{}}) {
        std::ofstream(file) << render_metrics(state, kNowSteady);
        EXPECT_EQ(std::system(("promtool check metrics < " + file).c_str()), 0);  // NOLINT
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace weft
