#include <utility>

#include "conf/resource_store.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "calico_store.hpp"
#include "conf/ipam.hpp"
#include "conf/json.hpp"
#include "conf/registration.hpp"
#include "etcd_server.hpp"

namespace weft::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const ResourceId kPool{.kind = ResourceKind::ip_pool, .name = "p"};
const ResourceId kNodeA{.kind = ResourceKind::node, .name = "a"};

json manifest(const ResourceId& id, const std::string& spec) {
    return {{"kind", to_string(id.kind)},
            {"apiVersion", "projectcalico.org/v3"},
            {"metadata", {{"name", id.name}}},
            {"spec", json::parse(spec)}};
}

class ResourceStoreTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { etcd_ = std::make_unique<EtcdServer>(); }
    static void TearDownTestSuite() { etcd_.reset(); }
    void SetUp() override { etcd_->etcdctl("del --prefix ''"); }

    static void write(const std::string& key, const std::string& value) {
        etcd_->etcdctl(fmt::format("put {} '{}'", key, value));
    }
    static std::string keys(const std::string& prefix) {
        return etcd_->etcdctl(fmt::format("get --prefix --keys-only {}", prefix));
    }
    static std::string message(const Result<ResourceWritten>& written) {
        return written ? "" : written.error().message;
    }

    static std::unique_ptr<EtcdServer> etcd_;
    ResourceStore store_{impatient({etcd_->url()})};
};
std::unique_ptr<EtcdServer> ResourceStoreTest::etcd_;

TEST_F(ResourceStoreTest, creates_changes_shows_and_deletes) {
    ASSERT_EQ(message(store_.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16","vxlanMode":"Always"})"))), "");
    const auto first = store_.get(kPool);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->object["spec"]["vxlanMode"], "Always");
    EXPECT_EQ(first->object["metadata"]["uid"].get<std::string>().size(), 36U);
    const auto changed = store_.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16","ipipMode":"Always"})"));
    ASSERT_TRUE(changed && changed->changed);
    const auto second = store_.get(kPool);
    ASSERT_TRUE(second);
    EXPECT_GT(second->revision, first->revision);
    EXPECT_EQ(second->object["metadata"], first->object["metadata"]);
    EXPECT_EQ(second->object["spec"]["vxlanMode"], "Never");
    const auto same = store_.apply(kPool, shown_resource(kPool.kind, second->object, second->revision));
    ASSERT_TRUE(same) << same.error().message;
    EXPECT_FALSE(same->changed) << "what was shown can be applied";
    EXPECT_EQ(store_.list(ResourceKind::ip_pool)->size(), 1U);
    ASSERT_EQ(message(store_.remove(kPool, 0)), "");
    EXPECT_THAT(store_.get(kPool).error().message, StartsWith("resource does not exist: IPPool(p)"));
    EXPECT_THAT(message(store_.remove(kPool, 0)), StartsWith("resource does not exist: IPPool(p)"));
    EXPECT_THAT(*store_.list(ResourceKind::ip_pool), IsEmpty());
}

TEST_F(ResourceStoreTest, refuses_a_manifest_made_from_an_older_revision) {
    ASSERT_TRUE(store_.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16"})")));
    const auto read = store_.get(kPool);
    ASSERT_TRUE(read);
    json edited = shown_resource(kPool.kind, read->object, read->revision);
    ASSERT_TRUE(store_.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16","natOutgoing":true})")));
    edited["spec"]["disabled"] = true;
    EXPECT_THAT(message(store_.apply(kPool, edited)),
                AllOf(StartsWith("update conflict: IPPool(p)"), HasSubstr("is out of date (latest: ")));
    EXPECT_THAT(message(store_.remove(kPool, read->revision)), StartsWith("update conflict: IPPool(p)"));
    EXPECT_TRUE(store_.get(kPool)->object["spec"]["natOutgoing"]);
}

