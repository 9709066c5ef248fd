#include "tunnel/difference.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "cluster_state.hpp"

namespace weft::test {
namespace {

using Changes = std::vector<std::string>;

/// "verb kind: reason", with "!" where traffic can be lost.
Changes outline(const std::vector<Change>& changes) {
    Changes lines;
    for (const Change& change : changes) {
        const std::string verb =
            change.verb == Verb::add ? "add" : (change.verb == Verb::remove ? "remove" : "replace");
        lines.push_back(verb + " " + std::string(object_kind(change.object)) + ": " + std::string(change.reason) +
                        (change.may_interrupt ? "!" : ""));
    }
    return lines;
}

const Via kThrough{Device::vxlan4, address("10.65.2.0"), true};
const Via kStraight{Device::under4, address("192.0.2.2"), true};

/// One device, one remote node, one block of it, one own block.
Desired small(bool nexthop_objects = true) {
    Desired desired;
    desired.use_nexthop_objects = nexthop_objects;
    desired.vxlan = {{.role = Device::vxlan4,
                      .name = "vxlan.calico",
                      .vni = 4096,
                      .port = 4789,
                      .local = address("192.0.2.1"),
                      .parent = Device::under4,
                      .mac = *parse_mac("66:00:00:00:00:01"),
                      .mtu = 1450,
                      .address = address("10.65.1.0")}};
    desired.neighbours = {{Device::vxlan4, address("10.65.2.0"), *parse_mac("66:00:00:00:00:02")}};
    desired.fdb = {{Device::vxlan4, *parse_mac("66:00:00:00:00:02"), address("192.0.2.2")}};
    desired.routes = {{prefix("10.65.1.0/26"), kBlackholeMetric, RouteType::blackhole, {}},
                      {prefix("10.65.2.0/26"), 0, RouteType::unicast, kThrough}};
    desired.sysctls = {{"ipv4/conf/vxlan.calico/rp_filter", "0"}, {"ipv4/ip_forward", "1"}};
    return desired;
}

TEST(Difference, of_nothing_and_everything_is_made_in_the_order_in_which_packets_need_it) {
    EXPECT_EQ(outline(difference(small(), {})),
              (Changes{"replace sysctl: unknown value", "add device: missing", "replace sysctl: device is new",
                       "add neighbour: missing", "add fdb: missing", "add nexthop: missing", "add route: missing",
                       "add route: missing"}));
}

TEST(Difference, of_equal_states_is_empty_in_both_forms) {
    for (const bool nexthop_objects : {true, false}) {
        const Desired desired = cluster_state(50, 3, nexthop_objects);
        EXPECT_EQ(outline(difference(desired, as_observed(desired))), Changes{});
    }
}

TEST(Difference, of_everything_and_nothing_goes_in_reverse) {
    EXPECT_EQ(outline(difference({}, as_observed(small()))),
              (Changes{"remove route: not wanted", "remove route: not wanted", "remove nexthop: not used",
                       "remove device: not wanted"}));
}

struct Drift {
    const char* name;
    std::function<void(Observed&)> happen;
    Changes expected;
};

class Drifts : public testing::TestWithParam<Drift> {};

TEST_P(Drifts, are_repaired_by_the_least_that_repairs_them) {
    Observed observed = as_observed(small());
    GetParam().happen(observed);
    EXPECT_EQ(outline(difference(small(), observed)), GetParam().expected);
}

const Changes kAnew{"add neighbour: missing", "add fdb: missing", "add nexthop: missing", "add route: missing"};
Changes anew(const std::string& why) {
    Changes all{"remove device: " + why + "!", "add device: " + why + "!", "replace sysctl: device is new"};
    all.insert(all.end(), kAnew.begin(), kAnew.end());
    return all;
}

VxlanDevice& device(Observed& observed) {
    return observed.vxlan[0].device;
}

INSTANTIATE_TEST_SUITE_P(
    Difference, Drifts,
    testing::Values(
        Drift{"setting", [](Observed& o) { o.sysctls[1].value = "0"; }, {"replace sysctl: differs: value"}},
        Drift{"mtu", [](Observed& o) { device(o).mtu = 1500; }, {"replace device: differs: mtu"}},
        Drift{"mac",
              [](Observed& o) { device(o).mac = {}; },
              {"replace device: differs: mac!", "add neighbour: missing"}},
        Drift{"down", [](Observed& o) { device(o).up = false; }, {"replace device: differs: up"}},
        Drift{"learning", [](Observed& o) { device(o).learning = true; }, {"replace device: differs: learning"}},
        Drift{"local", [](Observed& o) { device(o).local = {}; }, {"replace device: differs: local address"}},
        Drift{"parent", [](Observed& o) { device(o).parent = Device::other; }, {"replace device: differs: parent"}},
        Drift{"address", [](Observed& o) { o.vxlan[0].addresses.clear(); }, {"replace device: differs: address"}},
        Drift{"surplus_address",
              [](Observed& o) {
                  o.vxlan[0].addresses.push_back({address("10.9.9.9"), 24});
              },
              {"replace device: differs: surplus address"}},
        Drift{"vni", [](Observed& o) { device(o).vni = 7; }, anew("differs: vni")},
        Drift{"port", [](Observed& o) { device(o).port = 8472; }, anew("differs: port")},
        Drift{"external", [](Observed& o) { o.vxlan[0].external = true; }, anew("differs: external")},
        Drift{"other_device_of_ours",
              [](Observed& o) {
                  o.vxlan.push_back(o.vxlan[0]);
                  o.vxlan[1].device.role = Device::other;
                  o.vxlan[1].device.name = "vxlan.old";
              },
              {"remove device: not wanted"}},
        Drift{"no_neighbour", [](Observed& o) { o.neighbours.clear(); }, {"add neighbour: missing"}},
        Drift{"neighbour", [](Observed& o) { o.neighbours[0].mac = {}; }, {"replace neighbour: differs"}},
        Drift{"surplus_neighbour",
              [](Observed& o) {
                  o.neighbours.push_back({Device::vxlan4, address("10.65.3.0"), {}});
              },
              {"remove neighbour: not wanted"}},
        Drift{"fdb", [](Observed& o) { o.fdb[0].destination = address("192.0.2.7"); }, {"replace fdb: differs"}},
        Drift{"appended_fdb",
              [](Observed& o) {
                  o.fdb.push_back({Device::vxlan4, o.fdb[0].mac, address("192.0.2.7")});
              },
              {"remove fdb: not wanted"}},
        Drift{"no_route", [](Observed& o) { o.routes.pop_back(); }, {"add route: missing"}},
        Drift{"route_elsewhere",
              [](Observed& o) {
                  o.routes[1] = {{prefix("10.65.2.0/26"), 0, RouteType::unicast, kStraight}, 0};
              },
              {"replace route: differs: nexthop"}},
        Drift{"classic_route",
              [](Observed& o) { o.routes[1].nexthop_id = 0; },
              {"replace route: differs: written another way"}},
        Drift{"calicos_protocol",
              [](Observed& o) { o.routes[1].route.protocol = 3; },
              {"replace route: differs: protocol"}},
        Drift{"surplus_route",
              [](Observed& o) {
                  o.routes.push_back({{prefix("10.65.9.0/26"), 0, RouteType::unicast, kThrough}, 0});
              },
              {"remove route: not wanted"}},
        Drift{"other_metric",
              [](Observed& o) { o.routes[1].route.metric = 5; },
              {"add route: missing", "remove route: not wanted"}},
        Drift{"appended_route",
              [](Observed& o) {
                  o.routes.push_back({{prefix("10.65.2.0/26"), 0, {}, kStraight}, 0});
              },
              {"remove route: not wanted"}},
        Drift{"nexthop_of_other_content",
              [](Observed& o) { o.nexthops[0].via = o.routes[1].route.via = kStraight; },
              {"add nexthop: missing", "replace route: differs: nexthop", "remove nexthop: not used"}},
        Drift{"unused_nexthop",
              [](Observed& o) {
                  o.nexthops.push_back({kFirstNexthopId + 9, Family::v4, kStraight});
              },
              {"remove nexthop: not used"}}),
    [](const auto& info) { return info.param.name; });

TEST(Difference, leaves_the_nexthop_in_place_that_a_missing_route_needs) {
    Observed observed = as_observed(small());
    observed.routes.pop_back();
    const auto changes = difference(small(), observed);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(std::get<ObservedRoute>(changes[0].object).nexthop_id, observed.nexthops[0].id);
}

TEST(Difference, makes_one_nexthop_for_all_routes_to_one_place) {
    Desired desired = small();
    desired.routes.push_back({prefix("10.65.2.64/26"), 0, RouteType::unicast, kThrough});
    desired.routes.push_back({prefix("10.65.2.128/26"), 0, RouteType::unicast, kStraight});
    const auto changes = difference(desired, {});
    EXPECT_EQ(std::ranges::count(outline(changes), "add nexthop: missing"), 2);
}

TEST(Difference, takes_the_first_nexthop_ids_that_are_free) {
    const auto id_beside = [](std::vector<std::uint32_t> foreign) {
        Observed observed;
        observed.foreign_nexthop_ids = std::move(foreign);
        for (const Change& change : difference(small(), observed)) {
            if (const auto* nexthop = std::get_if<Nexthop>(&change.object)) return nexthop->id;
        }
        return 0U;
    };
    EXPECT_EQ(id_beside({}), kFirstNexthopId);
    EXPECT_EQ(id_beside({1, 500}), kFirstNexthopId);
    EXPECT_EQ(id_beside({1, kFirstNexthopId + 5}), kFirstNexthopId);
    EXPECT_EQ(id_beside({kFirstNexthopId, 0xffffffff}), kFirstNexthopId + 1);
}

TEST(Difference, gives_what_was_flushed_ids_below_those_that_are_still_there) {
    Desired desired = small();
    for (std::uint8_t n = 0; n < 4; ++n) {
        Via via = kThrough;
        via.gateway->bytes[3] = static_cast<std::uint8_t>(100 + n);
        desired.routes.push_back({prefix(fmt::format("10.65.{}.0/26", 100 + n)), 0, RouteType::unicast, via});
    }
    Observed observed = as_observed(desired);
    const std::uint32_t last = observed.nexthops.back().id;
    // The first half is gone already, with its routes.
    observed.nexthops.erase(observed.nexthops.begin(), observed.nexthops.begin() + 3);
    std::erase_if(observed.routes, [&](const ObservedRoute& have) {
        return have.nexthop_id != 0 && have.nexthop_id < observed.nexthops.front().id;
    });
    std::size_t made = 0;
    for (const Change& change : difference(desired, observed)) {
        const auto* nexthop = std::get_if<Nexthop>(&change.object);
        if (!nexthop) continue;
        ++made;
        EXPECT_LT(nexthop->id, last);
        EXPECT_TRUE(std::ranges::none_of(observed.nexthops, [&](const Nexthop& n) { return n.id == nexthop->id; }));
    }
    EXPECT_EQ(made, 3U);
}

TEST(Difference, moves_every_route_before_it_drops_the_nexthop_that_they_used) {
    Desired desired = small();
    const Observed observed = as_observed(desired);
    desired.routes[1].via = kStraight;
    EXPECT_EQ(outline(difference(desired, observed)),
              (Changes{"add nexthop: missing", "replace route: differs: nexthop", "remove nexthop: not used"}));
}

TEST(Difference, drops_our_nexthops_once_routes_are_classic) {
    EXPECT_EQ(outline(difference(small(false), as_observed(small(true)))),
              (Changes{"replace route: differs: written another way", "remove nexthop: not used"}));
}

TEST(Difference, leaves_a_route_alone_that_points_at_somebody_elses_nexthop_no_longer) {
    Observed observed = as_observed(small());
    observed.foreign_nexthop_ids = {7};
    observed.routes[1].nexthop_id = 7;
    EXPECT_EQ(outline(difference(small(), observed)), (Changes{"replace route: differs: written another way"}));
}

TEST(Difference, touches_tunl0_only_where_weft_wants_it_or_has_configured_it) {
    Desired desired;
    Observed observed;
    observed.ipip = ObservedIpip{{"tunl0", 1480, true, address("10.65.1.1")}, 4, {{address("10.65.1.1"), 32}}, false};
    EXPECT_TRUE(difference(desired, observed).empty());
    observed.ipip->ours = true;
    EXPECT_EQ(outline(difference(desired, observed)), (Changes{"remove device: not wanted"}));
    desired.ipip = IpipDevice{"tunl0", 1480, true, address("10.65.1.1")};
    EXPECT_TRUE(difference(desired, observed).empty());
    desired.ipip->mtu = 1400;
    EXPECT_EQ(outline(difference(desired, observed)), (Changes{"replace device: differs: mtu"}));
    EXPECT_EQ(outline(difference(desired, {})), (Changes{"add device: missing"}));
}

TEST(Difference, is_told_in_words) {
    const auto changes = difference(small(), {});
    EXPECT_EQ(to_string(changes[3]), "add neighbour 10.65.2.0 lladdr 66:00:00:00:00:02 dev vxlan4");
    EXPECT_EQ(to_string(changes.back()), "add route 10.65.2.0/26 via 10.65.2.0 dev vxlan4 onlink nhid 2003173376");
}

TEST(Host, reads_kernel_versions_as_distributions_write_them) {
    EXPECT_EQ(parse_kernel_version("6.1.0-28-amd64"), (KernelVersion{6, 1, 0}));
    EXPECT_EQ(parse_kernel_version("4.19.1"), (KernelVersion{4, 19, 1}));
    EXPECT_EQ(parse_kernel_version("7"), (KernelVersion{7, 0, 0}));
    EXPECT_EQ(parse_kernel_version(""), (KernelVersion{}));
    EXPECT_EQ(parse_kernel_version("x.y"), (KernelVersion{}));
}

}  // namespace
}  // namespace weft::test
