// The planner's decisions, as tables: a cluster of three nodes (a and b in one subnet, c in another), seen from a.
#include "tunnel/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <tuple>

#include "literals.hpp"
#include "tunnel/record.hpp"

namespace weft {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Cluster three_nodes(Encapsulate vxlan) {
    Cluster cluster;
    cluster.pools = {{.cidr = P("10.65.0.0/16"), .vxlan = vxlan, .block_size = 26},
                     {.cidr = P("fd00:65::/48"), .vxlan = vxlan, .block_size = 122}};
    const auto node = [&](const char* name, const char* v4, const char* v6, const char* block4, const char* block6) {
        Node made;
        made.name = name;
        made.address4 = parse_interface_address(v4);
        made.address6 = parse_interface_address(v6);
        const auto index = static_cast<std::uint32_t>(cluster.nodes.size());
        cluster.nodes.push_back(made);
        cluster.blocks.push_back({.cidr = P(block4), .node = index});
        cluster.blocks.push_back({.cidr = P(block6), .node = index});
    };
    node("a", "192.0.2.11/24", "2001:db8::11/64", "10.65.0.0/26", "fd00:65::/122");
    node("b", "192.0.2.12/24", "2001:db8::12/64", "10.65.1.0/26", "fd00:65::1:0/122");
    node("c", "198.51.100.13/24", "2001:db8:1::13/64", "10.65.2.0/26", "fd00:65::2:0/122");
    normalise(cluster);
    return cluster;
}

Host usual_host() {
    Host host;
    host.kernel = {.major = 6, .minor = 1, .patch = 0};
    host.underlay4 = Underlay{.device = "eth0", .index = 2, .mtu = 1500};
    host.underlay6 = Underlay{.device = "eth0", .index = 2, .mtu = 1500};
    return host;
}

std::vector<std::string> routes(const Plan& plan) {
    std::vector<std::string> text;
    for (const Route& route : plan.desired.routes) text.push_back(to_string(route));
    return text;
}

Plan plan_of(const Cluster& cluster, Backend backend = Backend::bird, const Host& host = usual_host(),
             std::string_view node = "a") {
    return plan({.cluster = cluster, .host = host, .node = node, .backend = backend});
}

TEST(Plan, cross_subnet_goes_straight_to_nodes_in_this_nodes_subnet_and_through_vxlan_to_others) {
    const Plan made = plan_of(three_nodes(Encapsulate::cross_subnet));
    EXPECT_THAT(routes(made),
                ElementsAre("blackhole 10.65.0.0/26 metric 65535", "10.65.1.0/26 via 192.0.2.12 dev under4 onlink",
                            "10.65.2.0/26 via 10.65.2.0 dev vxlan4 onlink", "blackhole fd00:65::/122 metric 65535",
                            "fd00:65::1:0/122 via 2001:db8::12 dev under6 onlink metric 1024",
                            "fd00:65::2:0/122 via fd00:65::2:0 dev vxlan6 onlink metric 1024"));
    EXPECT_THAT(made.problems, IsEmpty());
}

TEST(Plan, always_goes_through_vxlan_to_every_other_node) {
    EXPECT_THAT(routes(plan_of(three_nodes(Encapsulate::always))),
                Contains("10.65.1.0/26 via 10.65.1.0 dev vxlan4 onlink"));
}

TEST(Plan, without_vxlan_pools_there_is_no_device_and_no_vtep) {
    const Plan made = plan_of(three_nodes(Encapsulate::never));
    EXPECT_THAT(made.desired.vxlan, IsEmpty());
    EXPECT_THAT(made.desired.neighbours, IsEmpty());
    EXPECT_THAT(made.desired.fdb, IsEmpty());
    EXPECT_THAT(routes(made),
                ElementsAre("blackhole 10.65.0.0/26 metric 65535", "blackhole fd00:65::/122 metric 65535"));
}

TEST(Plan, makes_the_devices_that_calico_nodes_make) {
    const Plan made = plan_of(three_nodes(Encapsulate::always));
    ASSERT_EQ(made.desired.vxlan.size(), 2U);
    const VxlanDevice& four = made.desired.vxlan[0];
    EXPECT_EQ(four.name, "vxlan.calico");
    EXPECT_EQ(four.vni, 4096U);
    EXPECT_EQ(four.port, 4789);
    EXPECT_EQ(four.mtu, 1450U);
    EXPECT_EQ(to_string(four.local), "192.0.2.11");
    EXPECT_EQ(to_string(four.address), "10.65.0.0");
    EXPECT_EQ(four.mac, vtep_mac("a", Family::v4));
    EXPECT_FALSE(four.learning);
    const VxlanDevice& six = made.desired.vxlan[1];
    EXPECT_EQ(six.name, "vxlan-v6.calico");
    EXPECT_EQ(six.mtu, 1430U);
    EXPECT_EQ(six.mac, vtep_mac("a", Family::v6));
}

TEST(Plan, gives_every_remote_vtep_a_neighbour_and_an_fdb_entry) {
    const Plan made = plan_of(three_nodes(Encapsulate::cross_subnet));
    EXPECT_THAT(
        made.desired.neighbours,
        Contains(Neighbour{.device = Device::vxlan4, .address = A("10.65.2.0"), .mac = vtep_mac("c", Family::v4)}));
    EXPECT_THAT(made.desired.fdb,
                Contains(FdbEntry{
                    .device = Device::vxlan4, .mac = vtep_mac("c", Family::v4), .destination = A("198.51.100.13")}));
    EXPECT_EQ(made.desired.neighbours.size(), 4U);
}

TEST(Plan, a_borrowed_address_goes_to_its_borrower_and_a_foreign_tunnel_address_gets_a_link_route) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.blocks.push_back({.cidr = P("10.65.1.7/32"), .node = 2});
    cluster.nodes[2].vxlan4 = A("10.65.1.9");
    normalise(cluster);
    const auto text = routes(plan_of(cluster));
    EXPECT_THAT(text, Contains("10.65.1.7/32 via 10.65.1.9 dev vxlan4 onlink"));
    EXPECT_THAT(text, Contains("10.65.1.9/32 dev vxlan4"));
}

