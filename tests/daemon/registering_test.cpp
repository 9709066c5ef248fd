#include <utility>

#include "daemon/registering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Node node(const std::string& name, const char* address, const char* vxlan, const char* ipip) {
    Node made;
    made.name = name;
    made.address4 = parse_interface_address(address);
    made.vxlan4 = parse_address(vxlan);
    made.ipip4 = parse_address(ipip);
    return made;
}

TEST(AddressConflicts, AreToldOnBothNodesAndOnNoOther) {
    Cluster cluster;
    cluster.nodes = {node("a", "192.0.2.1/24", "10.65.0.0", "10.66.0.0"), node("b", "192.0.2.2/24", "10.65.0.0", ""),
                     node("c", "192.0.2.1/25", "10.65.2.0", "10.66.0.0"), node("d", "192.0.2.4/24", "", "")};
    EXPECT_THAT(address_conflicts(cluster, "a"),
                ElementsAre(HasSubstr("node b has this node's VXLAN tunnel address 10.65.0.0"),
                            HasSubstr("node c has this node's address 192.0.2.1"),
                            HasSubstr("node c has this node's IPIP tunnel address 10.66.0.0")));
    EXPECT_THAT(address_conflicts(cluster, "b"), ElementsAre(HasSubstr("node a has")));
    EXPECT_THAT(address_conflicts(cluster, "c"), testing::SizeIs(2));
    EXPECT_THAT(address_conflicts(cluster, "d"), IsEmpty());
    EXPECT_THAT(address_conflicts(cluster, "nobody"), IsEmpty());
}

}  // namespace
}  // namespace weft::test
