#include "daemon/explain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "states.hpp"

namespace weft {
namespace {

using testing::HasSubstr;

constexpr std::uint8_t kStatic = 4;
constexpr std::uint8_t kBoot = 3;
constexpr std::uint8_t kBird = 12;

Lookup through(const char* device, const char* gateway, const char* match, std::uint8_t protocol,
               std::uint32_t metric = 0) {
    Lookup lookup;
    lookup.device = device;
    if (*gateway != '\0') lookup.gateway = address(gateway);
    lookup.match = prefix(match);
    lookup.protocol = protocol;
    lookup.metric = metric;
    lookup.type = "unicast";
    lookup.mtu = 1450;
    return lookup;
}

Lookup dropped(const char* type) {
    Lookup lookup;
    lookup.type = type;
    return lookup;
}

const Error kNoRoute{"Network is unreachable (ENETUNREACH)"};

State with_session(State state, const char* node, const char* peer, bool established) {
    state.bgp.bird = BirdState::running;
    state.bgp.config_accepted = true;
    state.bgp.sessions.push_back({.protocol = "Mesh",
                                  .peer = peer,
                                  .node = node,
                                  .state = established ? "up" : "start",
                                  .info = established ? "Established" : "Active  Socket: Connection refused",
                                  .established = established});
    return state;
}

struct ExplainCase {
    const char* name;
    State state;
    const char* address;
    Result<Lookup> kernel;
    std::vector<const char*> said;   ///< all of it in the answer
    std::vector<const char*> wrong;  ///< one word of each problem, in order; empty: nothing is wrong
};

void PrintTo(const ExplainCase& c, std::ostream* out) {
    *out << c.name;
}

State changed(State state, const std::function<void(State&)>& change) {
    change(state);
    return state;
}

std::vector<ExplainCase> cases() {
    const State vxlan = four_nodes(Backend::vxlan);
    const State bird = with_session(four_nodes(Backend::bird), "c", "198.51.100.13", true);
    const State silent = with_session(four_nodes(Backend::bird), "c", "198.51.100.13", false);
    const auto default_route = through("eth0", "192.0.2.1", "0.0.0.0/0", kBoot);
    const auto to_c = through("vxlan.calico", "10.65.2.0", "10.65.2.0/26", kProtocol);
    return {
        {"direct_in_one_subnet",
         vxlan,
         "10.65.1.2",
         through("eth0", "192.0.2.12", "10.65.1.0/26", kProtocol),
         {"Pool       10.65.0.0/16", "Block      10.65.1.0/26", "Node       b", "Path       direct",
          "b's 192.0.2.12 is in this node's 192.0.2.0/24, pool says cross subnet", "Device     eth0"},
         {}},
        {"vxlan_to_another_subnet",
         vxlan,
         "10.65.2.2",
         to_c,
         {"Path       vxlan", "c's 198.51.100.13 is not in this node's 192.0.2.0/24, pool says cross subnet",
          "MTU        1450", "Neighbour  10.65.2.0 lladdr", "dst 198.51.100.13",
          "route 10.65.2.0/26 (protocol weft, metric 0)"},
         {}},
        {"ipv6",
         vxlan,
         "fd00:65::202",
         through("vxlan-v6.calico", "fd00:65::200", "fd00:65::200/122", kProtocol, 1024),
         {"Block      fd00:65::200/122", "Node       c", "dst 2001:db8:1::13"},
         {}},
        {"own_block_with_a_workload",
         vxlan,
         "10.65.0.7",
         through("cali123", "", "10.65.0.7/32", kBoot),
         {"Path       local", "Device     cali123"},
         {}},
        {"own_block_on_a_bridge", vxlan, "10.65.0.7", through("br0", "", "10.65.0.0/26", 2), {"Device     br0"}, {}},
        {"own_block_without_a_workload", vxlan, "10.65.0.7", dropped("blackhole"), {"blackhole"}, {"no workload"}},
        {"own_tunnel_address", vxlan, "10.65.0.0", dropped("local"), {"this node's own address"}, {}},
        {"own_block_whose_blackhole_is_gone",
         vxlan,
         "10.65.0.7",
         default_route,
         {},
         {"the blackhole route 10.65.0.0/26 is missing"}},
        {"own_block_led_away",
         vxlan,
         "10.65.0.7",
         through("eth0", "192.0.2.99", "10.65.0.0/27", kStatic),
         {},
         {"packets leave this node"}},
        {"an_address_in_no_pool", vxlan, "203.0.113.9", default_route, {"0.0.0.0/0"}, {"in no pool"}},
        {"a_nodes_own_underlay_address", vxlan, "198.51.100.13", default_route, {"Node       c"}, {"node c's own"}},
        {"an_address_in_a_pool_but_in_no_block",
         vxlan,
         "10.65.9.9",
         default_route,
         {"Pool       10.65.0.0/16"},
         {"in no node's block"}},
        {"an_address_in_no_block_without_any_route", vxlan, "10.65.9.9", kNoRoute, {"ENETUNREACH"}, {"nowhere"}},
        {"a_node_without_a_vtep",
         vxlan,
         "10.65.3.3",
         default_route,
         {"Path       withheld"},
         {"node d has no IPv4 address, so it has no VTEP"}},
        {"a_pool_the_mode_does_not_serve",
         vxlan,
         "10.66.1.1",
         default_route,
         {"Path       unserved"},
         {"calico_backend vxlan runs no BGP"}},
        {"a_more_specific_foreign_route",
         vxlan,
         "10.65.2.2",
         through("eth0", "192.0.2.99", "10.65.2.0/28", kStatic, 7),
         {},
         {"a more specific foreign route overrides weft's: 10.65.2.0/28 (protocol static, metric 7) leads via "
          "192.0.2.99 dev eth0"}},
        {"a_foreign_route_that_wins_by_its_metric",
         vxlan,
         "fd00:65::202",
         through("eth0", "2001:db8::99", "fd00:65::200/122", kStatic, 10),
         {},
         {"another route to the same destination wins over weft's: fd00:65::200/122 (protocol static, metric 10)"}},
        {"a_route_of_wefts_that_is_gone",
         changed(vxlan, [](State& state) { state.observed.routes.clear(); }),
         "10.65.2.2",
         default_route,
         {},
         {"weft's route to 10.65.2.0/26 is not in the kernel"}},
        {"no_route_at_all",
         changed(vxlan, [](State& state) { state.observed.routes.clear(); }),
         "10.65.2.2",
         kNoRoute,
         {},
         {"the kernel finds no way to 10.65.2.2"}},
        {"a_routing_rule_in_the_way", vxlan, "10.65.2.2", through("wg0", "", "0.0.0.0/0", kStatic), {}, {"ip rule"}},
        {"a_neighbour_that_is_missing",
         changed(vxlan, [](State& state) { state.observed.neighbours.clear(); }),
         "10.65.2.2",
         to_c,
         {},
         {"no neighbour 10.65.2.0"}},
        {"an_fdb_entry_that_is_missing",
         changed(vxlan, [](State& state) { state.observed.fdb.clear(); }),
         "10.65.2.2",
         to_c,
         {},
         {"no entry for"}},
        {"a_device_that_is_down",
         changed(vxlan,
                 [](State& state) {
                     for (auto& device : state.observed.vxlan) device.device.up = false;
                 }),
         "10.65.2.2",
         kNoRoute,
         {},
         {"finds no way", "vxlan.calico is down"}},
        {"a_change_the_kernel_refuses",
         changed(vxlan, [](State& state) { state.kernel_failures = {"add route 10.65.2.0/26 via x: EPERM"}; }),
         "10.65.2.2",
         to_c,
         {},
         {"the kernel refuses: add route 10.65.2.0/26"}},
        {"ipip_by_bird",
         bird,
         "10.66.2.2",
         through("tunl0", "198.51.100.13", "10.66.2.0/26", kBird, 1024),
         {"Path       bgp", "ipip cross subnet", "Session    198.51.100.13 up Established", "Device     tunl0"},
         {}},
        {"unencapsulated_by_bird",
         bird,
         "10.67.2.2",
         through("eth0", "192.0.2.1", "10.67.2.0/26", kBird, 1024),
         {"the pool has no encapsulation"},
         {}},
        {"birds_route_beside_the_tunnel",
         bird,
         "10.66.2.2",
         through("eth0", "192.0.2.1", "10.66.2.0/26", kBird, 1024),
         {},
         {"the pool says ipip cross subnet"}},
        {"a_node_whose_session_is_down",
         silent,
         "10.66.2.2",
         default_route,
         {"Session    198.51.100.13 start Active  Socket: Connection refused"},
         {"the BGP session with node c (198.51.100.13) is not established", "BIRD has set no route"}},
        {"a_session_that_is_down_while_its_route_still_stands",
         silent,
         "10.66.2.2",
         through("tunl0", "198.51.100.13", "10.66.2.0/26", kBird, 1024),
         {},
         {"is not established"}},
        {"a_foreign_route_in_birds_place",
         bird,
         "10.66.2.2",
         through("eth0", "192.0.2.99", "10.66.2.0/27", kStatic),
         {},
         {"a more specific foreign route overrides BIRD's: 10.66.2.0/27"}},
        {"bird_is_not_there",
         changed(four_nodes(Backend::bird),
                 [](State& state) {
                     state.bgp.bird = BirdState::failed;
                     state.bgp.reason = "no /usr/sbin/bird";
                 }),
         "10.66.2.2",
         kNoRoute,
         {},
         {"no /usr/sbin/bird", "BIRD has set no route"}},
    };
}

class Explain : public testing::TestWithParam<ExplainCase> {};

TEST_P(Explain, tells_the_truth) {
    const ExplainCase& c = GetParam();
    const Address asked = address(c.address);
    const Explanation found = explain(c.state, asked, c.kernel);
    unsigned last = 0;
    const std::string text = text_of(show_explanation(found, asked, false), &last);
    for (const char* word : c.said) EXPECT_THAT(text, HasSubstr(word));
    ASSERT_EQ(found.problems.size(), c.wrong.size()) << text;
    for (std::size_t i = 0; i < c.wrong.size(); ++i) EXPECT_THAT(found.problems[i], HasSubstr(c.wrong[i]));
    EXPECT_EQ(last, c.wrong.empty() ? code::kAllRight : code::kSomethingWrong);
    for (const Line& line : lines_of(show_explanation(found, asked, false))) EXPECT_LE(line.text.size(), kLineWidth);
}

INSTANTIATE_TEST_SUITE_P(Cases, Explain, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ExplainAsJson, is_one_object_with_the_problems_and_the_same_outcome) {
    const Address asked = address("10.65.2.2");
    const State state = four_nodes(Backend::vxlan);
    const Explanation wrong = explain(state, asked, through("eth0", "192.0.2.99", "10.65.2.0/28", kStatic));
    const std::vector<Line> lines = lines_of(show_explanation(wrong, asked, true));
    ASSERT_EQ(lines.size(), 2U);
    const auto object = nlohmann::json::parse(lines[0].text);
    EXPECT_EQ(object["node"], "c");
    EXPECT_EQ(object["path"], "vxlan");
    EXPECT_EQ(object["kernel_match"], "10.65.2.0/28");
    EXPECT_EQ(object["mtu"], 1450);
    EXPECT_EQ(object["problems"].size(), 1U);
    EXPECT_EQ(object["ok"], false);
    EXPECT_EQ(lines[1].code, code::kSomethingWrong);
}

}  // namespace
}  // namespace weft
