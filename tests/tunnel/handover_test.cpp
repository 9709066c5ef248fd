// The stages of a handover, step by step, as one node sees them.
#include "tunnel/handover.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "literals.hpp"
#include "tunnel/difference.hpp"
#include "tunnel/plan.hpp"
#include "tunnel/record.hpp"

namespace weft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// a and b in one subnet, c in another, a block each.
Cluster cluster_with(const std::function<void(Pool&)>& modes) {
    Cluster cluster;
    Pool pool{.cidr = P("10.65.0.0/16")};
    modes(pool);
    cluster.pools = {pool};
    const auto node = [](const char* name, const char* address) {
        Node made;
        made.name = name;
        made.address4 = InterfaceAddress{.address = A(address), .length = 24};
        return made;
    };
    cluster.nodes = {node("a", "192.0.2.11"), node("b", "192.0.2.12"), node("c", "198.51.100.13")};
    cluster.blocks = {{.cidr = P("10.65.0.0/26"), .node = 0},
                      {.cidr = P("10.65.1.0/26"), .node = 1},
                      {.cidr = P("10.65.2.0/26"), .node = 2}};
    normalise(cluster);
    return cluster;
}
Cluster vxlan(Encapsulate mode) {
    return cluster_with([=](Pool& pool) { pool.vxlan = mode; });
}
Cluster ipip(Encapsulate mode) {
    return cluster_with([=](Pool& pool) { pool.ipip = mode; });
}

const Via kBirdToB{Device::ipip, A("192.0.2.12"), true};
const Via kBirdToC{Device::ipip, A("198.51.100.13"), true};
const Via kDirectToB{Device::under4, A("192.0.2.12"), true};

/// Node a, its kernel, and what the others accept.
class HandoverTest : public testing::Test {
  protected:
    HandoverTest() {
        host_.kernel = {.major = 6, .minor = 1, .patch = 0};
        host_.underlay4 = Underlay{.device = "eth0", .index = 2, .mtu = 1500};
    }

    /// Turns the kernel into what this step of the way to `cluster` says.
    Stage step(const Cluster& cluster, Backend backend = Backend::bird) {
        const Plan wanted = plan({.cluster = cluster, .host = host_, .node = "a", .backend = backend});
        const std::function<bool(const Echo&)> accepts = [&](const Echo& echo) {
            return accepted_.contains({echo.through, echo.underlay});
        };
        Stage staged = stage({.cluster = cluster,
                              .node = "a",
                              .backend = backend,
                              .target = wanted.desired,
                              .observed = observed_,
                              .turning = turning_,
                              .accepts = accepts,
                              .drained = drained_,
                              .live_rename = false,
                              .bird_vouches = bird_vouches_});
        for (const Change& change : difference(staged.desired, observed_)) apply(change);
        return staged;
    }
    void settle(const Cluster& cluster) {
        accept_everything();
        drained_ = {Device::vxlan4, Device::old4, Device::ipip};
        for (int i = 0; i < 3; ++i) step(cluster);
        accepted_.clear();
        drained_.clear();
    }
    void accept_everything() {
        for (const Device through : {Device::vxlan4, Device::ipip}) {
            for (const char* node : {"192.0.2.12", "198.51.100.13"}) accepted_.emplace(through, A(node));
        }
    }
    void bird_programs(const char* destination, const Via& via) {
        std::erase_if(observed_.bird, [&](const Route& route) { return route.destination == P(destination); });
        observed_.bird.push_back({P(destination), 1024, RouteType::unicast, via, kProtocolBird});
        std::ranges::sort(observed_.bird);
    }
    /// Where packets to this block go: weftd's route if there is one, else BIRD's.
    std::string way(const char* destination) const {
        for (const ObservedRoute& have : observed_.routes) {
            if (have.route.destination == P(destination)) return to_string(have.route.via);
        }
        for (const Route& have : observed_.bird) {
            if (have.destination == P(destination)) return "bird " + to_string(have.via);
        }
        return "none";
    }
    bool has(Device role) const {
        return std::ranges::any_of(observed_.vxlan, [&](const auto& have) { return have.device.role == role; });
    }

