#include <utility>

#include "daemon/controller.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/readiness.hpp"
#include "daemon/show.hpp"
#include "tests/daemon/simulated_kernel.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

std::string pool(const std::string& mode = "Always", const std::string& cidr = "10.65.0.0/16") {
    return "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec:\n  cidr: " + cidr +
           "\n  vxlanMode: " + mode + "\n---\n";
}

std::string node(char name) {
    const int number = name - 'a';
    return fmt::format(
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {0}}}\n"
        "spec: {{bgp: {{ipv4Address: 192.0.2.{1}/24}}}}\n---\n"
        "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\nmetadata: {{name: {0}-0}}\n"
        "spec: {{node: {0}, cidr: 10.65.{2}.0/26, state: confirmed}}\n---\n",
        name, 11 + number, number);
}

/// Controllers that follow a directory, one after another on one kernel, as a daemon that is restarted.
class SourceTest : public testing::Test {
  protected:
    SourceTest() {
        fs::create_directories(directory_ + "/cluster");
        config("");
        manifest("pool.yaml", pool());
        for (const char name : std::string("abcd")) manifest(std::string("node-") + name + ".yaml", node(name));
    }
    ~SourceTest() override {
        controller_.reset();
        fs::remove_all(directory_);
    }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(directory_ + "/" + name) << text;
    }
    void config(const std::string& block, const std::string& more = "") const {
        write("weft.conf",
              fmt::format("log stderr {{ error }}; hostname \"a\"; {}\nsource directory \"{}/cluster\" {{ {} }}\n"
                          "state directory \"{}/state\";\n",
                          more.empty() ? "calico_backend vxlan;" : more, directory_, block, directory_));
    }
    void manifest(const std::string& name, const std::string& text) const { write("cluster/" + name, text); }
    void remove(const std::string& name) const { fs::remove(directory_ + "/cluster/" + name); }

    Result<Done> start() {
        controller_ =
            std::make_unique<Controller>(io_,
                                         Controller::Options{.config_file = directory_ + "/weft.conf",
                                                             .control_socket = directory_ + "/weft.ctl",
                                                             .environment = [](const char*) { return std::nullopt; }},
                                         kernel_);
        return controller_->start();
    }
    Result<Done> restart() {
        if (controller_) controller_->stop();
        controller_.reset();
        return start();
    }
    const State& state() const { return controller_->state(); }
    bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(50ms);
        }
        return condition();
    }
    bool has_route(const char* destination) const {
        return std::any_of(
            kernel_.observed.routes.begin(), kernel_.observed.routes.end(),
            [&](const ObservedRoute& route) { return to_string(route.route.destination) == destination; });
    }
    bool ready() const { return readiness(state(), std::chrono::steady_clock::now()).ready; }
    std::string reasons() const {
        std::string text;
        for (const Reason& reason : readiness(state(), std::chrono::steady_clock::now()).reasons)
            text += reason.text + "\n";
        return text;
    }
    std::string stored() const {
        std::ifstream in(directory_ + "/state/cluster.conf");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    static std::string new_directory() {
        std::string pattern = (fs::temp_directory_path() / "weft-source-XXXXXX").string();
        return mkdtemp(pattern.data());
    }
    const std::string directory_ = new_directory();
    boost::asio::io_context io_{1};
    SimulatedKernel kernel_;
    std::unique_ptr<Controller> controller_;
};

TEST_F(SourceTest, brings_the_kernel_to_what_a_directory_says_and_follows_it) {
    ASSERT_TRUE(start());
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_TRUE(ready()) << reasons();
    manifest("node-e.yaml", node('e'));
    EXPECT_TRUE(eventually([&] { return has_route("10.65.4.0/26"); }));
    remove("node-b.yaml");
    EXPECT_TRUE(eventually([&] { return !has_route("10.65.1.0/26"); }));
}

TEST_F(SourceTest, says_which_object_is_in_error_and_goes_on) {
    ASSERT_TRUE(start());
    manifest("pool.yaml", pool("Sometimes"));
    EXPECT_TRUE(eventually([&] { return state().source.status.invalid == 1; }));
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_TRUE(ready());
    EXPECT_THAT(reasons(), HasSubstr("1 objects are in error"));
    ASSERT_FALSE(state().source.status.objects.empty());
    EXPECT_THAT(to_string(state().source.status.objects[0]), HasSubstr("pool.yaml:6: IPPool p: spec.vxlanMode"));
}

