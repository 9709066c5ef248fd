// Against the real kernel, in a network namespace of its own.
#include <gmock/gmock.h>

#include <map>

#include "own_namespace.hpp"
#include "tunnel/handover.hpp"

namespace weft::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class BothForms : public KernelTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Routes, BothForms, testing::Bool(),
                         [](const auto& info) { return info.param ? "nexthop_objects" : "classic"; });

TEST_P(BothForms, a_whole_cluster_is_written_and_then_nothing_is_left_to_do) {
    open(GetParam());
    EXPECT_EQ(kernel_->host(scope_)->can.nexthop_objects, GetParam());
    const Desired desired = cluster_state(100, 2, GetParam());
    converge(desired);
    const auto observed = kernel_->observe(scope_);
    ASSERT_TRUE(observed);
    std::vector<Route> routes;
    for (const ObservedRoute& at : observed->routes) routes.push_back(at.route);
    EXPECT_EQ(routes, desired.routes);
    EXPECT_EQ(observed->neighbours, desired.neighbours);
    EXPECT_EQ(observed->fdb, desired.fdb);
    EXPECT_EQ(observed->nexthops.size(), GetParam() ? 200U : 0U);
    ASSERT_EQ(observed->vxlan.size(), 2U);
    EXPECT_EQ(observed->vxlan[0].device, desired.vxlan[0]);
    EXPECT_EQ(observed->vxlan[1].device, desired.vxlan[1]);
    EXPECT_THAT(output_of("ip link show vxlan.calico"), HasSubstr("alias weft:vxlan4"));
}

TEST_F(KernelTest, routes_change_from_one_form_to_the_other_and_back) {
    for (const bool nexthop_objects : {true, false, true}) converge(cluster_state(20, 2, nexthop_objects));
}

TEST_P(BothForms, nodes_move_between_underlay_and_tunnel_without_a_missing_route) {
    open(GetParam());
    const Desired before = cluster_state(30, 2, GetParam());
    Desired after = before;
    for (Route& route : after.routes) {
        const Family family = route.destination.family();
        if (route.via.device == under_device(family)) {
            // The tunnel address of a node is the first of its first block, which two blocks share here.
            Address gateway = route.destination.address;
            gateway.bytes[family == Family::v4 ? 3 : 7] &= family == Family::v4 ? 0x80 : 0xfe;
            route.via = {vxlan_device(family), gateway, true};
        }
    }
    converge(before);
    pending_notices();
    converge(after);
    EXPECT_EQ(pending_notices().size(), 0U);
    converge(before);
}

TEST_F(KernelTest, tells_which_kinds_of_device_it_can_make_and_makes_none) {
    EXPECT_TRUE(kernel_->can_make("vxlan"));
    EXPECT_FALSE(kernel_->can_make("weft-nonsense"));
    kernel_->can_make("ipip");
    EXPECT_EQ(output_of("ip link show type vxlan"), "");
    EXPECT_EQ(output_of("ip link show").find("weft"), std::string::npos);
}

TEST_F(KernelTest, wanting_nothing_leaves_nothing_of_ours) {
    converge(cluster_state(20, 2));
    converge(Desired{});
    EXPECT_EQ(output_of("ip nexthop"), "");
    EXPECT_EQ(output_of("ip route show proto 80; ip -6 route show proto 80; ip -o link show type vxlan"), "");
}

TEST_F(KernelTest, calicos_own_state_is_adopted_in_place) {
    ASSERT_TRUE(
        run("ip link add vxlan.calico address 66:00:00:00:00:00 type vxlan id 4096 dstport 4789 "
            "local 172.16.0.1 dev under0 nolearning"));
    ASSERT_TRUE(run("ip link set vxlan.calico up && ip address add 10.0.0.0/32 dev vxlan.calico"));
    ASSERT_TRUE(run("ip route add 10.0.0.64/26 via 10.0.0.64 dev vxlan.calico onlink mtu 1450"));
    ASSERT_TRUE(run("ip route add 10.77.0.0/26 via 10.77.0.0 dev vxlan.calico onlink"));
    const std::string index = output_of("cat /sys/class/net/vxlan.calico/ifindex");
    const auto observed = kernel_->observe(scope_);
    ASSERT_TRUE(observed);
    const std::uint32_t adopted = observed->vxlan.at(0).index;
    converge(cluster_state(3, 1));
    EXPECT_EQ(kernel_->observe(scope_)->vxlan.at(0).index, adopted);
    EXPECT_EQ(output_of("ip route show 10.77.0.0/26"), "");
    EXPECT_THAT(output_of("ip route show 10.0.0.64/26"), HasSubstr("proto 80"));
}