    Host host_;
    Observed observed_;
    std::set<std::pair<Device, Address>> accepted_;
    std::vector<Prefix> turning_;
    std::vector<Device> drained_;
    bool bird_vouches_ = true;

  private:
    void apply(const Change& change) {
        if (record(observed_, change)) return;
        if (const auto* made = std::get_if<VxlanDevice>(&change.object)) {
            std::erase_if(observed_.vxlan, [&](const auto& have) { return have.device.role == made->role; });
            if (change.verb != Verb::remove) observed_.vxlan.push_back({*made, 10, {{made->address, 32}}, false});
        } else if (const auto* found = std::get_if<IpipDevice>(&change.object)) {
            observed_.ipip.reset();
            if (change.verb != Verb::remove) observed_.ipip = ObservedIpip{*found, 11, {{found->address, 32}}, true};
        }
    }
};

constexpr auto kAlways = Encapsulate::always;
constexpr auto kCross = Encapsulate::cross_subnet;
constexpr auto kNever = Encapsulate::never;

TEST_F(HandoverTest, what_has_no_path_yet_needs_no_proof) {
    const Stage first = step(vxlan(kAlways));
    EXPECT_TRUE(first.done());
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev vxlan4 onlink");
}

TEST_F(HandoverTest, a_route_enters_the_tunnel_when_its_node_has_answered_and_leaves_it_at_once) {
    settle(vxlan(kCross));
    ASSERT_EQ(way("10.65.1.0/26"), to_string(kDirectToB));
    const Stage first = step(vxlan(kAlways));
    EXPECT_EQ(first.held, 1U);
    ASSERT_THAT(first.echoes, SizeIs(1));
    EXPECT_EQ(first.echoes[0], (Echo{Device::vxlan4, A("10.65.1.0"), A("192.0.2.12"), vtep_mac("b", Family::v4)}));
    EXPECT_EQ(way("10.65.1.0/26"), to_string(kDirectToB));
    EXPECT_EQ(way("10.65.2.0/26"), "via 10.65.2.0 dev vxlan4 onlink");
    accept_everything();
    EXPECT_TRUE(step(vxlan(kAlways)).done());
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev vxlan4 onlink");
    accepted_.clear();
    EXPECT_TRUE(step(vxlan(kCross)).done());
    EXPECT_EQ(way("10.65.1.0/26"), to_string(kDirectToB));
}

TEST_F(HandoverTest, a_route_that_somebody_bent_is_repaired_without_proof) {
    settle(vxlan(kAlways));
    for (ObservedRoute& have : observed_.routes) {
        if (have.route.destination == P("10.65.1.0/26")) have.route.via = {Device::under4, A("192.0.2.1"), false};
    }
    EXPECT_TRUE(step(vxlan(kAlways)).done());
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev vxlan4 onlink");
}

TEST_F(HandoverTest, from_ipip_to_vxlan_weftds_route_repeats_birds_until_the_node_answers) {
    settle(ipip(kAlways));
    bird_programs("10.65.1.0/26", kBirdToB);
    bird_programs("10.65.2.0/26", kBirdToC);
    turning_ = {P("10.65.0.0/16")};
    const Stage first = step(vxlan(kAlways));
    EXPECT_EQ(first.held, 2U);
    EXPECT_TRUE(has(Device::vxlan4)) << "the receiving side is there before anything is sent";
    EXPECT_EQ(way("10.65.1.0/26"), to_string(kBirdToB)) << "BIRD may withdraw its route now";
    ASSERT_THAT(first.still_announced, SizeIs(1)) << "b has not read the change yet";
    EXPECT_EQ(first.still_announced[0].ipip, kAlways);
    EXPECT_THAT(first.draining, ElementsAre(Device::ipip));
    accepted_.emplace(Device::vxlan4, A("192.0.2.12"));
    const Stage second = step(vxlan(kAlways));
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev vxlan4 onlink");
    EXPECT_EQ(way("10.65.2.0/26"), to_string(kBirdToC));
    EXPECT_THAT(second.still_announced, SizeIs(1)) << "c has not";
    accept_everything();
    const Stage third = step(vxlan(kAlways));
    EXPECT_THAT(third.still_announced, IsEmpty());
    EXPECT_THAT(third.idle, IsEmpty()) << "BIRD's routes still lead through it";
    observed_.bird.clear();
    EXPECT_THAT(step(vxlan(kAlways)).idle, ElementsAre(Device::ipip));
    EXPECT_TRUE(observed_.ipip);
    drained_ = {Device::ipip};
    EXPECT_TRUE(step(vxlan(kAlways)).done());
    EXPECT_FALSE(observed_.ipip);
}

