// Whatever stands under Calico's keys ends in use or in a report that names key and field; what was valid stays in use.
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "conf/etcd_reader.hpp"
#include "etcd_server.hpp"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kResources = "/calico/resources/v3/projectcalico.org/";
const std::string kPoolKey = kResources + "ippools/p";
const std::string kNode = kResources + "nodes/a";
const std::string kPeer = kResources + "bgppeers/x";
const std::string kBgp = kResources + "bgpconfigurations/default";
const std::string kFelix = kResources + "felixconfigurations/default";
const std::string kInformation = kResources + "clusterinformations/default";
const std::string kBlock = "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26";
const std::string kAffinity = "/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-26";

/// A good form of each, which is in use before.
const std::vector<std::pair<std::string, std::string>>& good() {
    static const std::vector<std::pair<std::string, std::string>> kGood{
        {kPoolKey, R"({"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","vxlanMode":"Always"}})"},
        {kNode,
         R"({"metadata":{"name":"a"},"spec":{"bgp":{"ipv4Address":"192.0.2.1/24"},"ipv4VXLANTunnelAddr":"10.65.0.0"}})"},
        {kPeer, R"({"metadata":{"name":"x"},"spec":{"peerIP":"192.0.2.9","asNumber":64999}})"},
        {kBgp, R"({"metadata":{"name":"default"},"spec":{"asNumber":64513}})"},
        {kFelix, R"({"metadata":{"name":"default"},"spec":{"vxlanVNI":4097}})"},
        {kInformation, R"({"metadata":{"name":"default"},"spec":{"datastoreReady":true}})"},
        {kBlock,
         R"({"cidr":"10.65.0.0/26","affinity":"host:a","allocations":[],"unallocated":[],"attributes":[],"deleted":false})"},
        {kAffinity, R"({"state":"confirmed","deleted":false})"}};
    return kGood;
}

const std::string& form_of(const std::string& key) {
    return std::find_if(good().begin(), good().end(), [&](const auto& each) { return each.first == key; })->second;
}

std::string nested(std::size_t depth, const std::string& around) {
    return fmt::format("{}{}{}", around + std::string(depth, '['), std::string(depth, ']'), std::string(1, '}'));
}

class HostileObjectsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { etcd_ = std::make_unique<EtcdServer>(); }
    static void TearDownTestSuite() { etcd_.reset(); }
    void SetUp() override {
        etcd_->etcdctl("del --prefix ''");
        for (const auto& [key, value] : good()) write(key, value);
        reader_ = std::make_unique<EtcdReader>(io_, impatient({etcd_->url()}), "a");
        reader_->start([this](SourceUpdate update) {
            if (update.cluster) cluster_ = update.cluster;
            last_ = std::move(update);
        });
        ASSERT_TRUE(run_until(io_, [&] { return cluster_ != nullptr; }));
        ASSERT_TRUE(last_.status.objects.empty()) << to_string(last_.status.objects.front());
        before_ = *cluster_;
    }
    void write(const std::string& key, const std::string& value) {
        const auto done = transact(io_, writer_, {.compares = {}, .then = {put(key, value)}, .otherwise = {}});
        ASSERT_TRUE(done) << done.error().message;
        revision_ = done->header.revision;
    }
    void remove(const std::string& key) {
        const auto done = transact(io_, writer_, {.compares = {}, .then = {erase(key)}, .otherwise = {}});
        ASSERT_TRUE(done) << done.error().message;
        revision_ = done->header.revision;
    }
    /// Until what was written last has been told.
    bool told() {
        return run_until(io_, [&] { return last_.status.revision >= revision_; });
    }
    std::string reports() const {
        std::string text;
        for (const ObjectTrouble& trouble : last_.status.objects) text += to_string(trouble) + "\n";
        return text;
    }
    bool as_before() const {
        return cluster_->pools == before_.pools && cluster_->nodes == before_.nodes &&
               cluster_->blocks == before_.blocks && cluster_->bgp.neighbors == before_.bgp.neighbors;
    }

    static std::unique_ptr<EtcdServer> etcd_;
    boost::asio::io_context io_;
    EtcdClient writer_{io_, impatient({etcd_->url()})};
    std::unique_ptr<EtcdReader> reader_;
    std::shared_ptr<const Cluster> cluster_;
    SourceUpdate last_;
    Cluster before_;
    std::int64_t revision_ = 0;
};
std::unique_ptr<EtcdServer> HostileObjectsTest::etcd_;

