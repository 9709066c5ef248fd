#include "daemon/show.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/table.hpp"
#include "states.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

const auto kNow = std::chrono::system_clock::time_point(1'780'000'000s);

/// Every `show` of a state, by name.
std::vector<std::pair<const char*, Reply>> all_of(const State& state, bool json) {
    return {{"status", show_status(state, {}, json)}, {"nodes", show_nodes(state, json)},
            {"pools", show_pools(state, json)},       {"blocks", show_blocks(state, json)},
            {"tunnels", show_tunnels(state, json)},   {"routes", show_routes(state, std::nullopt, json)},
            {"bgp", show_bgp(state, json)},           {"protocols", show_protocols(state, kNow, json)},
            {"config", show_config(state, json)},     {"events", show_events(state, json)}};
}

State with_sessions() {
    State state = four_nodes(Backend::bird);
    state.bgp.bird = BirdState::running;
    state.bgp.version = "2.0.12";
    state.bgp.config_accepted = true;
    state.bgp.sessions = {{.protocol = "Mesh_192_0_2_12",
                           .peer = "192.0.2.12",
                           .node = "b",
                           .state = "up",
                           .info = "Established",
                           .since = kNow - 90s,
                           .established = true},
                          {.protocol = "Mesh_198_51_100_13",
                           .peer = "198.51.100.13",
                           .node = "c",
                           .state = "start",
                           .info = "Active        Socket: Connection refused",
                           .since = kNow - 48h}};
    return state;
}

TEST(Show, fits_a_hundred_columns_and_ends_with_done) {
    for (const Backend backend : {Backend::bird, Backend::vxlan, Backend::none}) {
        const State state = four_nodes(backend);
        for (const auto& [name, reply] : all_of(state, false)) {
            const std::vector<Line> lines = lines_of(reply);
            ASSERT_FALSE(lines.empty()) << name;
            EXPECT_LT(lines.back().code, 1000U) << name;
            for (const Line& line : lines) EXPECT_LE(line.text.size(), kLineWidth) << name << ": " << line.text;
        }
    }
}

TEST(Show, has_a_json_object_in_each_line_but_the_last_when_asked_for) {
    for (const State& state : {four_nodes(Backend::vxlan), with_sessions(), State{}}) {
        for (const auto& [name, reply] : all_of(state, true)) {
            std::vector<Line> lines = lines_of(reply);
            EXPECT_EQ(lines.back().text, "") << name;
            lines.pop_back();
            for (const Line& line : lines) {
                EXPECT_EQ(line.code, code::kJson) << name;
                EXPECT_TRUE(nlohmann::json::parse(line.text).is_object()) << name;
            }
        }
    }
}

TEST(Show, never_tells_a_password) {
    const State state = four_nodes(Backend::bird);
    for (const bool json : {false, true}) {
        for (const auto& [name, reply] : all_of(state, json))
            EXPECT_THAT(text_of(reply), Not(HasSubstr("secret"))) << name;
    }
    EXPECT_THAT(text_of(show_config(state, false)), MatchesRegex(".*protocol bgp password +\\*{8} +weft.conf:9\n.*"));
    EXPECT_THAT(text_of(show_config(state, false)), HasSubstr("password ********"));
}

TEST(ShowNodes, tells_how_each_is_reached) {
    const std::string text = text_of(show_nodes(four_nodes(Backend::vxlan), false));
    EXPECT_THAT(text,
                HasSubstr("\na     192.0.2.11/24     2001:db8::11/64    10.65.0.0  4       this node         -\n"));
    EXPECT_THAT(text, HasSubstr("direct, unserved  -\n"));
    EXPECT_THAT(text, HasSubstr("vxlan, unserved   -\n"));
    EXPECT_THAT(text, HasSubstr("withheld          -\n"));
}

TEST(ShowNodes, tells_which_has_an_address_of_this_one) {
    State state = four_nodes(Backend::vxlan);
    for (Node& node : state.cluster.nodes) node.vxlan4 = state.cluster.find_node("a")->vxlan4;
    const std::string text = text_of(show_nodes(state, false));
    EXPECT_THAT(text, HasSubstr("has this node's VXLAN tunnel address 10.65.0.0\n"));
    EXPECT_THAT(text, HasSubstr("this node         -\n"));
}

TEST(ShowPools, names_who_serves_each_in_this_mode) {
    const std::string vxlan = text_of(show_pools(four_nodes(Backend::vxlan), true));
    EXPECT_THAT(vxlan, HasSubstr(R"("pool":"10.65.0.0/16","ipip":"never","vxlan":"cross subnet","block_size":26)"));
    EXPECT_THAT(vxlan, HasSubstr(R"("served_by":"nobody","problem":"calico_backend vxlan runs no BGP)"));
    EXPECT_THAT(text_of(show_pools(four_nodes(Backend::bird), true)),
                HasSubstr(R"("served_by":"BIRD","problem":null)"));
    EXPECT_THAT(text_of(show_pools(four_nodes(Backend::none), true)), Not(HasSubstr(R"("served_by":"weft")")));
}

TEST(ShowBlocks, tells_the_path_and_what_withholds_it) {
    const std::string text = text_of(show_blocks(four_nodes(Backend::vxlan), false));
    EXPECT_THAT(text, HasSubstr("10.65.1.0/26         b               direct    192.0.2.12 eth0"));
    EXPECT_THAT(text, HasSubstr("10.65.2.0/26         c               vxlan     10.65.2.0 vxlan.calico"));
    EXPECT_THAT(text, HasSubstr("node d has no IPv4 address"));
}

TEST(ShowBlocks, goes_on_where_it_was_when_the_cluster_changes_meanwhile) {
    State state = four_nodes(Backend::vxlan);
    Reply reply = show_blocks(state, true);
    EXPECT_THAT(reply()->text, HasSubstr("10.65.0.0/26"));
    std::erase_if(state.cluster.blocks, [](const Block& block) { return block.cidr < prefix("10.66.0.0/16"); });
    EXPECT_THAT(reply()->text, HasSubstr("10.66.0.0/26"));
    state.cluster = Cluster{};
    EXPECT_EQ(reply()->code, code::kOk);
    EXPECT_FALSE(reply());
}

struct TunnelCase {
    const char* name;
    std::function<void(Observed&)> change;
    const char* told;
};

TEST(ShowTunnels, says_of_each_device_and_vtep_whether_the_kernel_has_it) {
    for (const TunnelCase& c : std::initializer_list<TunnelCase>{
             {"all there", [](Observed&) {},
              R"("vtep":"10.65.2.0".*"remote":"198.51.100.13".*"node":"c","state":"ok")"},
             {"device ok", [](Observed&) {}, R"("device":"vxlan.calico","kind":"vxlan","mtu":1450.*"state":"ok")"},
             {"no device", [](Observed& o) { o.vxlan.clear(); }, R"("device":"vxlan.calico".*"state":"missing")"},
             {"device down", [](Observed& o) { o.vxlan[0].device.up = false; }, R"("up":false.*"differs: up")"},
             {"other mtu", [](Observed& o) { o.vxlan[0].device.mtu = 1400; }, R"("mtu":1400.*"differs: mtu")"},
             {"no address", [](Observed& o) { o.vxlan[0].addresses.clear(); }, R"("state":"differs: address")"},
             {"no neighbour", [](Observed& o) { o.neighbours.clear(); }, R"("state":"no neighbour")"},
             {"no entry", [](Observed& o) { o.fdb.clear(); }, R"("state":"no FDB entry")"},
             {"neither",
              [](Observed& o) {
                  o.fdb.clear();
                  o.neighbours.clear();
              },
              R"("node":"c","state":"missing")"},
             {"other remote", [](Observed& o) { o.fdb[0].destination = address("192.0.2.99"); }, "differs: remote"},
             {"one too many",
              [](Observed& o) {
                  o.neighbours.push_back({Device::vxlan6, address("fd00:65::900"), *parse_mac("02:00:00:00:00:09")});
              },
              R"("vtep":"fd00:65::900".*"state":"not wanted")"},
         }) {
        State state = four_nodes(Backend::vxlan);
        c.change(state.observed);
        EXPECT_THAT(text_of(show_tunnels(state, true)), testing::ContainsRegex(c.told)) << c.name;
    }
}

TEST(ShowTunnels, says_so_when_there_are_none) {
    EXPECT_EQ(text_of(show_tunnels(four_nodes(Backend::none), false)), "This node has no tunnels\n");
}

TEST(ShowBgp, tells_of_bird_and_each_session) {
    const std::string text = text_of(show_bgp(with_sessions(), false));
    EXPECT_THAT(text, StartsWith("BIRD 2.0.12 is running"));
    EXPECT_THAT(text, testing::ContainsRegex("198.51.100.13 +c +start .*Connection refused"));
    EXPECT_THAT(text_of(show_bgp(four_nodes(Backend::vxlan), false)),
                HasSubstr("No BGP on this node: calico_backend vxlan (weft.conf:3)"));
}

TEST(ShowProtocols, has_birds_columns_and_codes) {
    const std::vector<Line> lines = lines_of(show_protocols(with_sessions(), kNow, false));
    EXPECT_EQ(lines.front(), (Line{2002, "Name       Proto      Table      State  Since         Info"}));
    for (std::size_t i = 1; i + 1 < lines.size(); ++i) EXPECT_EQ(lines[i].code, 1002U);
    EXPECT_EQ(lines.back(), (Line{0, ""}));
    const std::string& up = lines[lines.size() - 3].text;
    EXPECT_THAT(up, MatchesRegex("Mesh_192_0_2_12 BGP        ---        up     [0-9:]{8}\\.[0-9]{3}  Established"));
    const std::string& down = lines[lines.size() - 2].text;
    EXPECT_THAT(down, MatchesRegex("Mesh_198_51_100_13 BGP        ---        start  [0-9-]{10}    Active  .*refused"));
}

TEST(ShowConfig, tells_where_each_value_comes_from) {
    State state = four_nodes(Backend::vxlan);
    state.config.hostname.origin = {.kind = Origin::Kind::environment, .place = {}, .variable = "NODENAME"};
    state.config.control_socket.origin.kind = Origin::Kind::command_line;
    const std::string text = text_of(show_config(state, false));
    for (const char* line : {"hostname +a +environment NODENAME\n", "calico_backend +vxlan +weft.conf:3\n",
                             "control socket +/run/weft/weft.ctl +command line\n", "protocol vxlan id +4096 +default\n",
                             "protocol vxlan mtu +auto +default\n"}) {
        EXPECT_THAT(text, testing::ContainsRegex(line));
    }
    EXPECT_THAT(text, testing::ContainsRegex("pool 10.67.0.0/16\n +ipip never, vxlan never"));
}

/// A thousand nodes with twenty blocks each.
State large() {
    std::string text = "hostname \"n0\"; calico_backend vxlan; pool 10.0.0.0/8 { vxlan always; }\n";
    for (unsigned node = 0; node < 1000; ++node) {
        text += fmt::format("node \"n{}\" {{ address 192.168.{}.{}/16;", node, node / 250, node % 250 + 1);
        for (unsigned i = 0; i < 20; ++i) {
            const unsigned block = (node * 20 + i) * 64;
            text += fmt::format(" block 10.{}.{}.{}/26;", block >> 16U, block >> 8U & 255U, block & 255U);
        }
        text += " }\n";
    }
    return converged_state(text);
}

TEST(Show, of_twenty_thousand_blocks_is_whole_and_holds_none_of_them_in_memory) {
    State state = large();
    for (const auto& show : {show_blocks(state, false), show_routes(state, std::nullopt, false)}) {
        EXPECT_GT(lines_of(show).size(), 20'000U);
    }
    Reply blocks = show_blocks(state, false);
    Reply routes = show_routes(state, std::nullopt, false);
    for (int i = 0; i < 200; ++i) {
        blocks();
        routes();
    }
    state.cluster = {};
    state.desired = {};
    state.observed = {};
    EXPECT_EQ(blocks()->code, code::kOk);
    EXPECT_EQ(routes()->code, code::kOk);
}

}  // namespace
}  // namespace weft