TEST(Plan, an_own_borrowed_address_gets_no_blackhole) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.blocks.push_back({.cidr = P("10.65.1.7/32"), .node = 0});
    normalise(cluster);
    EXPECT_THAT(routes(plan_of(cluster)), testing::Not(Contains(HasSubstr("10.65.1.7/32"))));
}

TEST(Plan, calico_backend_none_wants_nothing_and_names_every_pool) {
    const Plan made = plan_of(three_nodes(Encapsulate::always), Backend::none);
    EXPECT_TRUE(made.desired.routes.empty() && made.desired.vxlan.empty() && made.desired.sysctls.empty());
    ASSERT_EQ(made.problems.size(), 2U);
    EXPECT_FALSE(made.problems[0].unready);
}

TEST(Plan, calico_backend_vxlan_names_the_pools_that_only_bgp_could_serve) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.pools[0].vxlan = Encapsulate::never;
    cluster.pools[0].ipip = Encapsulate::always;
    const Plan made = plan_of(cluster, Backend::vxlan);
    ASSERT_EQ(made.problems.size(), 1U);
    EXPECT_EQ(made.problems[0].object, "pool 10.65.0.0/16");
    EXPECT_THAT(made.problems[0].text, HasSubstr("runs no BGP"));
    EXPECT_FALSE(made.desired.ipip);
    EXPECT_THAT(routes(made), testing::Not(Contains(HasSubstr("10.65."))));
}

TEST(Plan, an_ipip_pool_uses_the_fall_back_device_under_calico_backend_bird_only) {
    Cluster cluster = three_nodes(Encapsulate::never);
    cluster.pools[0].ipip = Encapsulate::always;
    normalise(cluster);
    const Plan made = plan_of(cluster);
    ASSERT_TRUE(made.desired.ipip);
    EXPECT_EQ(made.desired.ipip->mtu, 1480U);
    EXPECT_EQ(to_string(made.desired.ipip->address), "10.65.0.0");
    Host host = usual_host();
    host.can.ipip = false;
    const Plan without = plan_of(cluster, Backend::bird, host);
    ASSERT_EQ(without.problems.size(), 1U);
    EXPECT_TRUE(without.problems[0].unready);
    EXPECT_EQ(without.problems[0].text, "this kernel has no ipip module; VXLAN needs none");
}

struct Obstacle {
    const char* name;
    std::function<void(Cluster&, Host&)> make;
    const char* text;
};

class Obstacles : public testing::TestWithParam<Obstacle> {};