TEST_F(HostileObjectsTest, WhatIsNoObjectIsReportedUnderEachKeyAndTheOldFormStays) {
    const std::vector<std::pair<std::string, const char*>> values{
        {"{", "no JSON"},
        {"garbage", "no JSON"},
        {"null", "this is null"},
        {"", "no JSON"},
        {"\xff\xfe\x80", "no JSON"},
        {"{\"spec\":\"\xc3\x28\"}", "no JSON"},
        {std::string("\0\0", 2), "no JSON"},
        {R"({"spec":{"cidr":1e999}})", "no JSON"},
        {"[]", "expected an object, this is a list"},
        {"7", "expected an object, this is a number"},
        {R"("text")", "expected an object, this is a string"},
        {std::string(1'000'000, '['), "nested more than 64 deep"},
        {nested(100, R"({"spec":)"), "nested more than 64 deep"},
    };
    for (const auto& [key, form] : good()) {
        for (const auto& [value, message] : values) {
            if (key == kAffinity && (value.empty() || value == "null")) continue;  // confirmed, as Calico had it once
            SCOPED_TRACE(key + " = " + value.substr(0, 40));
            write(key, value);
            ASSERT_TRUE(told());
            EXPECT_EQ(last_.status.invalid, 1U);
            EXPECT_THAT(reports(), AllOf(HasSubstr(key + ": "), HasSubstr(message),
                                         HasSubstr("its last valid form stays in use")));
            EXPECT_LT(reports().size(), 1'000U);
            EXPECT_TRUE(as_before());
        }
        write(key, form);
        ASSERT_TRUE(told());
        EXPECT_EQ(reports(), "");
        EXPECT_TRUE(as_before());
    }
}

struct HostileCase {
    std::string key;
    std::string value;
    const char* report;  ///< field and message, or what of it; null: it is in use, without a word
};

TEST_F(HostileObjectsTest, FieldsThatAreWrongAreNamedAndTheOldFormStays) {
    const std::string huge(1'000'000, 'x');
    const std::string many = "99999999999999999999999999";
    const std::vector<HostileCase> cases{
        {kPoolKey, R"({"spec":[]})", "spec: expected an object, this is a list"},
        {kPoolKey, R"({"spec":{}})", "spec.cidr: a pool needs its prefix"},
        {kPoolKey, R"({"spec":null})", "spec.cidr: a pool needs its prefix"},
        {kPoolKey, R"({"spec":{"cidr":["10.65.0.0/16"]}})", "spec.cidr: expected a string, this is a list"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.0.0/99"}})", "spec.cidr: '10.65.0.0/99' is no prefix"},
        {kPoolKey, R"({"spec":{"cidr":"0.0.0.0/-1"}})", "spec.cidr: '0.0.0.0/-1' is no prefix"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.7.0/16"}})", "spec.cidr: IPPool CIDR must be strictly masked"},
        {kPoolKey, R"({"spec":{"cidr":")" + huge + "\"}}", "spec.cidr: 'xxx"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.0.0/16\nnode b"}})", "spec.cidr: '10.65.0.0/16 node b' is no prefix"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.0.0/16","blockSize":)" + many + "}}",
         "spec.blockSize: expected a whole number"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.0.0/16","blockSize":-26}})", "spec.blockSize: -26 is not between"},
        {kPoolKey, R"({"spec":{"cidr":"10.65.0.0/16","vxlanMode":"\u001b[2J"}})",
         "spec.vxlanMode: Unsupported value: \" [2J\""},
        {kNode, R"({"spec":{"bgp":{"ipv4Address":"192.0.2.1/33"}}})", "spec.bgp.ipv4Address: '192.0.2.1/33' is no"},
        {kNode, R"({"spec":{"bgp":{"ipv4Address":"0.0.0.0/0"}}})", "spec.bgp.ipv4Address: 0.0.0.0 is no address"},
        {kNode, R"({"spec":{"bgp":{"asNumber":)" + many + "}}}", "spec.bgp.asNumber: 1e+26 is no AS number"},
        {kNode, R"({"spec":{"bgp":7}})", "spec.bgp: expected an object, this is a number"},
        {kNode, R"({"spec":{"ipv4VXLANTunnelAddr":"10.65.0.0/26"}})", "spec.ipv4VXLANTunnelAddr: '10.65.0.0/26' is no"},
        {kNode, R"({"spec":{"vxlanTunnelMACAddr":"ff:ff:ff:ff:ff:ff"}})", "spec.vxlanTunnelMACAddr: "},
        {kPeer, R"({"spec":{"peerIP":"192.0.2.9\"; protocol bgp"}})", "spec.peerIP: '192.0.2.9\"; protocol bgp'"},
        {kPeer, R"({"spec":{"peerIP":"192.0.2.9","filters":["f"]}})", "spec.filters: not supported"},
        {kPeer, R"({"spec":{"peerIP":"192.0.2.9","nodeSelector":")" + std::string(10'000, '(') + "\"}}",
         "spec.nodeSelector: "},
        {kBgp, R"({"spec":{"listenPort":70000}})", "spec.listenPort: 70000 is not between"},
        {kBgp, R"({"spec":{"nodeMeshMaxRestartTime":"99999999h"}})", "spec.nodeMeshMaxRestartTime: "},
        {kFelix, R"({"spec":{"vxlanVNI":16777216}})", "spec.vxlanVNI: 16777216 is not between"},
        {kFelix, R"({"spec":{"vxlanMTU":1}})", "spec.vxlanMTU: 1 is less than"},
        {kInformation, R"({"spec":{"datastoreReady":"perhaps"}})", "spec.datastoreReady: expected true or false"},
        {kBlock, R"({"cidr":"10.65.1.0/26","affinity":"host:a"})", "cidr: 10.65.1.0/26 is not the block that its key"},
        {kBlock, R"({"cidr":"0.0.0.0/0","affinity":"host:a"})", "cidr: '0.0.0.0/0' is no block"},
        {kBlock, R"({"cidr":"10.65.0.0/26","affinity":"host:a\"; x"})", "affinity: 'a\"; x' is no node name"},
        {kBlock, R"({"cidr":"10.65.0.0/26","allocations":[)" + many + "]}", "allocations[0]: 1e+26 is no index"},
        {kBlock, R"({"cidr":"10.65.0.0/26","allocations":[0],"attributes":[]})", "allocations[0]: 0 is no index"},
        {kAffinity, R"({"state":"mine"})", "state: Unsupported value: \"mine\""},
        {kAffinity, R"({"state":7})", "state: expected a string, this is a number"},
    };
    for (const HostileCase& one : cases) {
        SCOPED_TRACE(one.key + " = " + one.value.substr(0, 100));
        write(one.key, one.value);
        ASSERT_TRUE(told());
        EXPECT_EQ(last_.status.invalid, 1U);
        EXPECT_THAT(reports(), AllOf(HasSubstr(one.key + ": "), HasSubstr(one.report),
                                     HasSubstr("its last valid form stays in use")));
        EXPECT_LT(reports().size(), 1'000U);
        EXPECT_TRUE(as_before());
        write(one.key, form_of(one.key));
        ASSERT_TRUE(told());
        EXPECT_EQ(reports(), "");
    }
}