TEST_F(HandoverTest, from_vxlan_to_ipip_weftds_route_stays_until_birds_is_there_and_proven) {
    settle(vxlan(kAlways));
    const std::string before = "via 10.65.1.0 dev vxlan4 onlink";
    EXPECT_EQ(step(ipip(kAlways)).held, 2U);
    EXPECT_EQ(way("10.65.1.0/26"), before);
    bird_programs("10.65.1.0/26", kDirectToB);
    step(ipip(kAlways));
    EXPECT_EQ(way("10.65.1.0/26"), before) << "BIRD's route does not lead through the tunnel yet";
    bird_programs("10.65.1.0/26", kBirdToB);
    const Stage asked = step(ipip(kAlways));
    EXPECT_EQ(way("10.65.1.0/26"), before);
    EXPECT_THAT(asked.echoes, testing::Contains(Echo{Device::ipip, A("10.65.1.0"), A("192.0.2.12"), Mac{}}));
    accepted_.emplace(Device::ipip, A("192.0.2.12"));
    const Stage last = step(ipip(kAlways));
    EXPECT_EQ(way("10.65.1.0/26"), "bird " + to_string(kBirdToB));
    EXPECT_THAT(last.draining, ElementsAre(Device::vxlan4));
    EXPECT_THAT(last.idle, IsEmpty()) << "c is still reached through it";
    EXPECT_TRUE(has(Device::vxlan4));
    EXPECT_EQ(observed_.fdb.size(), 2U);
}

TEST_F(HandoverTest, a_node_without_its_ipip_address_yet_is_asked_at_its_vxlan_address_or_waited_for) {
    settle(vxlan(kAlways));
    const std::string before = "via 10.65.1.0 dev vxlan4 onlink";
    Cluster cluster = ipip(kAlways);
    Node& b = cluster.nodes[1];
    b.ipip4.reset();
    b.vxlan4 = A("10.65.1.0");
    Node& c = cluster.nodes[2];
    c.ipip4.reset();
    c.vxlan4.reset();
    bird_programs("10.65.1.0/26", kBirdToB);
    bird_programs("10.65.2.0/26", kBirdToC);
    const Stage asked = step(cluster);
    EXPECT_THAT(asked.echoes, ElementsAre(Echo{Device::none, {}, A("198.51.100.13"), Mac{}},
                                          Echo{Device::ipip, A("10.65.1.0"), A("192.0.2.12"), Mac{}}));
    EXPECT_EQ(way("10.65.1.0/26"), before);
    EXPECT_EQ(way("10.65.2.0/26"), "via 10.65.2.0 dev vxlan4 onlink");
    accepted_.emplace(Device::ipip, A("192.0.2.12"));
    accepted_.emplace(Device::none, A("198.51.100.13"));
    step(cluster);
    EXPECT_EQ(way("10.65.1.0/26"), "bird " + to_string(kBirdToB));
    EXPECT_EQ(way("10.65.2.0/26"), "bird " + to_string(kBirdToC));
}