TEST_F(SourceTest, takes_the_mode_from_the_config_map_until_the_file_says_otherwise) {
    manifest("config.yaml",
             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: calico-config}\ndata: {calico_backend: vxlan}\n");
    config("", "router id hash;");
    ASSERT_TRUE(start());
    EXPECT_EQ(state().backend(), Backend::vxlan);
    EXPECT_THAT(to_string(state().config.backend.origin), HasSubstr("ConfigMap calico-config (config.yaml:"));
    manifest("config.yaml",
             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: calico-config}\ndata: {calico_backend: none}\n");
    EXPECT_TRUE(eventually([&] { return state().backend() == Backend::none; }));
    config("", "calico_backend vxlan;");
    ASSERT_TRUE(controller_->configure({}, {}));
    EXPECT_EQ(state().backend(), Backend::vxlan);
}

TEST_F(SourceTest, holds_a_mass_withdrawal_until_it_is_accepted) {
    ASSERT_TRUE(start());
    EXPECT_FALSE(controller_->accept_source());
    for (const char* name : {"node-b.yaml", "node-c.yaml", "node-d.yaml"}) remove(name);
    EXPECT_TRUE(eventually([&] { return !state().source.held.empty(); }));
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_TRUE(ready());
    EXPECT_THAT(reasons(), HasSubstr("3 of 4 nodes are gone"));
    EXPECT_THAT(reasons(), HasSubstr("weftctl accept source"));
    ASSERT_TRUE(controller_->accept_source());
    EXPECT_TRUE(eventually([&] { return !has_route("10.65.1.0/26"); }));
    EXPECT_EQ(state().source.held, "");
}

TEST_F(SourceTest, follows_a_mass_withdrawal_when_it_was_held_long_enough_or_is_over) {
    config("hold 1500 ms;");
    ASSERT_TRUE(start());
    for (const char* name : {"node-b.yaml", "node-c.yaml", "node-d.yaml"}) remove(name);
    EXPECT_TRUE(eventually([&] { return !state().source.held.empty(); }));
    for (const char name : std::string("bcd")) manifest(std::string("node-") + name + ".yaml", node(name));
    EXPECT_TRUE(eventually([&] { return state().source.held.empty(); }));
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    for (const char* name : {"node-b.yaml", "node-c.yaml", "node-d.yaml"}) remove(name);
    EXPECT_TRUE(eventually([&] { return !state().source.held.empty(); }));
    EXPECT_TRUE(eventually([&] { return !has_route("10.65.1.0/26"); }));
}

TEST_F(SourceTest, runs_on_the_last_known_cluster_until_the_source_is_back) {
    ASSERT_TRUE(start());
    fs::rename(directory_ + "/cluster", directory_ + "/away");
    kernel_.observed = {};
    ASSERT_TRUE(restart());
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_TRUE(ready()) << reasons();
    EXPECT_FALSE(state().source_synced);
    EXPECT_THAT(reasons(), HasSubstr("running on the cluster known since"));
    fs::rename(directory_ + "/away", directory_ + "/cluster");
    EXPECT_TRUE(eventually([&] { return state().source_synced; }));
    EXPECT_THAT(reasons(), Not(HasSubstr("known since")));
}

TEST_F(SourceTest, takes_nothing_away_while_it_runs_on_the_last_known_cluster) {
    ASSERT_TRUE(start());
    controller_->stop();
    const std::string before = stored();
    ASSERT_TRUE(start());
    manifest("node-e.yaml", node('e'));
    EXPECT_TRUE(eventually([&] { return has_route("10.65.4.0/26"); }));
    controller_->stop();
    write("state/cluster.conf", before);  // as if the last change had not reached the disk
    fs::rename(directory_ + "/cluster", directory_ + "/away");
    ASSERT_TRUE(start());
    EXPECT_EQ(state().cluster.nodes.size(), 4U);
    EXPECT_TRUE(has_route("10.65.4.0/26"));
}

