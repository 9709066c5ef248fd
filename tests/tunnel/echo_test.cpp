#include "tunnel/echo.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "literals.hpp"

namespace weft {
namespace {

EchoSource source() {
    EchoSource from;
    from.own4 = A("192.0.2.11");
    from.own6 = A("2001:db8::11");
    from.vxlan4 = from.ipip = A("10.65.0.0");
    from.vxlan6 = A("fd00:65::");
    from.mac4 = *parse_mac("66:00:00:00:00:0a");
    from.mac6 = *parse_mac("66:00:00:00:00:0b");
    from.vni = 4096;
    from.port = 4789;
    return from;
}

std::string hex(std::span<const std::byte> bytes) {
    static constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (const std::byte one : bytes) {
        text += kDigits[std::to_integer<unsigned>(one) >> 4U];
        text += kDigits[std::to_integer<unsigned>(one) & 15U];
    }
    return text;
}

/// The sum of all 16-bit words, folded: 0xffff over a range that its own checksum is part of.
unsigned folded(std::span<const std::byte> bytes, unsigned sum = 0) {
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        sum += std::to_integer<unsigned>(bytes[i]) << 8U | std::to_integer<unsigned>(bytes[i + 1]);
    }
    while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
    return sum;
}

TEST(Echo, an_ipip_request_is_an_ip_packet_from_tunnel_address_to_tunnel_address) {
    const auto packet = encapsulated_request(source(), {Device::ipip, A("10.65.1.0"), A("192.0.2.12"), {}}, 0x1234, 7);
    ASSERT_EQ(packet.size(), 48U);
    EXPECT_EQ(hex(std::span(packet).subspan(12, 8)), "0a4100000a410100");
    EXPECT_EQ(folded(std::span(packet).first(20)), 0xffffU);
    EXPECT_EQ(folded(std::span(packet).subspan(20)), 0xffffU);
    EXPECT_EQ(hex(std::span(packet).subspan(24)), "1234000700000007fffffff8776566740300000000000000");
}

TEST(Echo, a_vxlan_request_has_the_vni_and_both_macs) {
    const auto packet = encapsulated_request(
        source(), {Device::vxlan4, A("10.65.1.0"), A("192.0.2.12"), *parse_mac("66:00:00:00:00:0c")}, 1, 1);
    ASSERT_EQ(packet.size(), 8 + 14 + 48U);
    EXPECT_EQ(hex(std::span(packet).first(22)), "080000000010000066000000000c66000000000a0800");
}

TEST(Echo, an_ipv6_requests_checksum_takes_the_pseudo_header_in) {
    const auto packet = encapsulated_request(
        source(), {Device::vxlan6, A("fd00:65::100"), A("2001:db8::12"), *parse_mac("66:00:00:00:00:0c")}, 1, 1);
    ASSERT_EQ(packet.size(), 8 + 14 + 40 + 28U);
    EXPECT_EQ(hex(std::span(packet).subspan(20, 2)), "86dd");
    EXPECT_EQ(folded(std::span(packet).subspan(22 + 8), 28 + 58), 0xffffU);
}

TEST(Echo, nothing_is_made_for_a_node_that_has_no_tunnel_address) {
    EchoSource from = source();
    from.ipip.reset();
    EXPECT_TRUE(encapsulated_request(from, {Device::ipip, A("10.65.1.0"), A("192.0.2.12"), {}}, 1, 1).empty());
}

TEST(Echo, a_reply_is_told_from_everything_else) {
    auto packet = encapsulated_request(source(), {Device::ipip, A("10.65.1.0"), A("192.0.2.12"), {}}, 0x1234, 7);
    EXPECT_FALSE(number_in_reply(packet, Family::v4, 0x1234)) << "a request";
    packet[20] = std::byte{0};
    EXPECT_EQ(number_in_reply(packet, Family::v4, 0x1234), 7U);
    EXPECT_FALSE(number_in_reply(packet, Family::v4, 0x1235)) << "somebody else's ping";
    for (std::size_t size = 0; size < packet.size(); ++size) {
        EXPECT_FALSE(number_in_reply(std::span(packet).first(size), Family::v4, 0x1234)) << size;
    }
    packet[0] = std::byte{0x4f};
    EXPECT_FALSE(number_in_reply(packet, Family::v4, 0x1234)) << "a header longer than the packet";
    EXPECT_FALSE(question_in(packet, Family::v4));
    EXPECT_EQ(number_in_reply(std::vector<std::byte>{std::byte{129}}, Family::v6, 1), std::nullopt);
}

TEST(Echo, another_wefts_question_tells_what_it_was_wrapped_in) {
    const auto packet = encapsulated_request(
        source(), {Device::vxlan4, A("10.65.1.0"), A("192.0.2.12"), *parse_mac("66:00:00:00:00:0c")}, 1, 1);
    const auto asked = question_in(std::span(packet).subspan(22), Family::v4);
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->through, Device::vxlan4);
    EXPECT_EQ(asked->vni, 4096U);
    EXPECT_EQ(asked->port, 4789U);
    EXPECT_EQ(*asked, what_is_asked(source(), Device::vxlan4));
    EchoSource elsewhere = source();
    elsewhere.port = 8472;
    EXPECT_NE(*asked, what_is_asked(elsewhere, Device::vxlan4)) << "asked through a device that is on its way out";
    for (std::size_t size = 0; size < 48; ++size) {
        EXPECT_FALSE(question_in(std::span(packet).subspan(22, size), Family::v4)) << size;
    }
}

}  // namespace
}  // namespace weft