TEST_F(HandoverTest, blocks_are_announced_until_every_node_and_this_one_have_their_vteps) {
    settle(ipip(kAlways));
    bird_programs("10.65.1.0/26", kBirdToB);
    bird_programs("10.65.2.0/26", kBirdToC);
    accept_everything();
    for (const std::size_t lacks : {0U, 1U, 2U}) {
        Cluster cluster = vxlan(kAlways);
        cluster.nodes[lacks].vxlan4.reset();
        EXPECT_THAT(step(cluster).still_announced, SizeIs(1)) << lacks;
    }
    EXPECT_THAT(step(vxlan(kAlways)).still_announced, IsEmpty());
}

TEST_F(HandoverTest, between_two_of_birds_ways_weftds_route_bridges_the_gap) {
    settle(ipip(kAlways));
    bird_programs("10.65.1.0/26", kBirdToB);
    turning_ = {P("10.65.0.0/16")};
    step(ipip(kNever));
    EXPECT_EQ(way("10.65.1.0/26"), to_string(kBirdToB));
    observed_.bird.clear();
    step(ipip(kNever));
    EXPECT_EQ(way("10.65.1.0/26"), to_string(kBirdToB)) << "BIRD deletes before it adds";
    bird_programs("10.65.1.0/26", kDirectToB);
    step(ipip(kNever));
    EXPECT_EQ(way("10.65.1.0/26"), "bird " + to_string(kDirectToB));
}

TEST_F(HandoverTest, without_a_change_birds_routes_are_left_to_bird) {
    settle(ipip(kAlways));
    bird_programs("10.65.1.0/26", kDirectToB);
    EXPECT_TRUE(step(ipip(kAlways)).done());
    EXPECT_EQ(way("10.65.1.0/26"), "bird " + to_string(kDirectToB));
}

TEST_F(HandoverTest, another_vni_moves_node_after_node_from_the_old_device_to_the_new) {
    settle(vxlan(kAlways));
    // As the kernel shows it to a weftd that wants another VNI.
    observed_.vxlan[0].device.role = Device::old4;
    for (auto& have : observed_.routes) {
        if (have.route.via.device == Device::vxlan4) have.route.via.device = Device::old4;
    }
    for (auto& nexthop : observed_.nexthops) nexthop.via.device = Device::old4;
    observed_.neighbours.clear();
    observed_.fdb.clear();
    Cluster cluster = vxlan(kAlways);
    cluster.vxlan.vni = 77;
    const Stage first = step(cluster);
    EXPECT_TRUE(has(Device::vxlan4) && has(Device::old4));
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev old4 onlink");
    EXPECT_THAT(first.draining, ElementsAre(Device::old4));
    accepted_.emplace(Device::vxlan4, A("192.0.2.12"));
    EXPECT_THAT(step(cluster).idle, IsEmpty());
    EXPECT_EQ(way("10.65.1.0/26"), "via 10.65.1.0 dev vxlan4 onlink");
    EXPECT_EQ(way("10.65.2.0/26"), "via 10.65.2.0 dev old4 onlink");
    accept_everything();
    EXPECT_THAT(step(cluster).idle, ElementsAre(Device::old4));
    drained_ = {Device::old4};
    EXPECT_TRUE(step(cluster).done());
    EXPECT_FALSE(has(Device::old4));
}

TEST_F(HandoverTest, an_interim_name_is_kept_while_the_device_is_up) {
    settle(vxlan(kAlways));
    observed_.vxlan[0].device.name = "weft4.77";
    EXPECT_EQ(step(vxlan(kAlways)).desired.vxlan[0].name, "weft4.77");
    observed_.vxlan[0].device.up = false;
    EXPECT_EQ(step(vxlan(kAlways)).desired.vxlan[0].name, "vxlan.calico");
}

TEST_F(HandoverTest, routes_that_an_earlier_bird_left_take_nothing_over) {
    settle(vxlan(kAlways));
    accept_everything();
    bird_programs("10.65.1.0/26", kBirdToB);
    bird_vouches_ = false;
    EXPECT_EQ(step(ipip(kAlways)).held, 2U);
    EXPECT_THAT(way("10.65.1.0/26"), testing::Not(testing::HasSubstr("bird")));
    bird_vouches_ = true;
    step(ipip(kAlways));
    EXPECT_EQ(way("10.65.1.0/26"), "bird " + to_string(kBirdToB));
}