TEST_P(Obstacles, are_named_make_the_node_unready_and_leave_the_other_family_alone) {
    Cluster cluster = three_nodes(Encapsulate::always);
    Host host = usual_host();
    GetParam().make(cluster, host);
    const Plan made = plan_of(cluster, Backend::bird, host);
    ASSERT_FALSE(made.problems.empty());
    EXPECT_TRUE(made.problems[0].unready);
    EXPECT_THAT(made.problems[0].text, HasSubstr(GetParam().text));
    EXPECT_THAT(routes(made), Contains("10.65.2.0/26 via 10.65.2.0 dev vxlan4 onlink"));
    EXPECT_THAT(routes(made), testing::Not(Contains(HasSubstr("fd00:65::2:0/122"))));
    const Decision decision =
        decide({.cluster = cluster, .host = host, .node = "a", .backend = Backend::bird}, cluster.blocks.back());
    EXPECT_EQ(decision.path, Path::withheld);
    EXPECT_THAT(decision.why, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    Each, Obstacles,
    testing::Values(Obstacle{"old_kernel",
                             [](Cluster&, Host& host) {
                                 host.kernel = {4, 19, 0};
                             },
                             "needs a kernel of at least 4.19.1"},
                    Obstacle{"no_ipv6", [](Cluster&, Host& host) { host.can.ipv6 = false; }, "no IPv6"},
                    Obstacle{"no_interface", [](Cluster&, Host& host) { host.underlay6.reset(); },
                             "no interface of this host"},
                    Obstacle{"no_address", [](Cluster& cluster, Host&) { cluster.nodes[0].address6.reset(); },
                             "has no IPv6 address"},
                    Obstacle{"no_tunnel_address", [](Cluster& cluster, Host&) { cluster.nodes[0].vxlan6.reset(); },
                             "has no IPv6 VXLAN tunnel address"}),
    [](const auto& info) { return info.param.name; });

TEST(Plan, says_once_that_a_kernel_has_no_vxlan) {
    const Cluster cluster = three_nodes(Encapsulate::always);
    Host host = usual_host();
    host.can.vxlan = false;
    const Plan made = plan_of(cluster, Backend::vxlan, host);
    ASSERT_EQ(made.problems.size(), 1U);
    EXPECT_TRUE(made.problems[0].unready);
    EXPECT_THAT(made.problems[0].text, HasSubstr("no vxlan module"));
    EXPECT_TRUE(made.desired.vxlan.empty());
}

TEST(Plan, withholds_the_routes_to_a_node_without_a_vtep_and_says_so) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.nodes[2].vxlan4.reset();
    const Host host = usual_host();
    const PlanInput input{.cluster = cluster, .host = host, .node = "a", .backend = Backend::bird};
    const Decision decision = decide(input, *cluster.block_of(A("10.65.2.5")));
    EXPECT_EQ(decision.path, Path::withheld);
    EXPECT_EQ(decision.why, "node c has no IPv4 VXLAN tunnel address");
    EXPECT_THAT(routes(plan(input)), testing::Not(Contains(HasSubstr("10.65.2.0/26"))));
}

TEST(Plan, says_why_a_path_was_chosen) {
    const Cluster cluster = three_nodes(Encapsulate::cross_subnet);
    const Host host = usual_host();
    const PlanInput input{.cluster = cluster, .host = host, .node = "a", .backend = Backend::bird};
    EXPECT_EQ(decide(input, *cluster.block_of(A("10.65.2.7"))).why,
              "c's 198.51.100.13 is not in this node's 192.0.2.0/24, pool says cross subnet");
    EXPECT_EQ(decide(input, *cluster.block_of(A("10.65.1.7"))).why,
              "b's 192.0.2.12 is in this node's 192.0.2.0/24, pool says cross subnet");
    EXPECT_EQ(decide(input, *cluster.block_of(A("10.65.0.7"))).path, Path::local);
}

TEST(Plan, never_lets_two_nodes_take_turns_on_one_tunnel_address) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.nodes[2].vxlan4 = cluster.nodes[1].vxlan4;
    const Plan made = plan_of(cluster);
    EXPECT_THAT(made.problems, Contains(testing::Field(&Problem::object, "VXLAN tunnel address")));
    for (std::size_t i = 1; i < made.desired.neighbours.size(); ++i) {
        const Neighbour& before = made.desired.neighbours[i - 1];
        const Neighbour& after = made.desired.neighbours[i];
        EXPECT_FALSE(before.device == after.device && before.address == after.address);
    }
}

TEST(Plan, a_configured_mtu_is_used_as_far_as_the_underlay_carries_it) {
    Cluster cluster = three_nodes(Encapsulate::always);
    cluster.vxlan.mtu = 1400;
    EXPECT_EQ(plan_of(cluster).desired.vxlan[0].mtu, 1400U);
    cluster.vxlan.mtu = 1480;
    const Plan too_much = plan_of(cluster);
    EXPECT_EQ(too_much.desired.vxlan[0].mtu, 1450U);
    EXPECT_THAT(too_much.problems, Contains(testing::Field(&Problem::text, HasSubstr("more than eth0 carries"))));
}

TEST(Plan, a_node_outside_the_cluster_is_a_fault_only_when_there_is_a_cluster) {
    const Plan stranger = plan_of(three_nodes(Encapsulate::always), Backend::bird, usual_host(), "z");
    ASSERT_EQ(stranger.problems.size(), 1U);
    EXPECT_TRUE(stranger.problems[0].unready);
    EXPECT_THAT(stranger.desired.routes, IsEmpty());
    EXPECT_THAT(plan_of(Cluster{}).problems, IsEmpty());
}