TEST_F(SourceTest, leaves_routes_where_they_lead_while_it_runs_on_the_last_known_cluster) {
    const auto block_of = [&](char owner) {
        manifest("block.yaml", fmt::format("apiVersion: projectcalico.org/v3\nkind: BlockAffinity\n"
                                           "metadata: {{name: moves}}\n"
                                           "spec: {{node: {}, cidr: 10.65.8.0/26, state: confirmed}}\n",
                                           owner));
    };
    const auto gateway = [&] {
        for (const ObservedRoute& at : kernel_.observed.routes) {
            if (to_string(at.route.destination) == "10.65.8.0/26") return to_string(*at.route.via.gateway);
        }
        return std::string("none");
    };
    block_of('b');
    ASSERT_TRUE(start());
    controller_->stop();
    const std::string before = stored();
    ASSERT_TRUE(start());
    ASSERT_EQ(gateway(), "10.65.1.0");
    block_of('c');
    ASSERT_TRUE(eventually([&] { return gateway() == "10.65.2.0"; }));
    controller_->stop();
    write("state/cluster.conf", before);  // as if the last change had not reached the disk
    fs::rename(directory_ + "/cluster", directory_ + "/away");
    ASSERT_TRUE(start());
    ASSERT_FALSE(state().source_synced);
    EXPECT_EQ(gateway(), "10.65.2.0");
    fs::rename(directory_ + "/away", directory_ + "/cluster");
    EXPECT_TRUE(eventually([&] { return state().source_synced; }));
    EXPECT_EQ(gateway(), "10.65.2.0");
}

TEST_F(SourceTest, waits_for_a_source_that_never_was_read) {
    fs::rename(directory_ + "/cluster", directory_ + "/away");
    ASSERT_TRUE(start());
    EXPECT_FALSE(ready());
    EXPECT_EQ(kernel_.applied, 0U);
    fs::rename(directory_ + "/away", directory_ + "/cluster");
    EXPECT_TRUE(eventually([&] { return has_route("10.65.1.0/26"); }));
}

TEST_F(SourceTest, keeps_the_last_known_pool_when_its_object_is_broken_at_the_start) {
    ASSERT_TRUE(start());
    manifest("pool.yaml", pool("Sometimes"));
    ASSERT_TRUE(restart());
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_EQ(state().cluster.pools.size(), 1U);
    EXPECT_THAT(reasons(), HasSubstr("1 of 1 pools is gone, while the source is not whole: pool.yaml:6"));
    manifest("pool.yaml", pool("CrossSubnet"));
    EXPECT_TRUE(eventually([&] { return state().source.held.empty(); }));
    EXPECT_EQ(state().cluster.pools.at(0).vxlan, Encapsulate::cross_subnet);
}

TEST_F(SourceTest, sets_a_damaged_state_file_aside_and_says_so) {
    ASSERT_TRUE(start());
    controller_->stop();
    std::string text = stored();
    ASSERT_THAT(text, HasSubstr("10.65.1.0/26"));
    text.back() = ' ';
    text += "node \"x\" { }\n";
    write("state/cluster.conf", text);
    ASSERT_TRUE(start());
    EXPECT_THAT(reasons(), HasSubstr("cluster.conf.damaged"));
    EXPECT_TRUE(fs::exists(directory_ + "/state/cluster.conf.damaged"));
    EXPECT_TRUE(ready());
}

TEST_F(SourceTest, runs_the_last_good_configuration_when_the_file_is_broken_at_the_start) {
    write("weft.conf",
          fmt::format(R"(log stderr {{ error }}; hostname "a"; calico_backend vxlan; state directory "{}/state";
pool 10.65.0.0/16 {{ vxlan always; }}
node "a" {{ address 192.0.2.11/24; block 10.65.0.0/26; }}
node "b" {{ address 192.0.2.12/24; block 10.65.1.0/26; }}
)",
                      directory_));
    ASSERT_TRUE(start());
    controller_->stop();
    write("weft.conf",
          fmt::format("hostname \"a\"; state directory \"{}/state\";\npool 10.65.0.1/16 {{ }}\n", directory_));
    for (int i = 0; i < 2; ++i) {
        kernel_.observed = {};
        ASSERT_TRUE(restart());
        EXPECT_TRUE(has_route("10.65.1.0/26"));
        EXPECT_TRUE(ready()) << reasons();
        EXPECT_THAT(reasons(), HasSubstr("weft.conf is broken, so the configuration known since"));
        EXPECT_THAT(reasons(), HasSubstr("weft.conf:2:6"));
    }
    config("");
    ASSERT_TRUE(controller_->configure({}, {}));
    EXPECT_THAT(reasons(), Not(HasSubstr("is broken")));
}

