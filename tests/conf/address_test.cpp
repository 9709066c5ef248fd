#include "conf/address.hpp"

#include <gtest/gtest.h>

#include "conf/cluster.hpp"

namespace weft {
namespace {

TEST(Address, is_read_and_written_in_its_canonical_form) {
    EXPECT_EQ(to_string(*parse_address("192.0.2.1")), "192.0.2.1");
    EXPECT_EQ(to_string(*parse_address("2001:DB8:0:0::1")), "2001:db8::1");
    for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "::g", "fe80::1%eth0", "1.2.3.4 "}) {
        EXPECT_FALSE(parse_address(bad)) << bad;
    }
}

TEST(Prefix, contains_what_shares_its_leading_bits) {
    const Prefix pool = *parse_prefix("10.65.0.0/17");
    EXPECT_TRUE(pool.contains(*parse_address("10.65.127.255")));
    EXPECT_FALSE(pool.contains(*parse_address("10.65.128.0")));
    EXPECT_FALSE(pool.contains(*parse_address("::")));
    EXPECT_TRUE(pool.contains(*parse_prefix("10.65.64.0/26")));
    EXPECT_FALSE(pool.contains(*parse_prefix("10.64.0.0/15")));
    EXPECT_TRUE(parse_prefix("::/0")->contains(*parse_address("ff::1")));
}

TEST(Prefix, with_host_bits_is_only_an_interface_address) {
    EXPECT_FALSE(parse_prefix("10.65.0.1/16"));
    EXPECT_EQ(to_string(parse_interface_address("10.65.0.1/16")->network()), "10.65.0.0/16");
    for (const char* bad : {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "::/129"}) {
        EXPECT_FALSE(parse_interface_address(bad)) << bad;
    }
}

TEST(Mac, is_read_and_written_with_colons) {
    EXPECT_EQ(to_string(*parse_mac("66:3E:ca:a4:db:65")), "66:3e:ca:a4:db:65");
    for (const char* bad : {"", "66-3e-ca-a4-db-65", "66:3e:ca:a4:db", "66:3e:ca:a4:db:6", "66:3e:ca:a4:db:6g"}) {
        EXPECT_FALSE(parse_mac(bad)) << bad;
    }
}

TEST(Cluster, derives_vtep_macs_and_router_ids_as_calico_does) {
    EXPECT_EQ(to_string(vtep_mac("remotehostname", Family::v4)), "66:3e:ca:a4:db:65");
    EXPECT_EQ(to_string(vtep_mac("remotehostname2", Family::v4)), "66:40:18:59:1f:16");
    EXPECT_EQ(to_string(vtep_mac("kube-master", Family::v4)), "66:f5:05:4e:7b:4e");
    EXPECT_EQ(to_string(hashed_router_id("kube-master")), "25.79.212.8");
}

}  // namespace
}  // namespace weft
