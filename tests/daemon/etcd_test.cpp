// Whole daemons on simulated kernels, with the real etcd as their source, in which they register.
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "conf/ipam.hpp"
#include "daemon/controller.hpp"
#include "daemon/readiness.hpp"
#include "tests/conf/etcd_server.hpp"
#include "tests/daemon/simulated_kernel.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
/// A node: its kernel with one interface, its daemon, its own directory.
class Daemon {
  public:
    Daemon(boost::asio::io_context& io, const std::string& url, std::string name, const std::string& address)
        : name_(std::move(name)) {
        Link link;
        link.index = 2;
        link.name = "eth0";
        link.up = true;
        kernel_.host_facts.links.push_back(link);
        kernel_.host_facts.addresses.push_back({.link = 2, .address = *parse_interface_address(address)});
        std::ofstream(directory_ / "weft.conf") << fmt::format(
            "log stderr {{ error }}; hostname \"{}\"; calico_backend vxlan; state directory \"{}\";\n"
            "source etcd {{ endpoint \"{}\"; register yes; hold 600 s; }}\n",
            name_, directory_ / "state", url);
        controller_ =
            std::make_unique<Controller>(io,
                                         Controller::Options{.config_file = directory_ / "weft.conf",
                                                             .control_socket = directory_ / "weft.ctl",
                                                             .environment = [](const char*) { return std::nullopt; }},
                                         kernel_);
        const auto started = controller_->start();
        if (!started) throw std::runtime_error(started.error().message);
    }
    ~Daemon() { controller_->stop(); }
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    Controller& controller() { return *controller_; }
    const State& state() const { return controller_->state(); }
    bool registered() const {
        const Node* const self = state().cluster.find_node(name_);
        return state().registration.settled && self != nullptr && self->vxlan4;
    }
    std::vector<std::string> routes() const {
        std::vector<std::string> found;
        for (const ObservedRoute& each : kernel_.observed.routes) {
            if (each.route.type == RouteType::unicast) found.push_back(to_string(each.route.destination));
        }
        return found;
    }
    const std::vector<std::string>& troubles() const { return state().registration.troubles; }
    bool tells(const std::string& words) const {
        return std::any_of(troubles().begin(), troubles().end(),
                           [&](const std::string& trouble) { return trouble.find(words) != std::string::npos; });
    }
    bool holds(const std::string& why) const { return state().source.held.find(why) != std::string::npos; }
    /// As the kernel would tell it.
    void readdress(const std::string& address) {
        kernel_.host_facts.addresses.front().address = *parse_interface_address(address);
        kernel_.notify({.full = true, .by = 0, .object = "address"});
    }
    bool ready() const { return readiness(state(), std::chrono::steady_clock::now()).ready; }

  private:
    TemporaryDirectory directory_;
    std::string name_;
    SimulatedKernel kernel_;
    std::unique_ptr<Controller> controller_;
};

class EtcdDaemonTest : public testing::Test {
  protected:
    void SetUp() override {
        put(std::string(kPoolKeys) + "p",
            R"({"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","vxlanMode":"Always"}})");
    }
    void put(const std::string& key, const std::string& value) {
        etcd_.etcdctl(fmt::format("put {} '{}'", key, value));
    }
    /// A node that others look after, with its block.
    void stranger(int i) {
        put(node_key(fmt::format("n{}", i)),
            fmt::format(R"({{"spec":{{"bgp":{{"ipv4Address":"192.0.2.{}/24"}},"ipv4VXLANTunnelAddr":"10.65.{}.0"}}}})",
                        100 + i, i));
        put(affinity_key(fmt::format("n{}", i), *parse_prefix(fmt::format("10.65.{}.0/26", i))),
            R"({"state":"confirmed"})");
    }
    void another_pool() {
        put(std::string(kPoolKeys) + "q",
            R"({"metadata":{"name":"q"},"spec":{"cidr":"10.66.0.0/16","vxlanMode":"Always"}})");
    }
    std::unique_ptr<Daemon> daemon(const std::string& name, const std::string& address) {
        return std::make_unique<Daemon>(io_, etcd_.url(), name, address);
    }
    bool until(const std::function<bool()>& done) { return run_until(io_, done, 90s); }
    void pass(std::chrono::milliseconds time) {
        run_until(
            io_, [] { return false; }, time);
    }
    bool has_keys(const std::string& prefix) {
        return etcd_.etcdctl("get --prefix --keys-only " + prefix).find('/') != std::string::npos;
    }

