#include <utility>

#include "conf/etcd_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "etcd_server.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test::run_until;
using testing::HasSubstr;

const std::string kResources = "/calico/resources/v3/projectcalico.org/";

std::string pool(const std::string& mode) {
    return R"({"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","vxlanMode":")" +
           mode + "\"}}";
}
std::string node(int i) {
    return fmt::format(R"({{"metadata":{{"name":"n{0}"}},"spec":{{"bgp":{{"ipv4Address":"192.0.2.{1}/24"}}}}}})", i,
                       i + 1);
}

class EtcdReaderTest : public testing::Test {
  protected:
    void start() {
        reader_.emplace(io_, test::impatient({server_.url()}), "n0");
        reader_->start([this](SourceUpdate update) {
            if (update.cluster) cluster_ = update.cluster;
            suspicions_ += update.suspicion;
            last_ = std::move(update);
        });
    }
    void put(const std::string& key, const std::string& value) {
        const auto done =
            test::transact(io_, writer_, {.compares = {}, .then = {weft::put(key, value)}, .otherwise = {}});
        ASSERT_TRUE(done) << done.error().message;
    }
    void erase(const std::string& key) {
        ASSERT_TRUE(test::transact(io_, writer_, {.compares = {}, .then = {weft::erase(key)}, .otherwise = {}}));
    }
    void fill() {
        put(kResources + "ippools/p", pool("Always"));
        for (int i = 0; i < 3; ++i) {
            put(kResources + "nodes/n" + std::to_string(i), node(i));
            put(fmt::format("/calico/ipam/v2/assignment/ipv4/block/10.65.{}.0-26", i),
                fmt::format(R"({{"cidr":"10.65.{}.0/26","affinity":"host:n{}"}})", i, i));
            put(fmt::format("/calico/ipam/v2/host/n{}/ipv4/block/10.65.{}.0-26", i, i), R"({"state":"confirmed"})");
        }
    }
    bool eventually(const std::function<bool()>& condition) { return run_until(io_, condition); }
    std::size_t blocks() const { return cluster_ ? cluster_->blocks.size() : 0; }

    test::EtcdServer server_;
    boost::asio::io_context io_{1};
    EtcdClient writer_{io_, test::impatient({server_.url()})};
    std::optional<EtcdReader> reader_;
    std::shared_ptr<const Cluster> cluster_;
    SourceUpdate last_;
    std::string suspicions_;
};

TEST_F(EtcdReaderTest, reads_the_cluster_and_follows_each_change) {
    fill();
    start();
    ASSERT_TRUE(eventually([&] { return blocks() == 3; }));
    EXPECT_EQ(cluster_->nodes.size(), 3U);
    EXPECT_EQ(cluster_->pools.at(0).vxlan, Encapsulate::always);
    EXPECT_TRUE(last_.status.synced);
    EXPECT_EQ(last_.status.held, 10U);
    put(kResources + "ippools/p", pool("CrossSubnet"));
    EXPECT_TRUE(eventually([&] { return cluster_->pools.at(0).vxlan == Encapsulate::cross_subnet; }));
    erase("/calico/ipam/v2/assignment/ipv4/block/10.65.1.0-26");
    erase("/calico/ipam/v2/host/n1/ipv4/block/10.65.1.0-26");
    EXPECT_TRUE(eventually([&] { return blocks() == 2; }));
    put("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26",
        R"({"cidr":"10.65.0.0/26","affinity":"host:n0","allocations":[null,0],"attributes":[{"secondary":{"node":"n1"}}]})");
    EXPECT_TRUE(eventually([&] { return blocks() == 3; }));
    EXPECT_EQ(to_string(cluster_->blocks.at(1).cidr), "10.65.0.1/32");
}

TEST_F(EtcdReaderTest, keeps_the_last_valid_form_of_what_is_damaged_and_names_the_key) {
    fill();
    start();
    ASSERT_TRUE(eventually([&] { return blocks() == 3; }));
    for (const std::string& damage :
         std::vector<std::string>{"", "{", "\xff\xfe", "[]", R"({"spec":{"cidr":7}})", std::string(1000, '[')}) {
        put(kResources + "ippools/p", damage);
        EXPECT_TRUE(eventually([&] { return last_.status.invalid == 1; })) << damage;
        EXPECT_EQ(cluster_->pools.size(), 1U);
        EXPECT_THAT(to_string(last_.status.objects.at(0)), HasSubstr(kResources + "ippools/p: IPPool p: "));
        put(kResources + "ippools/p", pool("Always"));
        EXPECT_TRUE(eventually([&] { return last_.status.invalid == 0; }));
    }
}

TEST_F(EtcdReaderTest, keeps_what_it_read_while_etcd_is_away_and_catches_up) {
    fill();
    start();
    ASSERT_TRUE(eventually([&] { return blocks() == 3; }));
    server_.stop();
    EXPECT_TRUE(eventually([&] { return !last_.status.trouble.empty(); }));
    EXPECT_EQ(blocks(), 3U);
    server_.start();
    erase(kResources + "nodes/n2");
    EXPECT_TRUE(eventually([&] { return cluster_->nodes.size() == 2 && last_.status.trouble.empty(); }));
    EXPECT_EQ(suspicions_, "");
}

TEST_F(EtcdReaderTest, suspects_a_store_that_is_another_than_before) {
    fill();
    start();
    ASSERT_TRUE(eventually([&] { return blocks() == 3; }));
    server_.stop();
    server_.forget();
    server_.start();
    EXPECT_TRUE(eventually([&] { return !suspicions_.empty(); }));
    EXPECT_EQ(blocks(), 0U);  // told as it is: whether it is followed is not decided here
}

TEST_F(EtcdReaderTest, does_not_follow_a_datastore_that_is_not_ready) {
    fill();
    start();
    ASSERT_TRUE(eventually([&] { return blocks() == 3; }));
    put(kResources + "clusterinformations/default", R"({"spec":{"datastoreReady":false}})");
    EXPECT_TRUE(eventually([&] { return last_.status.trouble.find("datastoreReady: false") != std::string::npos; }));
    EXPECT_FALSE(last_.cluster);
    put(kResources + "clusterinformations/default", R"({"spec":{"datastoreReady":true}})");
    EXPECT_TRUE(eventually([&] { return last_.cluster && last_.status.trouble.empty(); }));
}

}  // namespace
}  // namespace weft