TEST_F(ResourceStoreTest, writes_between_those_of_others_and_loses_none) {
    // Eight people label a node a hundred times while it registers address after address: all of it arrives.
    ASSERT_TRUE(store_.apply(kNodeA, manifest(kNodeA, R"({"bgp":{"ipv4Address":"192.0.2.1/24"}})")));
    std::vector<std::thread> people;
    std::vector<std::string> troubles(4);
    for (std::size_t person = 0; person < troubles.size(); ++person) {
        people.emplace_back([&, person] {
            ResourceStore own(impatient({etcd_->url()}));
            for (int i = 0; i < 10; ++i) {
                json wanted = manifest(kNodeA, "{}");
                wanted["metadata"]["labels"] = {{fmt::format("{}-{}", person, i), "x"}};
                auto written = own.apply(kNodeA, wanted);
                // Ten conflicts in a row may happen among so many: that is said, and nothing is half done.
                while (!written && written.error().message.starts_with("update conflict")) {
                    written = own.apply(kNodeA, wanted);
                }
                if (!written) troubles[person] = written.error().message;
            }
        });
    }
    for (std::thread& each : people) each.join();
    for (const std::string& trouble : troubles) EXPECT_EQ(trouble, "");
    const auto node = store_.get(kNodeA);
    ASSERT_TRUE(node);
    EXPECT_EQ(node->object["metadata"]["labels"].size(), 40U);
    EXPECT_EQ(node->object["spec"]["bgp"]["ipv4Address"], "192.0.2.1/24");
}

TEST_F(ResourceStoreTest, checks_a_new_pool_against_other_pools_and_blocks) {
    ASSERT_TRUE(store_.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16"})")));
    const ResourceId other{.kind = ResourceKind::ip_pool, .name = "other"};
    EXPECT_THAT(message(store_.apply(other, manifest(other, R"({"cidr":"10.0.0.0/8"})"))),
                HasSubstr("IPPool(other) CIDR overlaps with IPPool(p) CIDR 10.65.0.0/16"));
    write(block_key(*parse_prefix("10.66.0.0/26")), "{}");
    EXPECT_THAT(message(store_.apply(other, manifest(other, R"({"cidr":"10.66.0.0/16","blockSize":27})"))),
                HasSubstr("IPPool blocksSize conflicts"));
    EXPECT_EQ(message(store_.apply(other, manifest(other, R"({"cidr":"10.66.0.0/16","blockSize":26})"))), "");
}

/// A node that has registered in pool p.
void register_in(MemoryStore& store, const std::string& node) {
    register_node(store,
                  {.node = node,
                   .address4 = parse_interface_address("192.0.2." + std::to_string(node.front() - 'a' + 1) + "/24"),
                   .address6 = {},
                   .now = 1'000'000'000,
                   .uid = "uid-" + node});
}

TEST_F(ResourceStoreTest, leaves_nothing_behind_of_a_pool_or_a_node) {
    MemoryStore memory;
    memory.put(key_of(kPool), pool_document("p", "10.65.0.0/16", R"("vxlanMode":"Always")"));
    register_in(memory, "a");
    register_in(memory, "b");
    for (const auto& [key, kv] : memory.content()) write(key, kv.value);
    write(key_of({.kind = ResourceKind::bgp_configuration, .name = "node.a"}), "{}");
    write(key_of({.kind = ResourceKind::bgp_peer, .name = "of-a"}), R"({"spec":{"node":"a","peerIP":"192.0.2.9"}})");
    write(key_of({.kind = ResourceKind::bgp_peer, .name = "of-b"}), R"({"spec":{"node":"b","peerIP":"192.0.2.9"}})");

    ASSERT_EQ(message(store_.remove(kNodeA, 0)), "");
    EXPECT_THAT(keys("/calico/"), testing::Not(testing::ContainsRegex("[-./]a\n")));
    EXPECT_THAT(keys("/calico/"), HasSubstr("of-b"));

    const auto removed = store_.remove(kPool, 0);
    ASSERT_EQ(message(removed), "");
    ASSERT_EQ(removed->remarks.size(), 1U) << "b's tunnel address";
    EXPECT_THAT(removed->remarks.front(), StartsWith("1 addresses in 1 blocks of 10.65.0.0/16 are still allocated"));
    EXPECT_THAT(keys("/calico/ipam/v2/host/"), IsEmpty());
    EXPECT_THAT(message(store_.remove({.kind = ResourceKind::node, .name = "nobody"}, 0)),
                StartsWith("resource does not exist: Node(nobody)"));
}

TEST_F(ResourceStoreTest, says_where_etcd_does_not_answer) {
    ResourceStore nowhere(impatient({"http://127.0.0.1:1"}));
    EXPECT_THAT(message(nowhere.apply(kPool, manifest(kPool, R"({"cidr":"10.65.0.0/16"})"))),
                AllOf(HasSubstr("http://127.0.0.1:1"), HasSubstr("check that etcd listens there")));
}

}  // namespace
}  // namespace weft::test