TEST_F(KernelTest, a_device_made_under_another_name_goes) {
    converge(cluster_state(3, 1));
    scope_.vxlan_device4 = "vxlan.new";
    Desired desired = cluster_state(3, 1);
    desired.vxlan[0].name = "vxlan.new";
    desired.sysctls.clear();
    // The old device still holds the VNI when the new one is to be made, and goes in the same run.
    kernel_->apply(scope_, left_to_do(desired));
    converge(desired);
    EXPECT_EQ(output_of("ip -o link show dev vxlan.calico | grep -c alias"), "0\n");
}

struct Change1 {
    const char* name;
    void (*change)(VxlanDevice&);
    bool same_device;
};
class DeviceChanges : public KernelTest, public testing::WithParamInterface<Change1> {};

TEST_P(DeviceChanges, arrive_in_the_kernel) {
    Desired desired = cluster_state(5, 1);
    converge(desired);
    const std::uint32_t index = kernel_->observe(scope_)->vxlan.at(0).index;
    GetParam().change(desired.vxlan[0]);
    if (desired.vxlan[0].local != address("172.16.0.1")) {
        ASSERT_TRUE(run("ip address add 172.16.0.9/16 dev under0"));
    }
    converge(desired);
    EXPECT_EQ(kernel_->observe(scope_)->vxlan.at(0).index == index, GetParam().same_device);
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, DeviceChanges,
    testing::Values(Change1{"mtu", [](VxlanDevice& d) { d.mtu = 1400; }, true},
                    Change1{"mac", [](VxlanDevice& d) { d.mac.bytes[5] = 99; }, true},
                    Change1{"address", [](VxlanDevice& d) { d.address = address("10.0.0.5"); }, true},
                    Change1{"local", [](VxlanDevice& d) { d.local = address("172.16.0.9"); }, true},
                    Change1{"learning", [](VxlanDevice& d) { d.learning = true; }, true},
                    Change1{"vni", [](VxlanDevice& d) { d.vni = 5000; }, false},
                    Change1{"port", [](VxlanDevice& d) { d.port = 4790; }, false}),
    [](const auto& info) { return info.param.name; });

TEST_F(KernelTest, the_host_is_described_as_it_is) {
    const auto host = kernel_->host(scope_);
    ASSERT_TRUE(host);
    EXPECT_TRUE(host->can.vxlan && host->can.ipv6 && host->can.nexthop_objects);
    ASSERT_TRUE(host->underlay4);
    EXPECT_EQ(host->underlay4->device, "under0");
    EXPECT_EQ(host->underlay4->mtu, 1500U);
    EXPECT_GE(host->kernel.major, 4U);
    EXPECT_EQ(host->link("under0")->kind, "veth");
    scope_.own4 = address("203.0.113.1");
    EXPECT_FALSE(kernel_->host(scope_)->underlay4);
}

TEST_F(KernelTest, an_address_on_the_loopback_device_means_the_device_towards_the_peer) {
    ASSERT_TRUE(run("ip address add 203.0.113.1/32 dev lo"));
    scope_.own4 = address("203.0.113.1");
    EXPECT_EQ(kernel_->host(scope_)->underlay4->device, "under0");
}

TEST_F(KernelTest, the_mtu_of_the_route_towards_the_peer_limits_the_underlay) {
    ASSERT_TRUE(run("ip route add 172.16.0.2/32 dev under0 mtu 1300"));
    EXPECT_EQ(kernel_->host(scope_)->underlay4->mtu, 1300U);
}

TEST_F(KernelTest, a_lookup_tells_where_a_packet_goes_and_which_route_says_so) {
    converge(cluster_state(12, 2));
    const auto found = kernel_->lookup(address("10.0.0.130"));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->device, "vxlan.calico");
    EXPECT_EQ(found->gateway, address("10.0.0.128"));
    EXPECT_EQ(found->match, prefix("10.0.0.128/26"));
    EXPECT_EQ(found->protocol, kProtocol);
    EXPECT_EQ(found->type, "unicast");
    EXPECT_FALSE(kernel_->lookup(address("198.51.100.1")));
}

TEST_F(KernelTest, a_lookup_names_the_type_of_a_route_that_drops_packets) {
    for (const char* type : {"blackhole", "unreachable", "prohibit"}) {
        ASSERT_TRUE(run(std::string("ip route replace ") + type + " 203.0.113.0/24"));
        const auto found = kernel_->lookup(address("203.0.113.7"));
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->type, type);
        EXPECT_EQ(found->device, "");
    }
}