TEST_F(SourceTest, previews_a_directory_that_is_not_followed_yet) {
    write("weft.conf",
          fmt::format("log stderr {{ error }}; hostname \"a\"; calico_backend vxlan; state directory \"{}/state\";",
                      directory_));
    ASSERT_TRUE(start());
    const std::size_t before = kernel_.applied;
    write("other.conf",
          fmt::format("hostname \"a\"; calico_backend vxlan; source directory \"{}/cluster\";", directory_));
    const auto preview = controller_->preview(directory_ + "/other.conf");
    ASSERT_TRUE(preview);
    EXPECT_FALSE(preview->kernel.empty());
    EXPECT_EQ(kernel_.applied, before);
}

TEST(TheLastKnownCluster, comes_back_from_its_text_as_it_was) {
    Loaded loaded = load_config_text(
        "hostname \"a\"; source etcd { endpoint \"https://192.0.2.1:2379\"; } protocol vxlan { port 4790; }",
        "weft.conf", [](const char*) { return std::nullopt; });
    LastKnown known{.config = loaded.config,
                    .cluster = {},
                    .settings = {},
                    .since = std::chrono::system_clock::time_point(1'700'000'000s)};
    known.settings.backend = {.value = Backend::vxlan, .place = "x"};
    known.settings.vni = {.value = 4097, .place = "x"};
    Cluster cluster;
    cluster.pools.push_back({.cidr = *parse_prefix("10.65.0.0/16"), .vxlan = Encapsulate::always});
    cluster.pools.push_back(
        {.cidr = *parse_prefix("fd00:65::/48"), .vxlan = Encapsulate::cross_subnet, .block_size = 122});
    Node first;
    first.name = "a";
    Node node;
    node.name = "b";
    node.address4 = parse_interface_address("192.0.2.12/24");
    node.vxlan4 = parse_address("10.65.1.7");
    node.mac4 = parse_mac("66:01:02:03:04:05");
    node.mac6 = parse_mac("66:01:02:03:04:06");
    node.bgp_port = 1179;
    node.as = 65000;
    cluster.nodes = {first, node};
    cluster.blocks.push_back({.cidr = *parse_prefix("10.65.1.0/26"), .node = 1});
    cluster.blocks.push_back({.cidr = *parse_prefix("10.65.1.9/32"), .node = 0});
    BgpNeighbor neighbor;
    neighbor.address = *parse_address("192.0.2.1");
    neighbor.as = 65001;
    neighbor.nodes = {"a"};
    cluster.bgp.neighbors.push_back(neighbor);
    known.cluster = std::make_shared<const Cluster>(cluster);

    const std::string text = text_of(known);
    const auto back = parse_last_known(text);
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_TRUE(back->cluster);
    EXPECT_EQ(back->cluster->pools, cluster.pools);
    EXPECT_EQ(back->cluster->nodes, cluster.nodes);
    EXPECT_EQ(back->cluster->blocks, cluster.blocks);
    EXPECT_EQ(back->cluster->bgp.neighbors, cluster.bgp.neighbors);
    EXPECT_EQ(back->settings.backend->value, Backend::vxlan);
    EXPECT_EQ(back->settings.vni->value, 4097U);
    EXPECT_FALSE(back->settings.vxlan_port);
    EXPECT_EQ(back->config.source, known.config.source);
    EXPECT_EQ(back->config.vxlan_port, known.config.vxlan_port);
    EXPECT_EQ(back->since, known.since);
    for (std::size_t i = 0; i < text.size(); i += 3) {
        EXPECT_FALSE(parse_last_known(text.substr(0, i)));
        std::string damaged = text;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        const auto read = parse_last_known(damaged);
        if (read) {  // the date's words are not looked at
            EXPECT_EQ(*read->cluster, *back->cluster);
        }
    }
}

}  // namespace
}  // namespace weft