    EtcdServer etcd_;
    boost::asio::io_context io_{1};
};

TEST_F(EtcdDaemonTest, AnEmptiedStoreIsNotFollowedAndNotWrittenToUntilItIsAccepted) {
    for (int i = 1; i <= 3; ++i) stranger(i);
    const auto a = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return a->registered() && a->routes().size() >= 3; }));
    const auto before = a->routes();
    etcd_.etcdctl("del --prefix /calico/");
    ASSERT_TRUE(until([&] { return a->holds("4 of 4 nodes are gone") && a->holds("1 of 1 pools is gone"); }))
        << a->state().source.held;
    pass(1s);
    EXPECT_EQ(a->routes(), before);
    EXPECT_TRUE(a->ready());
    EXPECT_FALSE(has_keys("/calico/resources/"));
    EXPECT_FALSE(has_keys("/calico/ipam/"));
    ASSERT_TRUE(a->controller().accept_source());
    ASSERT_TRUE(until([&] { return a->routes().empty() && has_keys(node_key("a")); }));
}

TEST_F(EtcdDaemonTest, AStoreThatIsEmptyAfterARestartIsHeldAndForgottenWhenTheOldOneIsBack) {
    for (int i = 1; i <= 3; ++i) stranger(i);
    const auto a = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return a->registered() && a->routes().size() >= 3; }));
    const auto before = a->routes();
    etcd_.stop();
    etcd_.back_up();
    etcd_.forget();
    etcd_.start();
    ASSERT_TRUE(until([&] { return a->holds("4 of 4 nodes are gone"); })) << a->state().source.held;
    EXPECT_EQ(a->routes(), before);
    EXPECT_FALSE(has_keys("/calico/resources/"));
    etcd_.stop();
    etcd_.go_back();
    etcd_.start();
    ASSERT_TRUE(until([&] { return a->state().source.held.empty() && a->state().source.status.trouble.empty(); }));
    EXPECT_EQ(a->routes(), before);
}

TEST_F(EtcdDaemonTest, AnOldBackupIsHeldForWhatItLacksAlthoughThatIsLittle) {
    for (int i = 1; i <= 3; ++i) stranger(i);
    etcd_.stop();
    etcd_.back_up();
    etcd_.start();
    const auto a = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return a->registered() && a->routes().size() >= 3; }));
    stranger(4);
    for (int i = 0; i < 5; ++i) put("/elsewhere", "x");
    ASSERT_TRUE(until([&] {
        const auto routes = a->routes();
        return std::ranges::find(routes, "10.65.4.0/26") != routes.end();
    }));
    const auto before = a->routes();
    etcd_.stop();
    etcd_.go_back();
    etcd_.start();
    ASSERT_TRUE(until([&] { return a->holds("as if restored from a backup, and 2 of 5 nodes are gone"); }))
        << a->state().source.held;
    pass(500ms);
    EXPECT_EQ(a->routes(), before);
    EXPECT_FALSE(has_keys(node_key("a")));
    ASSERT_TRUE(a->controller().accept_source());
    // What the backup lacks of this node is written anew.
    ASSERT_TRUE(until([&] { return has_keys(node_key("a")) && a->registered(); }));
    EXPECT_FALSE(has_keys(node_key("n4")));
}

