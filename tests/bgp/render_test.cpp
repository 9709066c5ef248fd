#include "bgp/render.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "clusters.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string rendered(const Cluster& cluster, const std::string& node, const RouterId& id = RouterIdFromAddress{}) {
    return render({.cluster = cluster, .node = node, .router_id = id, .workload_interfaces = {"cali*", "weft*"}}).text;
}

std::vector<Peer> peers_at(const Cluster& cluster, const std::string& node) {
    return peers_of(cluster, *cluster.find_node(node));
}

/// What `bird -p` says of a text; "" when it is content.
std::string refused_by_bird(const std::string& text) {
    std::string directory = std::filesystem::temp_directory_path() / "weft-render-XXXXXX";
    if (!mkdtemp(directory.data())) return "no temporary directory";
    const std::string file = directory + "/bird.conf";
    std::ofstream(file) << text;
    const std::string command = "PATH=$PATH:/usr/sbin:/sbin bird -p -c " + file + " 2>&1";
    std::string said;
    if (FILE* pipe = popen(command.c_str(), "r")) {
        std::array<char, 256> buffer{};
        while (fgets(buffer.data(), buffer.size(), pipe)) said += buffer.data();
        const int status = pclose(pipe);
        if (status != 0 && said.empty()) said = fmt::format("status {}", status);
    }
    std::filesystem::remove_all(directory);
    return said;
}

bool have_bird() {
    return std::system("PATH=$PATH:/usr/sbin:/sbin bird --version >/dev/null 2>&1") == 0;
}

