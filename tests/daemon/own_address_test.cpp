#include "daemon/own_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::test {
namespace {

using Kind = AddressMethod::Kind;
using testing::AllOf;
using testing::HasSubstr;

/// A host with these interfaces, in the order of their indices: name, whether it is up, addresses.
struct Given {
    const char* name;
    bool up;
    std::vector<const char*> addresses;
    const char* alias = "";
};
Host host(const std::vector<Given>& all) {
    Host made;
    std::uint32_t index = 0;
    for (const Given& given : all) {
        Link link;
        link.index = ++index;
        link.name = given.name;
        link.alias = given.alias;
        link.up = given.up;
        link.loopback = link.name == "lo";
        made.links.push_back(link);
        for (const char* text : given.addresses) {
            made.addresses.push_back({.link = index, .address = *parse_interface_address(text)});
        }
    }
    return made;
}

const Host kHost = host({{"lo", true, {"127.0.0.1/8", "::1/128"}},
                         {"eth0", true, {"192.0.2.11/24", "fe80::1/64", "2001:db8::11/64"}},
                         {"eth1", true, {"198.51.100.11/25", "198.51.100.12/25"}},
                         {"eth2", false, {"203.0.113.11/24"}},
                         {"dummy0", true, {"10.9.9.9/32"}},
                         {"docker0", true, {"172.17.0.1/16"}},
                         {"br-1a2b", true, {"172.18.0.1/16"}},
                         {"cali123", true, {"169.254.1.1/32"}},
                         {"vxlan.calico", true, {"10.65.0.0/32"}},
                         {"weft-tun", true, {"10.66.0.0/32"}},
                         // a second device while the VNI changes
                         {"weft4.77", true, {"10.65.0.0/32"}, "weft:vxlan4"}});

struct OwnAddressCase {
    AddressMethod method;
    Family family;
    const char* address;  ///< null: none
    const char* reason;
    const char* towards = nullptr;
};

TEST(OwnAddress, IsFoundAsCalicosMethodsFindItAndSaysWhy) {
    const auto patterns = [](Kind kind, std::vector<std::string> all, bool regular = false) {
        return AddressMethod{.kind = kind, .patterns = std::move(all), .regular_expressions = regular};
    };
    const auto cidr = [](const char* text) {
        return AddressMethod{.kind = Kind::cidr, .prefixes = {*parse_prefix(text)}};
    };
    const auto fixed = [](const char* text) {
        return AddressMethod{.kind = Kind::fixed, .address = *parse_interface_address(text)};
    };
    const std::vector<OwnAddressCase> all{
        {{}, Family::v4, "198.51.100.11/25", "eth1 because it is the first with a global address"},
        {{}, Family::v6, "2001:db8::11/64", "eth0 because it is the first"},
        {patterns(Kind::interface, {"eth*"}), Family::v4, "198.51.100.11/25", "eth1 because it matches 'eth*'"},
        {patterns(Kind::interface, {"ens*", "eth0", "eth1"}), Family::v4, "192.0.2.11/24",
         "eth0 because it matches 'eth0'"},
        {patterns(Kind::interface, {"docker0"}), Family::v4, "172.17.0.1/16", "docker0 because"},
        {patterns(Kind::interface, {"weft*"}), Family::v4, nullptr, "eth1 198.51.100.11/25"},
        {patterns(Kind::interface, {"eth2"}), Family::v4, nullptr, "eth2 203.0.113.11/24 (down)"},
        {patterns(Kind::interface, {"^eth[01]$"}, true), Family::v4, "198.51.100.11/25",
         "eth1 because it matches '^eth[01]$'"},
        {patterns(Kind::interface, {"th0"}, true), Family::v4, "192.0.2.11/24", "eth0 because"},
        {patterns(Kind::interface, {"("}, true), Family::v4, nullptr, "no IPv4 address"},
        {patterns(Kind::skip_interface, {"eth1"}), Family::v4, "192.0.2.11/24",
         "eth0 because it is the first that is not skipped ('eth1')"},
        {patterns(Kind::skip_interface, {"eth.*"}, true), Family::v4, nullptr, "no IPv4 address"},
        {{.kind = Kind::can_reach, .target = *parse_address("192.0.2.1")},
         Family::v4,
         "192.0.2.11/24",
         "eth0 because packets to 192.0.2.1",
         "192.0.2.11"},
        {{.kind = Kind::can_reach, .target = *parse_address("192.0.2.1")}, Family::v4, nullptr, "can reach 192.0.2.1"},
        {cidr("198.51.100.0/24"), Family::v4, "198.51.100.11/25", "eth1 because 198.51.100.11 lies in 198.51.100.0/24"},
        {cidr("10.0.0.0/8"), Family::v4, "10.9.9.9/32", "dummy0 because"},
        {cidr("127.0.0.0/8"), Family::v4, nullptr, "cidr 127.0.0.0/8"},
        {cidr("2001:db8::/32"), Family::v6, "2001:db8::11/64", "eth0 because"},
        {fixed("192.0.2.11/32"), Family::v4, "192.0.2.11/24", "because it is stated (eth0 has it)"},
        {fixed("192.0.2.11/16"), Family::v4, "192.0.2.11/16", "because it is stated"},
        {fixed("192.0.2.99/24"), Family::v4, "192.0.2.99/24", "no interface has it now"},
        {{.kind = Kind::keep}, Family::v4, nullptr, "stays"},
    };
    const std::vector<std::string> own{"weft-tun", "vxlan.calico"};
    for (const OwnAddressCase& one : all) {
        SCOPED_TRACE(to_string(one.method));
        const auto towards = one.towards == nullptr ? std::nullopt : parse_address(one.towards);
        const auto found = find_own_address(one.method, one.family, kHost, own, towards);
        if (one.address == nullptr) {
            ASSERT_FALSE(found) << to_string(found->address);
            EXPECT_THAT(found.error().message, HasSubstr(one.reason));
        } else {
            ASSERT_TRUE(found) << found.error().message;
            EXPECT_EQ(to_string(found->address), one.address);
            EXPECT_THAT(found->reason, HasSubstr(one.reason));
        }
    }
}

TEST(OwnAddress, AHostWithoutAnyIsToldAsSuch) {
    EXPECT_THAT(find_own_address({}, Family::v4, host({{"lo", true, {"127.0.0.1/8"}}}), {}, {}).error().message,
                AllOf(HasSubstr("no IPv4 address"), HasSubstr("there is none")));
}

TEST(OwnAddress, TheKernelIsAskedWhereItSendsFrom) {
    EXPECT_EQ(source_address(*parse_address("127.0.0.1")), parse_address("127.0.0.1"));
}

}  // namespace
}  // namespace weft::test