TEST_F(EtcdDaemonTest, TheSameAddressOnTwoLiveNodesIsToldOnBothAndTheFirstKeepsIt) {
    const auto a = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return a->registered(); }));
    const auto b = daemon("b", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return b->tells("192.0.2.11 is node a's address in the store"); }));
    another_pool();  // the first one looks from time to time, or when something changed
    ASSERT_TRUE(until([&] { return a->tells("node b has this node's address 192.0.2.11 too"); }));
    EXPECT_EQ(a->state().cluster.find_node("a")->address4, parse_interface_address("192.0.2.11/24"));
    const Node* const other = a->state().cluster.find_node("b");
    EXPECT_TRUE(other == nullptr || !other->address4);
    b->readdress("192.0.2.12/24");
    ASSERT_TRUE(until([&] { return b->registered() && b->troubles().empty(); }));
    etcd_.etcdctl("del " + std::string(kPoolKeys) + "q");
    ASSERT_TRUE(until([&] { return a->troubles().empty(); }));
}

TEST_F(EtcdDaemonTest, AnAddressOrTunnelAddressThatAnotherNodesObjectTakesIsTold) {
    const auto a = daemon("a", "192.0.2.11/24");
    const auto b = daemon("b", "192.0.2.12/24");
    ASSERT_TRUE(until([&] { return a->registered() && b->registered(); }));
    // As a node does that does not look, or a hand.
    const std::string tunnel = to_string(*a->state().cluster.find_node("a")->vxlan4);
    put(node_key("x"),
        fmt::format(R"({{"spec":{{"bgp":{{"ipv4Address":"192.0.2.12/24"}},"ipv4VXLANTunnelAddr":"{}"}}}})", tunnel));
    ASSERT_TRUE(until([&] { return a->tells("node x has this node's VXLAN tunnel address " + tunnel); }));
    ASSERT_TRUE(until([&] { return b->tells("node x has this node's address 192.0.2.12"); }));
    etcd_.etcdctl("del " + node_key("x"));
    EXPECT_TRUE(until([&] { return a->troubles().empty() && b->troubles().empty(); }));
}

TEST_F(EtcdDaemonTest, TheSameNameOnTwoLiveMachinesIsToldOnBothAndTheLaterOneWritesNothing) {
    const auto first = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return first->registered() && has_keys("/calico/weft/v1/alive/a/"); }));
    const auto second = daemon("a", "192.0.2.12/24");
    ASSERT_TRUE(until([&] { return second->tells("another weftd runs as node a, at 192.0.2.11/24"); }));
    another_pool();  // the first one looks from time to time, or when something changed
    ASSERT_TRUE(until([&] { return first->tells("another weftd runs as node a, at 192.0.2.12/24"); }));
    EXPECT_EQ(first->state().cluster.find_node("a")->address4, parse_interface_address("192.0.2.11/24"));
}

TEST_F(EtcdDaemonTest, AFreedTunnelAddressIsAllocatedAgainAndAModeChangeMovesIt) {
    const auto a = daemon("a", "192.0.2.11/24");
    ASSERT_TRUE(until([&] { return a->registered(); }));
    const auto tunnel = a->state().cluster.find_node("a")->vxlan4;
    put(node_key("a"), R"({"metadata":{"name":"a"},"spec":{"bgp":{"ipv4Address":"192.0.2.11/24"}}})");
    ASSERT_TRUE(
        until([&] { return etcd_.etcdctl("get " + node_key("a")).find(to_string(*tunnel)) != std::string::npos; }));
    put(std::string(kPoolKeys) + "p",
        R"({"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","ipipMode":"Always"}})");
    ASSERT_TRUE(until([&] { return a->state().cluster.find_node("a")->ipip4.has_value(); }));
    // The old one stays half a minute for the others' sake.
    EXPECT_EQ(a->state().cluster.find_node("a")->vxlan4, tunnel);
}

}  // namespace
}  // namespace weft::test