std::string golden(const std::string& name) {
    std::ifstream file(std::string(WEFT_TEST_DATA) + "/golden/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
}

void expect_golden(const std::string& name, const std::string& text) {
    if (std::getenv("WEFT_UPDATE_GOLDEN")) std::ofstream(std::string(WEFT_TEST_DATA) + "/golden/" + name) << text;
    EXPECT_EQ(text, golden(name)) << "WEFT_UPDATE_GOLDEN=1 writes it anew";
}

BgpNeighbor neighbor(const std::string& address, std::uint32_t as, std::vector<std::string> nodes = {}) {
    BgpNeighbor result;
    result.address = ip(address);
    result.as = as;
    result.nodes = std::move(nodes);
    return result;
}

const Peer* find(const std::vector<Peer>& peers, const std::string& name) {
    const auto found = std::ranges::find(peers, name, &Peer::protocol);
    return found == peers.end() ? nullptr : &*found;
}

TEST(Render, MeshReadsAsTheGoldenFileSays) {
    Cluster cluster = mesh_of(3);
    cluster.bgp.password = "secret";
    cluster.bgp.graceful_restart_seconds = 60;
    cluster.bgp.neighbors = {{.address = ip("192.0.2.1"),
                              .as = 65000,
                              .nodes = {},
                              .password = "other",
                              .multihop = 2,
                              .port = 1179,
                              .bfd = true,
                              .next_hop_self = true,
                              .passive = true}};
    cluster.blocks.push_back({.cidr = net("10.65.0.130/32"), .node = 0});
    normalise(cluster);
    expect_golden("mesh.conf", rendered(cluster, "n0001"));
}

TEST(Render, ReflectorReadsAsTheGoldenFileSays) {
    Cluster cluster = reflected(4);
    cluster.bgp.mesh = false;
    expect_golden("reflector.conf", rendered(cluster, "n0003", RouterIdHash{}));
}

TEST(Render, BirdAcceptsEveryNodesFileOfManyClusters) {
    if (!have_bird()) GTEST_SKIP() << "bird is not installed";
    std::vector<Cluster> clusters{Cluster{}, mesh_of(1), mesh_of(4), reflected(4)};
    for (const bool mesh : {true, false}) {
        Cluster cluster = reflected(3);
        cluster.bgp.mesh = mesh;
        cluster.nodes[0].as = 65001;
        cluster.nodes[1].address6.reset();
        cluster.bgp.port = 1790;
        cluster.bgp.graceful_restart_seconds = 30;
        cluster.bgp.neighbors = {neighbor("2001:db8::1", 65000), neighbor("192.0.2.12", 64512, {"n0001"})};
        cluster.bgp.neighbors[0].bfd = true;
        cluster.bgp.neighbors[0].next_hop_keep = true;
        clusters.push_back(cluster);
    }
    Cluster no_pools = mesh_of(2);
    no_pools.pools.clear();
    no_pools.blocks.clear();
    clusters.push_back(no_pools);
    for (const Cluster& cluster : clusters) {
        EXPECT_EQ(refused_by_bird(rendered(cluster, "stranger")), "");
        for (const Node& node : cluster.nodes) {
            const std::string text = rendered(cluster, node.name);
            EXPECT_EQ(refused_by_bird(text), "") << text;
        }
    }
}

TEST(Render, AThousandNodesTakeMillisecondsAndBirdAcceptsThem) {
    const Cluster cluster = mesh_of(1000);
    const auto begin = std::chrono::steady_clock::now();
    const std::string text = rendered(cluster, "n0500");
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(took, std::chrono::milliseconds(250));
    RecordProperty("microseconds",
                   static_cast<int>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    if (!have_bird()) GTEST_SKIP() << "bird is not installed";
    EXPECT_EQ(refused_by_bird(text), "");
}

TEST(Render, DoesNotDependOnTheOrderThingsWereToldIn) {
    const Cluster cluster = reflected(6);
    Cluster shuffled = cluster;
    std::mt19937 random(7);
    std::ranges::shuffle(shuffled.pools, random);
    std::ranges::shuffle(shuffled.blocks, random);
    normalise(shuffled);
    EXPECT_EQ(rendered(cluster, "n0002"), rendered(shuffled, "n0002"));
}

TEST(Render, RouterIdIsTheAddressTheHashOrAsWritten) {
    Cluster cluster = mesh_of(2);
    EXPECT_THAT(rendered(cluster, "n0001"), HasSubstr("router id 192.0.2.11;"));
    EXPECT_THAT(rendered(cluster, "n0001", ip("9.8.7.6")), HasSubstr("router id 9.8.7.6;"));
    const std::string hash = to_string(hashed_router_id("n0001"));
    EXPECT_THAT(rendered(cluster, "n0001", RouterIdHash{}), HasSubstr("router id " + hash + ";"));
    cluster.nodes[0].address4.reset();
    EXPECT_THAT(rendered(cluster, "n0001"), HasSubstr("router id " + hash + ";"));
}

TEST(Peers, InAMeshExactlyOneEndOfEachPairIsPassiveByTheTextOfItsAddress) {
    Cluster cluster = mesh_of(3);
    cluster.nodes[0].address4 = parse_interface_address("10.0.0.9/24");
    cluster.nodes[1].address4 = parse_interface_address("10.0.0.10/24");
    // As text "10.0.0.9" is greater than "10.0.0.10".
    EXPECT_FALSE(find(peers_at(cluster, "n0001"), "Mesh_10_0_0_10")->passive);
    EXPECT_TRUE(find(peers_at(cluster, "n0002"), "Mesh_10_0_0_9")->passive);
}

TEST(Peers, NodesPeerOverEachFamilyTheyShare) {
    Cluster cluster = mesh_of(3);
    cluster.nodes[2].address6.reset();
    const auto peers = peers_at(cluster, "n0001");
    EXPECT_EQ(peers.size(), 3U);
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_13"));
    EXPECT_TRUE(find(peers, "Mesh_2001_db8__12"));
    EXPECT_FALSE(find(peers, "Mesh_2001_db8__13"));
}

TEST(Peers, WithReflectorsTheMeshIsAmongTheOthersOnly) {
    Cluster cluster = reflected(4);
    auto peers = peers_at(cluster, "n0001");
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_12"));
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_13"));
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_14"));
    EXPECT_FALSE(find(peers, "Mesh_192_0_2_13")->reflect);
    cluster.bgp.mesh = false;
    peers = peers_at(cluster, "n0001");
    EXPECT_FALSE(find(peers, "Mesh_192_0_2_12"));
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_13"));
    peers = peers_at(cluster, "n0003");
    EXPECT_TRUE(find(peers, "Mesh_192_0_2_11")->reflect);
    EXPECT_FALSE(find(peers, "Mesh_192_0_2_14")->reflect);
}

TEST(Render, NothingOfAnUnexportedPoolLeaves) {
    Cluster cluster = mesh_of(2);
    const std::string text = rendered(cluster, "n0001");
    const std::size_t begin = text.find("define EXPORTED4");
    ASSERT_NE(begin, std::string::npos);
    const std::string exported = text.substr(begin, text.find(';', begin) - begin);
    EXPECT_THAT(exported, HasSubstr("10.67.0.0/16+"));
    EXPECT_THAT(exported, Not(HasSubstr("10.68.0.0/16")));
    for (Pool& pool : cluster.pools) pool.exported = false;
    EXPECT_THAT(rendered(cluster, "n0001"), HasSubstr("filter weft_export4 {\n    reject;\n}"));
}

TEST(Peers, ANodeOfAnotherAsIsNoClient) {
    Cluster cluster = reflected(3);
    cluster.nodes[0].as = 65001;
    EXPECT_FALSE(find(peers_at(cluster, "n0003"), "Mesh_192_0_2_11")->reflect);
    EXPECT_TRUE(find(peers_at(cluster, "n0003"), "Mesh_192_0_2_12"));
}

TEST(Peers, ANeighborStatementTakesThePlaceOfTheMeshSession) {
    Cluster cluster = mesh_of(2);
    cluster.bgp.neighbors = {neighbor("192.0.2.12", 64512)};
    const auto peers = peers_at(cluster, "n0001");
    EXPECT_FALSE(find(peers, "Mesh_192_0_2_12"));
    EXPECT_TRUE(find(peers, "Global_192_0_2_12"));
}

TEST(Peers, OfTwoStatementsForOneAddressTheOneForEveryNodeWins) {
    Cluster cluster = mesh_of(2);
    cluster.bgp.neighbors = {neighbor("192.0.2.1", 65000, {"n0001"}), neighbor("192.0.2.1", 65001)};
    const auto peers = peers_at(cluster, "n0001");
    EXPECT_FALSE(find(peers, "Node_192_0_2_1"));
    ASSERT_TRUE(find(peers, "Global_192_0_2_1"));
    EXPECT_EQ(find(peers, "Global_192_0_2_1")->as, 65001U);
}

TEST(Peers, ANeighborInsideAReflectorsAsIsItsClient) {
    Cluster cluster = reflected(3);
    cluster.bgp.neighbors = {neighbor("192.0.2.1", 64512), neighbor("192.0.2.2", 65000)};
    const auto peers = peers_at(cluster, "n0003");
    EXPECT_TRUE(find(peers, "Global_192_0_2_1")->reflect);
    EXPECT_FALSE(find(peers, "Global_192_0_2_2")->reflect);
    EXPECT_FALSE(find(peers_at(cluster, "n0001"), "Global_192_0_2_1")->reflect);
}

TEST(Render, HostileTextStaysInItsPlace) {
    Cluster cluster = mesh_of(2);
    cluster.nodes[1].name = "x\"; }\nprotocol bgp evil {" + std::string(5000, 'x');
    cluster.ipip.device = "t\"0";
    const std::string text = render({.cluster = cluster,
                                     .node = "n0001",
                                     .router_id = RouterIdFromAddress{},
                                     .workload_interfaces = {"cali*", "a\" || true || ifname ~ \""}})
                                 .text;
    EXPECT_THAT(text, Not(HasSubstr("\nprotocol bgp evil")));
    EXPECT_THAT(text, Not(HasSubstr("|| true")));
    EXPECT_THAT(text, Not(HasSubstr("\"t\"0\"")));
    if (have_bird()) {
        EXPECT_EQ(refused_by_bird(text), "");
    }
}

TEST(Render, ASessionWhosePasswordCannotBeWrittenIsNotOpenedWithoutIt) {
    for (const std::string& bad : {std::string("a\"b"), std::string("a\nb"), std::string(81, 'x')}) {
        Cluster cluster = mesh_of(2);
        cluster.bgp.password = bad;
        const std::string text = rendered(cluster, "n0001");
        EXPECT_THAT(text, Not(HasSubstr("protocol bgp")));
        EXPECT_THAT(text, Not(HasSubstr(bad)));
        EXPECT_THAT(text, HasSubstr("Mesh_192_0_2_12 is left out"));
    }
}

TEST(Render, TheGenerationIsInTheTextAndChangesWithIt) {
    const Cluster cluster = mesh_of(2);
    const RenderInput input{
        .cluster = cluster, .node = "n0001", .router_id = RouterIdFromAddress{}, .workload_interfaces = {"cali*"}};
    const BirdConfig config = render(input);
    EXPECT_THAT(config.text, HasSubstr("define WEFT_GEN = \"" + config.generation + "\";"));
    EXPECT_EQ(render(input), config);
    EXPECT_EQ(config.node_of_peer.at("192.0.2.12"), "n0002");
    const Cluster other = mesh_of(3);
    EXPECT_NE(render({.cluster = other, .node = "n0001", .router_id = {}, .workload_interfaces = {}}).generation,
              config.generation);
}

TEST(Render, APeerStatedAsNeighborStillHasItsNodesName) {
    Cluster cluster = mesh_of(2);
    cluster.bgp.neighbors = {neighbor("192.0.2.12", 64512)};
    const RenderInput input{
        .cluster = cluster, .node = "n0001", .router_id = RouterIdFromAddress{}, .workload_interfaces = {}};
    EXPECT_EQ(render(input).node_of_peer.at("192.0.2.12"), "n0002");
}

TEST(Peers, ANeighborIsWhereItsStatementSays) {
    Cluster cluster = mesh_of(2);
    cluster.bgp.neighbors = {neighbor("192.0.2.1", 65000, {"n0002"})};
    EXPECT_FALSE(find(peers_at(cluster, "n0001"), "Node_192_0_2_1"));
    EXPECT_TRUE(find(peers_at(cluster, "n0002"), "Node_192_0_2_1"));
}

TEST(Peers, ANodeIsNoNeighborOfItself) {
    Cluster cluster = mesh_of(2);
    cluster.bgp.neighbors = {neighbor("192.0.2.11", 65000)};
    EXPECT_FALSE(find(peers_at(cluster, "n0001"), "Global_192_0_2_11"));
}

}  // namespace
}  // namespace weft::test
