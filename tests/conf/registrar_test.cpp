#include <utility>

#include "conf/node_removal.hpp"
#include "conf/registrar.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "calico_store.hpp"
#include "etcd_server.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A node that registers: its client, its registrar, and what that has told.
struct Registering {
    Registering(boost::asio::io_context& io, const std::string& url, const std::string& node,
                const std::string& address = "192.0.2.1/24", const std::string& instance = "one")
        : client(io, impatient({url})),
          registrar(client, {.node = node, .instance = instance, .audit = 300ms, .release_after = 100ms, .life = 3s},
                    {.done = [this](const std::string& what) { done.push_back(what); }, .status = {}}) {
        registrar.set_addresses(parse_interface_address(address), std::nullopt);
    }
    bool settled() const { return registrar.status().settled; }

    std::vector<std::string> done;
    EtcdClient client;
    Registrar registrar;
};

class RegistrarTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { etcd_ = std::make_unique<EtcdServer>(); }
    static void TearDownTestSuite() { etcd_.reset(); }
    void SetUp() override { etcd_->etcdctl("del --prefix ''"); }

    void write(const std::string& key, const std::string& value) {
        ASSERT_TRUE(transact(io_, direct_, {.compares = {}, .then = {put(key, value)}, .otherwise = {}}));
    }
    void pool(const std::string& cidr, const std::string& fields) {
        write(std::string(kPoolKeys) + "p", pool_document("p", cidr, fields));
    }
    std::map<std::string, EtcdKeyValue> content() {
        std::map<std::string, EtcdKeyValue> all;
        // Forty registrars in this thread leave little time for an answer, the less with sanitizers.
        auto read = read_all(io_, direct_, "/calico/");
        for (int times = 0; !read && times < 5; ++times) read = read_all(io_, direct_, "/calico/");
        EXPECT_TRUE(read);
        if (read) {
            for (auto& kv : read->kvs) all[kv.key] = kv;
        }
        return all;
    }
    bool until(const std::function<bool()>& done) { return run_until(io_, done, 120s); }

    static std::unique_ptr<EtcdServer> etcd_;
    boost::asio::io_context io_;
    EtcdClient direct_{io_, impatient({etcd_->url()})};
};
std::unique_ptr<EtcdServer> RegistrarTest::etcd_;

TEST_F(RegistrarTest, ANodeRegistersAndKeepsWhatItHas) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    Registering node(io_, etcd_->url(), "a");
    ASSERT_TRUE(until([&] { return node.settled(); }));
    EXPECT_THAT(node.registrar.status().lacks, IsEmpty());
    const auto address = node.registrar.status().addresses.vxlan4;
    ASSERT_TRUE(address);
    EXPECT_THAT(contradictions(content()), IsEmpty());
    // Something frees it: at the next look it is there again.
    etcd_->etcdctl("del --prefix /calico/ipam/v2/handle/");
    ASSERT_TRUE(until([&] { return node.done.back().ends_with("again"); }));
    ASSERT_TRUE(until([&] { return node.settled() && contradictions(content()).empty(); }));
    // Or all of it is gone.
    etcd_->etcdctl("del --prefix /calico/ipam/");
    ASSERT_TRUE(until([&] {
        const auto all = content();
        return all.contains(handle_key("vxlan-tunnel-addr-a")) && contradictions(all).empty();
    }));
    EXPECT_EQ(node.registrar.status().addresses.vxlan4, address);
}

TEST_F(RegistrarTest, AModeChangeMovesTheAddressAndReleasesTheOldOneLater) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    Registering node(io_, etcd_->url(), "a");
    ASSERT_TRUE(until([&] { return node.settled(); }));
    pool("10.65.0.0/24", R"("ipipMode":"Always")");
    node.registrar.look();
    ASSERT_TRUE(until([&] { return node.registrar.status().addresses.ipip4.has_value(); }));
    EXPECT_TRUE(node.registrar.status().addresses.vxlan4);
    ASSERT_TRUE(until([&] { return !node.registrar.status().addresses.vxlan4; }));
    EXPECT_THAT(contradictions(content()), IsEmpty());
}

/// Forty nodes that register at once where there are eight blocks.
class FortyNodesTest : public RegistrarTest {
  protected:
    void begin() {
        pool("10.65.0.0/26", R"("vxlanMode":"Always","blockSize":29)");
        for (int i = 0; i < 40; ++i) {
            nodes_.push_back(
                std::make_unique<Registering>(io_, etcd_->url(), name(i), fmt::format("192.0.2.{}/24", i + 1)));
        }
        ASSERT_TRUE(all([](const Registering& node) { return node.settled(); }));
    }
    static std::string name(int i) { return fmt::format("node{}", i); }
    bool all(const std::function<bool(const Registering&)>& is_so) {
        return until(
            [&] { return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) { return is_so(*node); }); });
    }
    /// Of every block its owner; each has exactly one.
    std::map<std::string, std::string> owners() {
        std::map<std::string, std::string> found;
        std::size_t affinities = 0;
        for (const auto& [key, kv] : content()) {
            if (key.starts_with(kBlockKeys4)) found[key] = BlockDocument::parse(kv.value)->node();
            affinities += key.starts_with("/calico/ipam/v2/host/") ? 1U : 0U;
        }
        EXPECT_EQ(affinities, found.size());
        return found;
    }
    void remove(int i) {
        nodes_[static_cast<std::size_t>(i)].reset();
        const auto dead =
            transact(io_, direct_, {.compares = {}, .then = {erase(alive_keys(name(i)) + "one")}, .otherwise = {}});
        ASSERT_TRUE(dead) << dead.error().message;
        const auto removed =
            await<std::vector<std::string>>(io_, [&](auto done) { remove_node(direct_, name(i), std::move(done)); });
        ASSERT_TRUE(removed) << removed.error().message;
    }
    /// Others are claiming what becomes free, and pending for a moment.
    bool becomes_consistent() {
        return until([&] { return contradictions(content()).empty(); });
    }

    std::vector<std::unique_ptr<Registering>> nodes_;
};

