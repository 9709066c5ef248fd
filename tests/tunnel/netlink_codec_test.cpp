// Netlink messages: what is written is read back, and no bytes whatever make a reader look past their end.
#include "tunnel/netlink_codec.hpp"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <random>

#include "cluster_state.hpp"

namespace weft::test {
namespace {

using namespace netlink;

const Roles kRoles{
    {Device::vxlan4, 11}, {Device::vxlan6, 12}, {Device::ipip, 13}, {Device::under4, 2}, {Device::under6, 2}};

Message first(const Writer& writer) {
    Bytes bytes = writer.bytes();
    return next_message(bytes).value();
}

TEST(NetlinkCodec, reads_back_the_routes_it_writes) {
    for (const ObservedRoute& route :
         {ObservedRoute{{prefix("10.65.2.0/26"), 0, {}, {Device::vxlan4, address("10.65.2.0"), true}}, 0},
          ObservedRoute{{prefix("10.65.2.0/26"), 7, {}, {Device::vxlan4, address("10.65.2.0"), true}}, 77},
          ObservedRoute{{prefix("fd00:1::/64"), 1024, {}, {Device::under6, address("2001:db8::7"), true}}, 0},
          ObservedRoute{{prefix("10.65.1.0/26"), kBlackholeMetric, RouteType::blackhole, {}}, 0}}) {
        Writer writer;
        write_route(writer, Verb::add, route, kRoles, 5);
        const auto raw = parse_route(first(writer));
        ASSERT_TRUE(raw);
        EXPECT_EQ(raw->destination, route.route.destination);
        EXPECT_EQ(raw->metric, route.route.metric);
        EXPECT_EQ(raw->nexthop_id, route.nexthop_id);
        EXPECT_EQ(raw->table, unsigned{RT_TABLE_MAIN});
        EXPECT_EQ(raw->protocol, kProtocol);
        EXPECT_EQ(route_type_name(raw->type), route.route.type == RouteType::blackhole ? "blackhole" : "unicast");
        const bool classic = route.nexthop_id == 0 && route.route.type == RouteType::unicast;
        EXPECT_EQ(raw->gateway, classic ? route.route.via.gateway : std::nullopt);
        EXPECT_EQ(raw->oif, classic ? kRoles.index(route.route.via.device) : 0U);
        EXPECT_EQ(raw->onlink, classic);
    }
}

TEST(NetlinkCodec, never_lets_an_added_route_overwrite_one_that_is_there) {
    const ObservedRoute route{{prefix("10.65.2.0/26"), 0, {}, {Device::vxlan4, {}, false}}, 0};
    Writer add, replace, remove;
    write_route(add, Verb::add, route, kRoles, 1);
    write_route(replace, Verb::replace, route, kRoles, 1);
    write_route(remove, Verb::remove, route, kRoles, 1);
    EXPECT_EQ(first(add).header.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    EXPECT_EQ(first(replace).header.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE);
    EXPECT_EQ(first(remove).header.nlmsg_type, RTM_DELROUTE);
    EXPECT_EQ(parse_route(first(remove))->protocol, kProtocol);
}

TEST(NetlinkCodec, reads_back_nexthops_neighbours_entries_and_addresses) {
    Writer writer;
    write_nexthop(writer, Verb::add, {77, Family::v6, {Device::vxlan6, address("fd00::1"), true}}, kRoles, 1);
    write_neighbour(writer, Verb::add, {Device::vxlan4, address("10.0.0.1"), *parse_mac("66:00:00:00:00:01")}, kRoles,
                    2);
    write_fdb(writer, Verb::add, {Device::vxlan6, *parse_mac("66:00:00:00:00:02"), address("2001:db8::2")}, kRoles, 3);
    write_address(writer, true, {11, {address("10.0.0.9"), 32}}, 4);
    Bytes bytes = writer.bytes();
    const auto nexthop = parse_nexthop(*next_message(bytes));
    ASSERT_TRUE(nexthop);
    EXPECT_TRUE(nexthop->id == 77 && nexthop->oif == 12 && nexthop->gateway == address("fd00::1") && nexthop->onlink);
    const auto neighbour = parse_neighbour(*next_message(bytes));
    ASSERT_TRUE(neighbour);
    EXPECT_TRUE(neighbour->link == 11 && neighbour->permanent && !neighbour->bridge);
    const auto entry = parse_neighbour(*next_message(bytes));
    ASSERT_TRUE(entry);
    EXPECT_TRUE(entry->bridge && entry->address == address("2001:db8::2"));
    EXPECT_EQ(parse_link_address(*next_message(bytes)), (LinkAddress{11, {address("10.0.0.9"), 32}}));
    EXPECT_FALSE(next_message(bytes));
}

TEST(NetlinkCodec, gives_one_underlay_device_the_role_of_each_family) {
    EXPECT_EQ(kRoles.role(2, Family::v4), Device::under4);
    EXPECT_EQ(kRoles.role(2, Family::v6), Device::under6);
    EXPECT_EQ(kRoles.role(11, Family::v6), Device::vxlan4);
    EXPECT_EQ(kRoles.role(99, Family::v4), Device::other);
    EXPECT_EQ(kRoles.role(0, Family::v4), Device::none);
    EXPECT_EQ(Roles{}.role(0, Family::v4), Device::none);
}

TEST(NetlinkCodec, finds_the_kernels_words_with_and_without_the_request_in_the_answer) {
    for (const bool capped : {true, false}) {
        Writer writer;
        writer.begin(NLMSG_ERROR, NLM_F_ACK_TLVS | (capped ? unsigned{NLM_F_CAPPED} : 0U), 9);
        nlmsgerr error{};
        error.error = -17;
        error.msg.nlmsg_len = sizeof(nlmsghdr) + sizeof(rtmsg);
        writer.fixed(error);
        if (!capped) writer.fixed(rtmsg{});
        writer.put_text(NLMSGERR_ATTR_MSG, "it exists");
        writer.end();
        const auto answer = parse_answer(first(writer));
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->error, 17);
        EXPECT_EQ(answer->text, "it exists");
    }
}

/// All readers at once; what they answer does not matter.
void read_all(Bytes bytes) {
    while (const auto message = next_message(bytes)) {
        (void)parse_link(*message);
        (void)parse_link_address(*message);
        (void)parse_route(*message);
        (void)parse_nexthop(*message);
        (void)parse_neighbour(*message);
        (void)parse_answer(*message);
    }
}

/// A copy of exactly this size on the heap, so that the sanitizer sees every byte read past it.
void read_all_of_copy(Bytes bytes) {
    const std::vector<std::byte> copy(bytes.begin(), bytes.end());
    read_all(copy);
}

/// A route to 10.65.3.0/26 by way of 192.0.2.11 and 192.0.2.12, as the kernel tells it.
void write_two_ways(Writer& writer) {
    writer.begin(RTM_NEWROUTE, 0, 5);
    rtmsg route{};
    route.rtm_family = 2;
    route.rtm_dst_len = 26;
    writer.fixed(route);
    writer.put_address(RTA_DST, address("10.65.3.0"));
    const std::size_t ways = writer.open(RTA_MULTIPATH);
    for (const char* gateway : {"192.0.2.11", "192.0.2.12"}) {
        rtnexthop hop{};
        hop.rtnh_len = sizeof hop + 8;
        hop.rtnh_ifindex = 5;
        hop.rtnh_flags = RTNH_F_ONLINK;
        writer.fixed(hop);
        writer.put_address(RTA_GATEWAY, address(gateway));
    }
    writer.close(ways);
    writer.end();
}

TEST(NetlinkCodec, reads_the_first_of_several_ways) {
    Writer writer;
    write_two_ways(writer);
    const auto route = parse_route(first(writer));
    ASSERT_TRUE(route);
    EXPECT_TRUE(route->multipath);
    EXPECT_EQ(route->oif, 0U);
    EXPECT_EQ(route->first.oif, 5U);
    EXPECT_TRUE(route->first.onlink);
    EXPECT_EQ(route->first.gateway, address("192.0.2.11"));
}

Writer one_of_each() {
    Writer writer;
    write_route(writer, Verb::add, {{prefix("10.65.2.0/26"), 7, {}, {Device::vxlan4, address("10.65.2.0"), true}}, 0},
                kRoles, 1);
    write_nexthop(writer, Verb::add, {77, Family::v6, {Device::vxlan6, address("fd00::1"), true}}, kRoles, 2);
    write_fdb(writer, Verb::add, {Device::vxlan6, {}, address("2001:db8::2")}, kRoles, 3);
    writer.begin(RTM_NEWLINK, 0, 4);
    ifinfomsg header{};
    header.ifi_index = 4;
    writer.fixed(header);
    writer.put_text(IFLA_IFNAME, "vxlan.calico");
    const std::size_t info = writer.open(IFLA_LINKINFO);
    writer.put_text(IFLA_INFO_KIND, "vxlan");
    const std::size_t data = writer.open(IFLA_INFO_DATA);
    writer.put_value(1, std::uint32_t{4096});
    writer.close(data);
    writer.close(info);
    writer.end();
    write_two_ways(writer);
    return writer;
}

TEST(NetlinkCodec, survives_messages_cut_off_anywhere) {
    const Writer writer = one_of_each();
    for (std::size_t size = 0; size <= writer.bytes().size(); ++size) read_all_of_copy(writer.bytes().first(size));
}

TEST(NetlinkCodec, survives_messages_whose_bytes_are_wrong) {
    const Writer writer = one_of_each();
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::byte> bytes(writer.bytes().begin(), writer.bytes().end());
        for (int flips = 0; flips < 4; ++flips) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        read_all(bytes);
    }
}

TEST(NetlinkCodec, survives_noise) {
    std::mt19937 random(2);
    for (int round = 0; round < 5000; ++round) {
        std::vector<std::byte> bytes(random() % 300);
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        if (bytes.size() > 4) {
            const auto length = static_cast<std::uint32_t>(bytes.size());
            std::memcpy(bytes.data(), &length, sizeof length);
        }
        read_all(bytes);
    }
}

TEST(NetlinkCodec, takes_an_attribute_of_the_wrong_size_for_absent) {
    Writer writer;
    writer.begin(RTM_NEWROUTE, 0, 1);
    rtmsg header{};
    header.rtm_family = 2;
    header.rtm_dst_len = 24;
    writer.fixed(header);
    writer.put_value(RTA_PRIORITY, std::uint16_t{9});
    writer.put_address(RTA_DST, address("fd00::"));
    writer.end();
    const auto route = parse_route(first(writer));
    ASSERT_TRUE(route);
    EXPECT_EQ(route->metric, 0U);
    EXPECT_EQ(route->destination, prefix("0.0.0.0/24"));
}

}  // namespace
}  // namespace weft::test