TEST_F(HostileObjectsTest, WhatIsUnusualButGoodIsInUse) {
    std::string labels;
    for (int i = 0; i < 20'000; ++i) labels += fmt::format(R"("label-{}":"{}",)", i, std::string(40, 'v'));
    const std::vector<HostileCase> cases{
        {kNode, R"({"kind":"Node","future":[1,2.5,null,{"deep":{"er":[]}}],"metadata":{"name":"a","managedFields":[{}]},
                    "spec":{"bgp":{"ipv4Address":"192.0.2.1/24","new":1},"ipv4VXLANTunnelAddr":"10.65.0.0","x":{}},"status":7})",
         nullptr},
        {kNode, R"({"metadata":{"name":"a","labels":{)" + labels + R"("z":"z"}},
                    "spec":{"bgp":{"ipv4Address":"192.0.2.1/24"},"ipv4VXLANTunnelAddr":"10.65.0.0"}})",
         nullptr},
        {kNode, R"({"metadata":{"name":"a","labels":[7]},"spec":{"ipv4VXLANTunnelAddr":"10.65.0.0",
                    "bgp":{"ipv4Address":"192.0.2.1/24","ipv4Address":"192.0.2.1/24","asNumber":0}}})",
         nullptr},
        {kNode,
         R"({"metadata":{"name":"other"},"spec":{"bgp":{"ipv4Address":"192.0.2.1/24"},"ipv4VXLANTunnelAddr":"10.65.0.0"}})",
         "metadata.name: 'other' is not the name in its key"},
        {kPoolKey,
         R"({"metadata":{"name":"p","creationTimestamp":null,"annotations":{"x":")" + std::string(1'000'000, 'y') +
             R"("}},"spec":{"cidr":"10.65.0.0/16","vxlanMode":"Always","ipipMode":"","blockSize":0}})",
         nullptr},
        {kPoolKey, R"({"metadata":7,"spec":{"cidr":"10.65.0.0/16","vxlanMode":"Always"}})",
         "metadata: expected an object"},
        {kBlock,
         R"({"cidr":"10.65.0.0/26","affinity":"host:a","allocations":null,"attributes":null,"sequenceNumber":-1})",
         nullptr},
        {kAffinity, "", nullptr},
        {kAffinity, "null", nullptr},
        {kFelix, R"({"spec":{"vxlanVNI":4097,"bpfEnabled":{"odd":true}}})", nullptr},
    };
    for (const HostileCase& one : cases) {
        SCOPED_TRACE(one.key + " = " + one.value.substr(0, 100));
        write(one.key, one.value);
        ASSERT_TRUE(told());
        if (one.report == nullptr) {
            EXPECT_EQ(reports(), "");
        } else {
            EXPECT_THAT(reports(), AllOf(HasSubstr(one.key + ": "), HasSubstr(one.report)));
        }
        EXPECT_TRUE(as_before());
        write(one.key, form_of(one.key));
        ASSERT_TRUE(told());
    }
}