TEST_F(HandoverTest, blocks_of_a_node_that_is_gone_are_not_held) {
    settle(vxlan(kAlways));
    Cluster cluster = ipip(kAlways);
    cluster.blocks.erase(cluster.blocks.begin() + 1);
    step(cluster);
    EXPECT_EQ(way("10.65.1.0/26"), "none");
}

TEST_F(HandoverTest, what_bird_left_of_a_pool_that_is_gone_holds_no_device) {
    settle(ipip(kAlways));
    observed_.ipip->ours = true;
    bird_programs("10.65.1.0/26", kBirdToB);
    const Cluster pools_are_gone = cluster_with([](Pool& pool) { pool.cidr = P("10.66.0.0/16"); });
    EXPECT_THAT(step(pools_are_gone).idle, ElementsAre(Device::ipip));
}

TEST(Turned, are_the_pools_whose_packets_travel_another_way) {
    EXPECT_THAT(turned(ipip(kAlways), ipip(kNever), "a"), ElementsAre(P("10.65.0.0/16")));
    EXPECT_THAT(turned(ipip(kAlways), ipip(kAlways), "a"), IsEmpty());
    EXPECT_THAT(turned(Cluster{}, ipip(kAlways), "a"), IsEmpty());
}

/// a, b and c, and more nodes without blocks.
Cluster with_more(std::size_t more) {
    Cluster made = ipip(kAlways);
    for (std::size_t at = 0; at < more; ++at) {
        Node node;
        node.name = "n" + std::to_string(10 + at);
        made.nodes.push_back(node);
    }
    return made;
}

TEST(Turned, is_what_other_sessions_bring) {
    const auto change = [](const std::function<void(Cluster&)>& how) {
        Cluster now = with_more(2);
        how(now);
        return turned(with_more(2), now, "a");
    };
    const auto all = ElementsAre(P("10.65.0.0/16"));
    const auto of_c = ElementsAre(P("10.65.2.0/26"));
    EXPECT_THAT(change([](Cluster& now) { now.bgp.password = "another"; }), all);
    EXPECT_THAT(change([](Cluster& now) { now.bgp.local_as = 64513; }), all);
    EXPECT_THAT(change([](Cluster& now) { now.nodes[0].as = 64513; }), all) << "its own sessions";
    EXPECT_THAT(change([](Cluster& now) { now.nodes[2].cluster_id = A("1.0.0.1"); }), all) << "a reflector's";
    EXPECT_THAT(change([](Cluster& now) { now.nodes[2].as = 64513; }), of_c);
    EXPECT_THAT(change([](Cluster& now) { now.nodes[2].bgp_port = 1179; }), of_c);
    EXPECT_THAT(change([](Cluster& now) { now.nodes[1].as = now.nodes[2].as = 64513; }), all) << "half of them";
    EXPECT_THAT(change([](Cluster& now) { now.nodes[2].as = now.bgp.local_as; }), IsEmpty()) << "it had that before";
    EXPECT_THAT(change([](Cluster& now) { now.nodes.pop_back(); }), IsEmpty());
}

TEST(Turned, is_nothing_where_bgp_carries_nothing) {
    Cluster now = vxlan(kAlways);
    now.bgp.password = "another";
    now.nodes[2].cluster_id = A("1.0.0.1");
    EXPECT_THAT(turned(vxlan(kAlways), now, "a"), IsEmpty());
}

TEST(Turned, is_everything_where_many_nodes_change_at_once) {
    Cluster now = with_more(100);
    for (std::size_t at = 3; at < 19; ++at) now.nodes[at].as = 64513;
    EXPECT_THAT(turned(with_more(100), now, "a"), IsEmpty()) << "none of these has a block";
    now.nodes[19].as = 64513;
    EXPECT_THAT(turned(with_more(100), now, "a"), ElementsAre(P("10.65.0.0/16")));
}

}  // namespace
}  // namespace weft