/// A cluster in which names, addresses, tunnel addresses, MACs and blocks all have orders of their own, some tunnel
/// addresses lie in other nodes' blocks or in none, and some are borrowed.
Cluster jumbled(std::mt19937& random) {
    const auto below = [&](unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random); };
    Cluster cluster = three_nodes(Encapsulate::always);
    for (Node& node : cluster.nodes) node.vxlan4 = node.vxlan6 = std::nullopt;
    std::vector<unsigned> numbers(60);
    std::iota(numbers.begin(), numbers.end(), 1U);
    std::shuffle(numbers.begin(), numbers.end(), random);
    const unsigned offset = below(1'000);
    for (const unsigned number : numbers) {
        Node node;
        node.name = "n" + std::to_string((number * 919 + offset) % 1'000);
        node.address4 = parse_interface_address("203.0.113." + std::to_string(number) + "/24");
        node.address6 = parse_interface_address("2001:db8:2::" + std::to_string(number) + "/64");
        const auto at = static_cast<std::uint32_t>(cluster.nodes.size());
        cluster.nodes.push_back(node);
        cluster.blocks.push_back({P(("10.65." + std::to_string(100 + number) + ".0/26").c_str()), at});
        cluster.blocks.push_back({P(("fd00:65::" + std::to_string(100 + number) + ":0/122").c_str()), at});
    }
    for (unsigned borrowed = 1; borrowed <= 60; ++borrowed) {
        if (below(3) != 0) continue;
        const std::string address = "10.65." + std::to_string(100 + borrowed) + "." + std::to_string(2 + below(2));
        cluster.blocks.push_back({P((address + "/32").c_str()), below(63)});
    }
    std::shuffle(numbers.begin(), numbers.end(), random);
    for (std::size_t at = 0; at < numbers.size(); ++at) {
        if (below(3) != 0) continue;
        const std::string address = "10.65." + std::to_string(100 + numbers[at]) + "." + std::to_string(2 + below(2));
        cluster.nodes[at].vxlan4 = A(address.c_str());
    }
    normalise(cluster);
    return cluster;
}

TEST(Plan, is_in_order_whatever_the_order_of_names_and_addresses) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        const Desired desired = plan_of(jumbled(random)).desired;
        const auto key_of_neighbour = [](const Neighbour& at) { return std::tie(at.device, at.address); };
        const auto key_of_entry = [](const FdbEntry& at) { return std::tie(at.device, at.mac); };
        const auto key_of_route = [](const Route& at) { return std::tie(at.destination, at.metric); };
        EXPECT_EQ(std::ranges::adjacent_find(desired.neighbours, std::greater_equal{}, key_of_neighbour),
                  desired.neighbours.end());
        EXPECT_EQ(std::ranges::adjacent_find(desired.fdb, std::greater_equal{}, key_of_entry), desired.fdb.end());
        EXPECT_EQ(std::ranges::adjacent_find(desired.routes, std::greater_equal{}, key_of_route), desired.routes.end());
        EXPECT_EQ(desired.fdb.size(), 62U * 2);
    }
}

TEST(Plan, gives_a_link_route_to_just_those_tunnel_addresses_that_no_block_of_their_node_leads_to) {
    std::mt19937 random(8);
    for (int round = 0; round < 50; ++round) {
        const Cluster cluster = jumbled(random);
        const Desired desired = plan_of(cluster).desired;
        for (const Node& node : cluster.nodes) {
            for (const Family family : kFamilies) {
                const auto& vtep = node.vxlan(family);
                if (!vtep || node.name == "a") continue;
                const Block* const block = cluster.block_of(*vtep);
                const bool own = block != nullptr && &cluster.nodes[block->node] == &node;
                const auto route = std::ranges::find(desired.routes, host_prefix(*vtep), &Route::destination);
                const bool there = route != desired.routes.end() && route->type == RouteType::unicast;
                // Where the block is the tunnel address alone, its route is the link route.
                if (own && block->cidr.is_host()) continue;
                EXPECT_EQ(there, !own) << node.name << " " << to_string(*vtep);
            }
        }
    }
}

TEST(Record, enters_acknowledged_changes_so_that_nothing_is_left_to_do) {
    Desired desired = plan_of(three_nodes(Encapsulate::cross_subnet)).desired;
    desired.vxlan.clear();  // devices need a dump
    desired.sysctls.clear();
    Observed observed;
    for (const Change& change : difference(desired, observed)) EXPECT_TRUE(record(observed, change));
    EXPECT_THAT(difference(desired, observed), IsEmpty());
    for (const Change& change : difference(Desired{}, observed)) EXPECT_TRUE(record(observed, change));
    EXPECT_TRUE(observed.routes.empty() && observed.nexthops.empty() && observed.fdb.empty());
}

}  // namespace
}  // namespace weft