TEST_F(HostileObjectsTest, KeysThatAreNoneOfOursAreIgnoredAndThoseThatNameNothingAreReportedWithinBounds) {
    const std::string form = R"({"spec":{"cidr":"10.66.0.0/16"}})";
    const std::string node = R"({"spec":{"bgp":{"ipv4Address":"192.0.2.77/24"}}})";
    const std::vector<HostileCase> cases{
        {kResources + "ippools", form, nullptr},
        {kResources + "nodes", node, nullptr},
        {"/calico/ipam/v2/host/a", "{}", nullptr},
        {"/calico/ipam/v2/host/", "{}", nullptr},
        {"/calico/ipam/v2/assignment/ipv7/block/x", "{}", nullptr},
        {kResources + "ippools/", form, "metadata.name: an object needs a name"},
        {kResources + "nodes/", node, "metadata.name: an object needs a name"},
        {kResources + "nodes/a b", node, "metadata.name: 'a b' is no node name"},
        {kResources + "nodes/a/b", node, "metadata.name: 'a/b' is no node name"},
        {kResources + "nodes/x\"; protocol bgp {", node, "is no node name"},
        {kResources + "nodes/x\n2026-01-01 error all is lost", node, "nodes/x 2026-01-01 error all is lost: "},
        {kResources + "nodes/\x1b[2J\x1b]0;x\x07", node, "nodes/ [2J ]0;x : "},
        {kResources + "nodes/\xff\xfe", node, "is no node name"},
        {kResources + "nodes/" + std::string(100'000, 'n'), node, "at most 253 characters"},
        {kResources + "nodes/" + std::string(100'000, '"'), node, "at most 253 characters"},
        {"/calico/ipam/v2/host/a/ipv4/block/10.65.0.0", "{}", "the key names no block"},
        {"/calico/ipam/v2/host/a/ipv4/block/", "{}", "the key names no block"},
        {"/calico/ipam/v2/host/a b/ipv4/block/10.65.9.0-26", "{}", "is no node name"},
        {"/calico/ipam/v2/assignment/ipv4/block/", R"({"affinity":"host:a"})", "an object needs a name"},
    };
    for (const HostileCase& one : cases) {
        SCOPED_TRACE(one.key.substr(0, 100));
        write(one.key, one.value);
        if (one.report == nullptr) write(kInformation, form_of(kInformation));  // of the key itself nothing is told
        ASSERT_TRUE(told());
        EXPECT_THAT(reports(), HasSubstr(one.report == nullptr ? "" : one.report));
        EXPECT_EQ(reports().empty(), one.report == nullptr);
        EXPECT_LT(reports().size(), 1'500U);
        EXPECT_EQ(reports().find('\x1b'), std::string::npos);
        EXPECT_TRUE(as_before());
        remove(one.key);
        if (one.report == nullptr) continue;
        ASSERT_TRUE(told());
        EXPECT_EQ(reports(), "");
    }
}

}  // namespace
}  // namespace weft::test