TEST_F(FortyNodesTest, GetEachBlockOnceAndThoseWithoutOneSaySo) {
    const auto start = std::chrono::steady_clock::now();
    begin();
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_THAT(contradictions(content()), IsEmpty());
    std::map<std::string, int> blocks;  // by owner
    for (const auto& [key, owner] : owners()) ++blocks[owner];
    EXPECT_EQ(blocks.size(), 8U);
    std::size_t losers = 0;
    std::uint64_t conflicts = 0;
    std::set<Address> addresses;
    for (int i = 0; i < 40; ++i) {
        const auto& status = nodes_[static_cast<std::size_t>(i)]->registrar.status();
        conflicts += status.conflicts;
        if (status.addresses.vxlan4) addresses.insert(*status.addresses.vxlan4);
        if (blocks.contains(name(i))) {
            EXPECT_THAT(status.lacks, IsEmpty());
            continue;
        }
        ++losers;
        EXPECT_THAT(status.lacks, ElementsAre(AllOf(HasSubstr("no free block in pool p"), HasSubstr("10.65.0.0/26"))));
    }
    EXPECT_EQ(losers, 32U);
    EXPECT_EQ(addresses.size(), 40U);  // the losers borrow theirs
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    RecordProperty("milliseconds", static_cast<int>(milliseconds));
    fmt::print("forty nodes registered in {} ms, {} transactions refused\n", milliseconds, conflicts);
}

TEST_F(FortyNodesTest, FollowThePoolsModeAndLeaveNothingOfTheOldOne) {
    begin();
    for (const char* mode : {R"("ipipMode":"CrossSubnet","blockSize":29)", R"("blockSize":29)"}) {
        const bool ipip = std::string(mode).starts_with(R"("ipip)");
        SCOPED_TRACE(mode);
        pool("10.65.0.0/26", mode);
        for (const auto& node : nodes_) node->registrar.look();
        ASSERT_TRUE(all([&](const Registering& node) {
            const RegisteredAddresses& has = node.registrar.status().addresses;
            return node.settled() && has.ipip4.has_value() == ipip && !has.vxlan4;
        }));
        const auto after = content();
        EXPECT_THAT(contradictions(after), IsEmpty());
        const auto handles = std::count_if(after.begin(), after.end(),
                                           [](const auto& each) { return each.first.starts_with(kHandleKeys); });
        EXPECT_EQ(handles, ipip ? 40 : 0);
    }
}

TEST_F(FortyNodesTest, LeaveNothingBehindWhenTheyAreRemovedAndTheLastHasABlock) {
    begin();
    for (const auto& [key, owner] : owners()) {
        remove(std::stoi(owner.substr(4)));
        ASSERT_TRUE(becomes_consistent()) << contradictions(content()).front();
    }
    const auto last = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& node) { return node != nullptr; });
    for (int i = 0; i < 40; ++i) {
        const auto& node = nodes_[static_cast<std::size_t>(i)];
        if (!node || node == *last) continue;
        remove(i);
        ASSERT_TRUE(becomes_consistent()) << contradictions(content()).front();
    }
    // It had none, and borrowed its address, until others went.
    ASSERT_TRUE(until([&] { return (*last)->registrar.status().lacks.empty(); }));
    remove(static_cast<int>(last - nodes_.begin()));
    const auto left = content();
    EXPECT_EQ(left.size(), 1U) << left.rbegin()->first;  // the pool
}

TEST_F(RegistrarTest, TwoLiveNodesOfOneNameAreToldOnBothAndTheLaterOneWritesNothing) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    Registering first(io_, etcd_->url(), "a", "192.0.2.1/24", "one");
    ASSERT_TRUE(until([&] { return first.settled() && content().contains(alive_keys("a") + "one"); }));
    Registering second(io_, etcd_->url(), "a", "192.0.2.2/24", "two");
    ASSERT_TRUE(
        until([&] { return !first.registrar.status().rival.empty() && !second.registrar.status().rival.empty(); }));
    EXPECT_THAT(first.registrar.status().rival, AllOf(HasSubstr("192.0.2.2/24"), HasSubstr("it came later")));
    EXPECT_THAT(second.registrar.status().rival,
                AllOf(HasSubstr("192.0.2.1/24"), HasSubstr("this one writes nothing")));
    EXPECT_THAT(second.done, IsEmpty());
    EXPECT_THAT(content().at(node_key("a")).value, HasSubstr("192.0.2.1/24"));
}

