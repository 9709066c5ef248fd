#include "conf/guard.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "conf/settings.hpp"

namespace weft {
namespace {

Cluster cluster(int nodes, int pools, int blocks) {
    Cluster made;
    for (int i = 0; i < nodes; ++i) made.nodes.emplace_back().name = fmt::format("n{}", i);
    for (int i = 0; i < pools; ++i) {
        made.pools.push_back({.cidr = *parse_prefix(fmt::format("10.{}.0.0/16", i)), .block_size = 26});
    }
    for (int i = 0; i < blocks; ++i) {
        made.blocks.push_back({.cidr = *parse_prefix(fmt::format("10.0.{}.0/26", i)), .node = 0});
    }
    sort(made);
    return made;
}

TEST(TheGuard, objects_when_most_nodes_pools_or_blocks_are_gone) {
    const Cluster before = cluster(9, 3, 10);
    EXPECT_EQ(mass_withdrawal(before, cluster(9, 3, 10)), "");
    EXPECT_EQ(mass_withdrawal(before, cluster(20, 5, 30)), "");
    EXPECT_EQ(mass_withdrawal(before, cluster(5, 3, 5)), "");
    EXPECT_EQ(mass_withdrawal(before, cluster(4, 3, 10)), "5 of 9 nodes are gone");
    EXPECT_EQ(mass_withdrawal(before, cluster(9, 1, 10)), "2 of 3 pools are gone");
    EXPECT_EQ(mass_withdrawal(before, cluster(9, 3, 4)), "6 of 10 blocks are gone");
    EXPECT_EQ(mass_withdrawal(before, Cluster{}),
              "9 of 9 nodes are gone, 3 of 3 pools are gone, 10 of 10 blocks are gone");
    EXPECT_EQ(mass_withdrawal(Cluster{}, Cluster{}), "");
    EXPECT_EQ(withdrawal(before, cluster(9, 2, 10)), "1 of 3 pools is gone");
    EXPECT_EQ(withdrawal(before, cluster(10, 4, 11)), "");
}

TEST(TheGuard, counts_what_is_replaced_as_gone) {
    Cluster other = cluster(3, 1, 0);
    for (Node& node : other.nodes) node.name = "m" + node.name;
    EXPECT_EQ(mass_withdrawal(cluster(3, 1, 0), other), "3 of 3 nodes are gone");
}

Config loaded(const std::string& text, std::map<std::string, std::string> variables = {}) {
    return load_config_text(text, "weft.conf",
                            [&](const char* name) -> std::optional<std::string> {
                                const auto found = variables.find(name);
                                return found == variables.end() ? std::nullopt : std::optional(found->second);
                            })
        .config;
}

TEST(TheMode, is_the_files_then_the_environments_then_the_sources) {
    SharedSettings said;
    said.backend = {.value = Backend::none, .place = "ConfigMap calico-config (config.yaml:1)"};
    const std::string source = "source directory \"/etc/weft/cluster\";";
    Config config = loaded(source + "calico_backend vxlan;", {{"CALICO_NETWORKING_BACKEND", "bird"}});
    apply_settings(config, said);
    EXPECT_EQ(config.backend.value, Backend::vxlan);
    config = loaded(source, {{"CALICO_NETWORKING_BACKEND", "vxlan"}});
    apply_settings(config, said);
    EXPECT_EQ(config.backend.value, Backend::vxlan);
    config = loaded(source);
    apply_settings(config, said);
    EXPECT_EQ(config.backend.value, Backend::none);
    EXPECT_EQ(to_string(config.backend.origin), "ConfigMap calico-config (config.yaml:1)");
    apply_settings(config, {});
    EXPECT_EQ(config.backend.value, Backend::bird);
    EXPECT_EQ(to_string(config.backend.origin), "default");
}

TEST(Settings, of_the_file_win_over_the_sources) {
    SharedSettings said;
    said.vni = {.value = 4097, .place = "FelixConfiguration default"};
    said.vxlan_mtu = {.value = 1400, .place = "FelixConfiguration default"};
    Config config = loaded("source directory \"/d\"; protocol vxlan { id 5000; }");
    apply_settings(config, said);
    const Cluster cluster = combine(config, Cluster{});
    EXPECT_EQ(cluster.vxlan.vni, 5000U);
    EXPECT_EQ(cluster.vxlan.mtu, 1400U);
    EXPECT_EQ(cluster.vxlan.mtu6, std::nullopt);
    EXPECT_EQ(combine(loaded("protocol vxlan { mtu 1300; }"), Cluster{}).vxlan.mtu6, 1300U);
}

TEST(Neighbours, of_the_file_stand_before_the_sources_and_the_cluster_fills_in_what_a_node_leaves_open) {
    Cluster from_source;
    for (const char* address : {"192.0.2.1", "192.0.2.2"}) {
        BgpNeighbor neighbor;
        neighbor.address = *parse_address(address);
        neighbor.port = 0;
        from_source.bgp.neighbors.push_back(neighbor);
    }
    const Config config = loaded(
        "source directory \"/d\"; protocol bgp { local as 64513; listen port 1179; neighbor 192.0.2.1 as 65000 { } }");
    const Cluster cluster = combine(config, from_source);
    ASSERT_EQ(cluster.bgp.neighbors.size(), 2U);
    EXPECT_EQ(cluster.bgp.neighbors[0].as, 65000U);
    EXPECT_EQ(cluster.bgp.neighbors[1].as, 64513U);
    EXPECT_EQ(cluster.bgp.neighbors[1].port, 1179);
}

}  // namespace
}  // namespace weft