TEST_F(KernelTest, of_birds_routes_with_several_ways_the_first_is_told) {
    ASSERT_TRUE(
        run("ip route add 203.0.113.0/26 proto bird metric 1024 nexthop via 172.16.0.2 dev under0 onlink "
            "nexthop via 172.16.0.3 dev under0 onlink"));
    scope_.bird = true;
    const auto observed = kernel_->observe(scope_);
    ASSERT_TRUE(observed) << observed.error().message;
    ASSERT_EQ(observed->bird.size(), 1U);
    EXPECT_EQ(observed->bird[0].via, (Via{Device::under4, address("172.16.0.2"), true}));
}

struct Fault {
    const char* name;
    const char* command;
    bool full;
};
class Faults : public KernelTest, public testing::WithParamInterface<Fault> {};

TEST_P(Faults, are_noticed_and_repaired) {
    const Desired desired = cluster_state(12, 2);
    converge(desired);
    EXPECT_TRUE(pending_notices().empty());
    ASSERT_TRUE(run(GetParam().command)) << output_of(GetParam().command);
    const auto noticed = notices();
    ASSERT_FALSE(noticed.empty());
    const bool full = std::ranges::any_of(noticed, [](const Kernel::Notice& notice) { return notice.full; });
    EXPECT_EQ(full, GetParam().full);
    EXPECT_NE(left_to_do(desired).size(), 0U);
    converge(desired);
    // Of our own repair nothing is heard.
    const auto echoes = pending_notices();
    EXPECT_TRUE(echoes.empty()) << echoes.front().object;
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, Faults,
    testing::Values(
        Fault{"route_deleted", "ip route del 10.0.0.128/26", false},
        Fault{"route6_deleted", "ip -6 route del fd00:0:0:4::/64", false},
        Fault{"route_overridden", "ip route replace 10.0.0.128/26 via 172.16.0.7", false},
        Fault{"route_added", "ip route add 10.99.0.0/26 via 172.16.0.7 proto 80", false},
        Fault{"route_on_our_device", "ip route add 10.99.0.0/26 via 10.99.0.0 dev vxlan.calico onlink", false},
        Fault{"nexthop_deleted", "ip nexthop del id 2003173376", false},
        Fault{"neighbour_deleted", "ip neigh del 10.0.0.128 dev vxlan.calico", false},
        Fault{"neighbour_changed",
              "ip neigh replace 10.0.0.128 lladdr 66:00:00:00:00:77 nud permanent dev vxlan.calico", false},
        Fault{"neighbour_not_permanent",
              "ip neigh replace 10.0.0.128 lladdr 66:00:00:00:00:01 nud reachable dev vxlan.calico", false},
        Fault{"fdb_deleted", "bridge fdb del 66:00:00:00:00:01 dev vxlan.calico", false},
        Fault{"fdb_added", "bridge fdb add 66:00:00:00:00:99 dst 172.16.0.99 dev vxlan.calico", false},
        Fault{"fdb_changed", "bridge fdb replace 66:00:00:00:00:01 dst 172.16.0.99 dev vxlan.calico", false},
        Fault{"device_down", "ip link set vxlan.calico down", true},
        Fault{"device6_down", "ip link set vxlan-v6.calico down", true},
        Fault{"device_deleted", "ip link del vxlan.calico", true},
        Fault{"device_mtu", "ip link set vxlan.calico mtu 1300", true},
        Fault{"device_mac", "ip link set vxlan.calico address 66:00:00:00:00:77", true},
        Fault{"device_renamed", "ip link set vxlan.calico down && ip link set vxlan.calico name gone", true},
        Fault{"forwarding_off", "(echo 0 >/proc/sys/net/ipv4/ip_forward)", false},
        Fault{"forwarding6_off", "(echo 0 >/proc/sys/net/ipv6/conf/all/forwarding)", false},
        Fault{"rp_filter_strict", "(echo 1 >/proc/sys/net/ipv4/conf/vxlan.calico/rp_filter)", false},
        Fault{"address_deleted", "ip address del 10.0.0.0/32 dev vxlan.calico", true},
        Fault{"address_added", "ip address add 10.9.9.9/24 dev vxlan.calico", true}),
    [](const auto& info) { return info.param.name; });

TEST_F(KernelTest, lost_notifications_mean_that_everything_is_looked_at) {
    open(true, 4096);
    const Desired desired = cluster_state(12, 2);
    converge(desired);
    pending_notices();
    // What was lost may be the very route that matters; no more is known than that something was.
    ASSERT_TRUE(run("for n in $(seq 2 200); do echo route add 10.99.0.$n dev under0; done | ip -batch -"));
    ASSERT_TRUE(run("ip route del 10.0.0.128/26"));
    const auto noticed = notices();
    EXPECT_TRUE(std::ranges::any_of(noticed, &Kernel::Notice::full));
    EXPECT_NE(left_to_do(desired).size(), 0U);
    converge(desired);
    // And it hears again.
    pending_notices();
    ASSERT_TRUE(run("ip route del 10.0.0.128/26"));
    EXPECT_FALSE(notices().empty());
}