TEST_F(RegistrarTest, ARestartOfTheSameNodeIsNoRival) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    for (int i = 0; i < 2; ++i) {
        Registering node(io_, etcd_->url(), "a");
        ASSERT_TRUE(until([&] { return node.settled() && content().contains(alive_keys("a") + "one"); }));
        EXPECT_THAT(node.registrar.status().rival, IsEmpty());
        EXPECT_EQ(node.done.size(), i == 0 ? 4U : 0U);
    }
}

TEST_F(RegistrarTest, WhileEtcdIsAwayItWaitsAndThenGoesOn) {
    EtcdServer other;
    Registering node(io_, other.url(), "a");
    ASSERT_TRUE(until([&] { return node.settled(); }));
    other.stop();
    ASSERT_TRUE(until([&] { return !node.registrar.status().trouble.empty(); }));
    EXPECT_THAT(node.registrar.status().trouble, HasSubstr(other.url()));
    const auto requests = node.client.status().requests;
    run_until(
        io_, [] { return false; }, 1s);
    EXPECT_LE(node.client.status().requests - requests, 20U);
    other.start();
    other.etcdctl("put " + std::string(kPoolKeys) + "p '" +
                  pool_document("p", "10.65.0.0/24", R"("ipipMode":"Always")") + "'");
    ASSERT_TRUE(until([&] { return node.registrar.status().addresses.ipip4.has_value(); }));
    EXPECT_THAT(node.registrar.status().trouble, IsEmpty());
}

TEST_F(RegistrarTest, WhileHeldItWritesNothing) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    Registering node(io_, etcd_->url(), "a");
    ASSERT_TRUE(until([&] { return node.settled(); }));
    node.registrar.hold(true);
    etcd_->etcdctl("del --prefix /calico/ipam/");
    node.registrar.look();
    run_until(
        io_, [] { return false; }, 700ms);
    EXPECT_FALSE(content().contains(handle_key("vxlan-tunnel-addr-a")));
    node.registrar.hold(false);
    ASSERT_TRUE(until([&] { return content().contains(handle_key("vxlan-tunnel-addr-a")); }));
}

TEST_F(RegistrarTest, WhileHeldItKeepsItsSignOfLifeAndWritesNoOther) {
    Registering node(io_, etcd_->url(), "a");
    const std::string key = alive_keys("a") + "one";
    ASSERT_TRUE(until([&] { return node.settled() && content().contains(key); }));
    node.registrar.hold(true);
    run_until(
        io_, [] { return false; }, 4s);  // more than the lease lasts by itself
    EXPECT_TRUE(content().contains(key));
    etcd_->etcdctl("del --prefix ''");
    node.registrar.contend({{"b", "192.0.2.1"}});
    run_until(
        io_, [] { return false; }, 1500ms);  // it is renewed at a third of three seconds
    EXPECT_THAT(content(), IsEmpty());
    node.registrar.hold(false);
    ASSERT_TRUE(until([&] { return content().contains(key) && content().contains(contender_keys("b") + "a"); }));
}

TEST(Registrar, GoesOnAfterAHoldThatBeganWhileItWaitedToTryAgain) {
    boost::asio::io_context io;
    FakeServer server(io, [](const FakeServer::Request& request, const FakeServer::Peer& peer) {
        const bool grants = request.path.find("grant") != std::string::npos;
        const bool reads = request.body.find(R"("compare":[])") != std::string::npos;
        const std::string header = R"({"header":{"cluster_id":"1","revision":"5"},)";
        peer.say(reply(200, header + (grants  ? R"("ID":"7","TTL":"90"})"
                                      : reads ? R"("succeeded":true})"
                                              : R"("succeeded":false})")));
    });
    Registering node(io, server.url(), "a");
    const auto refused = [&](std::uint64_t times) {
        return run_until(io, [&] { return node.registrar.status().conflicts >= times; });
    };
    ASSERT_TRUE(refused(6));
    node.registrar.hold(true);
    run_until(
        io, [] { return false; }, 50ms);
    node.registrar.hold(false);
    EXPECT_TRUE(refused(9));
}

TEST_F(RegistrarTest, ANodeThatLivesIsNotRemovedAndOneThatIsNotThereIsToldAsSuch) {
    pool("10.65.0.0/24", R"("vxlanMode":"Always")");
    Registering node(io_, etcd_->url(), "a");
    ASSERT_TRUE(until([&] { return node.settled() && content().contains(alive_keys("a") + "one"); }));
    const auto remove = [&](const std::string& name) {
        return await<std::vector<std::string>>(io_, [&](auto done) { remove_node(direct_, name, std::move(done)); });
    };
    EXPECT_THAT(remove("a").error().message, HasSubstr("node a lives"));
    EXPECT_THAT(remove("b").error().message, HasSubstr("knows no node b"));
}

}  // namespace
}  // namespace weft::test
