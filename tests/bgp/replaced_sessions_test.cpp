#include "bgp/replaced_sessions.hpp"

#include <gtest/gtest.h>

#include "clusters.hpp"

namespace weft::test {
namespace {

BirdConfig config_at(const Cluster& cluster, std::string_view node) {
    return render({.cluster = cluster, .node = node, .router_id = RouterIdFromAddress{}, .workload_interfaces = {}});
}

/// Whether this node's sessions are replaced when one cluster becomes the other.
bool replaced(const Cluster& before, const Cluster& now, std::string_view node) {
    return replaces_sessions(config_at(before, node).text, config_at(now, node));
}

TEST(ReplacedSessions, ANodeThatBecomesAReflectorReplacesItsOwnAndNobodyElses) {
    const Cluster mesh = mesh_of(4);
    Cluster reflected = mesh;
    reflected.nodes[2].cluster_id = parse_address("1.0.0.1");
    EXPECT_TRUE(replaced(mesh, reflected, "n0003"));
    EXPECT_TRUE(replaced(reflected, mesh, "n0003"));
    EXPECT_FALSE(replaced(mesh, reflected, "n0001"));
    EXPECT_FALSE(replaced(reflected, mesh, "n0001"));
}

TEST(ReplacedSessions, AnotherPasswordOrAnotherAddressOfItsOwnReplacesAll) {
    const Cluster mesh = mesh_of(3);
    Cluster password = mesh;
    password.bgp.password = "another";
    EXPECT_TRUE(replaced(mesh, password, "n0001"));
    Cluster address = mesh;
    address.nodes[0].address4 = parse_interface_address("192.0.2.99/24");
    address.nodes[0].address6 = parse_interface_address("2001:db8::99/64");
    EXPECT_TRUE(replaced(mesh, address, "n0001"));
    EXPECT_FALSE(replaced(mesh, address, "n0002"));
}

TEST(ReplacedSessions, NewOnesAndOnesThatGoAndFiltersReplaceNone) {
    EXPECT_FALSE(replaced(mesh_of(3), mesh_of(5), "n0001"));
    EXPECT_FALSE(replaced(mesh_of(5), mesh_of(3), "n0001"));
    Cluster pools = mesh_of(3);
    pools.pools.pop_back();
    EXPECT_FALSE(replaced(mesh_of(3), pools, "n0001"));
    EXPECT_FALSE(replaced(mesh_of(3), mesh_of(3), "n0001"));
    EXPECT_FALSE(replaces_sessions("", config_at(mesh_of(3), "n0001")));
}

TEST(ReplacedSessions, OneOfManyIsNotWorthTheOthers) {
    const Cluster mesh = mesh_of(6);
    Cluster port = mesh;
    port.nodes[1].bgp_port = 1790;
    EXPECT_FALSE(replaced(mesh, port, "n0001"));
    EXPECT_TRUE(replaced(mesh, port, "n0002"));
}

TEST(ReplacedSessions, WithNeighboursThatAreNoNodesBirdIsReconfigured) {
    Cluster mesh = mesh_of(3);
    BgpNeighbor router;
    router.address = ip("192.0.2.1");
    router.as = 65000;
    mesh.bgp.neighbors = {router};
    Cluster password = mesh;
    password.bgp.password = "another";
    EXPECT_FALSE(replaced(mesh, password, "n0001"));
}

}  // namespace
}  // namespace weft::test