TEST_F(KernelTest, a_device_of_another_vni_stays_beside_the_new_one_until_traffic_has_left_it) {
    Desired desired = cluster_state(5, 1);
    scope_.vni = desired.vxlan[0].vni;
    scope_.port = desired.vxlan[0].port;
    converge(desired);
    scope_.vni = desired.vxlan[0].vni = desired.vxlan[1].vni = 77;
    const auto before = kernel_->observe(scope_);
    ASSERT_TRUE(before);
    ASSERT_EQ(before->vxlan.size(), 2U);
    EXPECT_EQ(before->vxlan[0].device.role, Device::old4);
    EXPECT_EQ(before->vxlan[1].device.role, Device::old6);
    const auto changes = difference(desired, *before);
    EXPECT_EQ(text(kernel_->apply(scope_, changes)), "");
    const auto after = kernel_->observe(scope_);
    ASSERT_TRUE(after);
    ASSERT_EQ(after->vxlan.size(), 2U) << "the old ones go last";
    EXPECT_EQ(after->vxlan[0].device.role, Device::vxlan4);
    EXPECT_EQ(after->vxlan[0].device.name, "weft4.77");
    EXPECT_EQ(after->routes.size(), desired.routes.size());
    converge(desired);  // the name is free now
}

TEST_F(KernelTest, of_changes_that_come_before_traffic_has_left_the_latest_devices_stay) {
    Desired desired = cluster_state(5, 1);
    scope_.port = desired.vxlan[0].port;
    for (const std::uint32_t vni : {4096U, 77U, 78U, 79U}) {
        scope_.vni = desired.vxlan[0].vni = desired.vxlan[1].vni = vni;
        desired.draining = {Device::old4, Device::older4, Device::old6, Device::older6};
        for (int pass = 0; pass < 2; ++pass) {
            const auto observed = kernel_->observe(scope_);
            ASSERT_TRUE(observed);
            Desired now = desired;
            keep_interim_names(now, *observed, false);
            EXPECT_EQ(text(kernel_->apply(scope_, difference(now, *observed))), "");
        }
    }
    const auto observed = kernel_->observe(scope_);
    ASSERT_TRUE(observed);
    std::map<std::string, std::uint32_t> devices;
    for (const ObservedVxlan& have : observed->vxlan)
        devices[std::string(to_string(have.device.role))] = have.device.vni;
    EXPECT_THAT(devices, ElementsAre(Pair("old4", 78U), Pair("old6", 78U), Pair("older4", 77U), Pair("older6", 77U),
                                     Pair("vxlan4", 79U), Pair("vxlan6", 79U)));
    desired.draining.clear();
    converge(desired);
}

TEST_F(KernelTest, what_does_not_concern_weft_is_not_noticed) {
    converge(cluster_state(5, 1));
    EXPECT_TRUE(pending_notices().empty());
    ASSERT_TRUE(run("ip link add cali1 type veth peer name cali2"));
    ASSERT_TRUE(run("ip link set cali1 up && ip link set cali2 up && ip address add 10.0.0.1/32 dev cali1"));
    ASSERT_TRUE(run("ip route add 10.0.0.3/32 dev cali1 && ip route replace 10.0.0.3/32 dev cali1 proto static"));
    ASSERT_TRUE(run("ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:01 dev cali1"));
    ASSERT_TRUE(run("ip nexthop add id 5 via 172.16.9.9 dev under0 && ip nexthop del id 5"));
    ASSERT_TRUE(run("ip link del cali1"));
    const auto noticed = pending_notices();
    EXPECT_TRUE(noticed.empty()) << noticed.front().object;
}

TEST_F(KernelTest, the_underlays_own_address_and_state_are_watched) {
    converge(cluster_state(5, 1));
    EXPECT_TRUE(pending_notices().empty());
    ASSERT_TRUE(run("ip address del 172.16.0.1/16 dev under0"));
    EXPECT_FALSE(notices().empty());
    ASSERT_TRUE(run("ip link set under0 mtu 1400"));
    EXPECT_FALSE(notices().empty());
    ASSERT_TRUE(run("ip link set under1 down"));
    EXPECT_FALSE(notices().empty());
}

TEST_F(KernelTest, the_one_who_changed_a_route_is_told_by_his_port) {
    converge(cluster_state(5, 1));
    pending_notices();
    ASSERT_TRUE(run("ip route del 10.0.0.128/26"));
    const auto noticed = notices();
    ASSERT_FALSE(noticed.empty());
    EXPECT_NE(noticed[0].by, 0U);
    EXPECT_EQ(noticed[0].object, "route 10.0.0.128/26 deleted");
}

}  // namespace
}  // namespace weft::test
