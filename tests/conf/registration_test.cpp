#include "conf/registration.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calico_store.hpp"

namespace weft::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr std::int64_t kNow = 1'750'000'000'000'000'000;

RegistrationWish wish(const std::string& node, const std::string& address = "192.0.2.11/24") {
    return {.node = node, .address4 = parse_interface_address(address), .address6 = {}, .now = kNow, .uid = "uid-1"};
}

class RegistrationTest : public testing::Test {
  protected:
    void pool(const std::string& name, const std::string& cidr, const std::string& fields = {}) {
        store_.put(std::string(kPoolKeys) + name, pool_document(name, cidr, fields));
    }
    json object(const std::string& key) const { return json::parse(store_.at(key), nullptr, false); }
    json node(const std::string& name) const { return object(node_key(name)); }
    BlockDocument block(const std::string& cidr) const {
        auto document = BlockDocument::parse(store_.at(block_key(*parse_prefix(cidr))));
        EXPECT_TRUE(document) << cidr;
        return *document;
    }
    /// The only block there is.
    BlockDocument only_block() const {
        const auto& content = store_.content();
        const auto found = content.lower_bound(std::string(kBlockKeys4));
        return *BlockDocument::parse(found->second.value);
    }
    void expect_consistent() const { EXPECT_THAT(contradictions(store_.content()), IsEmpty()); }

    MemoryStore store_;
};

TEST_F(RegistrationTest, ANewNodeGetsItsObjectABlockAndItsTunnelAddressAndThenNothingMoreIsToDo) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always","natOutgoing":true)");
    EXPECT_THAT(
        register_node(store_, wish("a")),
        ElementsAre(StartsWith("create Node a: ipv4Address 192.0.2.11/24"), StartsWith("ask for block 10.65.0."),
                    StartsWith("claim block 10.65.0."), StartsWith("allocate vxlanTunnelAddress 10.65.0.")));
    const json made = node("a");
    EXPECT_EQ(made["kind"], "Node");
    EXPECT_EQ(made["apiVersion"], "projectcalico.org/v3");
    EXPECT_EQ(made["metadata"], (json{{"name", "a"}, {"uid", "uid-1"}, {"creationTimestamp", "2025-06-15T15:06:40Z"}}));
    EXPECT_EQ(made["spec"]["bgp"], (json{{"ipv4Address", "192.0.2.11/24"}}));
    const BlockDocument own = only_block();
    EXPECT_EQ(made["spec"]["ipv4VXLANTunnelAddr"], to_string(own.address(0)));
    EXPECT_EQ(own.node(), "a");
    EXPECT_EQ(own.owner(0),
              (AllocationOwner{.handle = "vxlan-tunnel-addr-a", .node = "a", .type = "vxlanTunnelAddress"}));
    EXPECT_EQ(
        object(handle_key("vxlan-tunnel-addr-a")),
        (json{{"handle_id", "vxlan-tunnel-addr-a"}, {"block", {{to_string(own.cidr()), 1}}}, {"deleted", false}}));
    EXPECT_EQ(object(affinity_key("a", own.cidr())), (json{{"state", "confirmed"}, {"deleted", false}}));
    expect_consistent();
    EXPECT_THAT(register_node(store_, wish("a")), IsEmpty());
}

TEST_F(RegistrationTest, ABlockIsWrittenAsCalicoWritesIt) {
    pool("p", "10.65.0.0/30", R"("vxlanMode":"Always","blockSize":30)");
    register_node(store_, wish("a"));
    EXPECT_EQ(object("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30"),
              json::parse(R"({"cidr":"10.65.0.0/30","affinity":"host:a","affinity_claim_time":"2025-06-15T15:06:40Z",
                "allocations":[0,null,null,null],"unallocated":[1,2,3],
                "attributes":[{"handle_id":"vxlan-tunnel-addr-a","secondary":{"node":"a","type":"vxlanTunnelAddress"}}],
                "sequenceNumber":1750000000000000002,"sequenceNumberForAllocation":{"0":1750000000000000001},
                "deleted":false})"));
}

TEST_F(RegistrationTest, FieldsThatOthersOwnStayAsTheyAre) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    const json before = json::parse(R"({"kind":"Node","apiVersion":"projectcalico.org/v3",
        "metadata":{"name":"a","uid":"other","labels":{"rack":"1"},"annotations":{"x":"y"}},
        "spec":{"bgp":{"asNumber":64999,"ipv4Address":"192.0.2.99/24","routeReflectorClusterID":"1.0.0.1"},
                "orchRefs":[{"nodeName":"a","orchestrator":"k8s"}],"wireguard":{"interfaceIPv4Address":"10.1.1.1"},
                "future":{"deep":[1,2.5,null]}},"status":{"podCIDRs":["10.0.0.0/24"]}})");
    store_.put(node_key("a"), before.dump());
    EXPECT_THAT(register_node(store_, wish("a")),
                Contains("update Node a: ipv4Address 192.0.2.11/24 (was 192.0.2.99/24)"));
    json after = node("a");
    EXPECT_TRUE(after["spec"].erase("ipv4VXLANTunnelAddr"));
    json expected = before;
    expected["spec"]["bgp"]["ipv4Address"] = "192.0.2.11/24";
    EXPECT_EQ(after, expected);
}

TEST_F(RegistrationTest, WhatIsNoNodeObjectIsLeftAlone) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    for (const char* bad : {"", "garbage", "[]", "7", R"({"spec":7})", R"({"spec":{"bgp":[]}})"}) {
        store_.put(node_key("a"), bad);
        const auto before = store_.content();
        EXPECT_THAT(register_node(store_, wish("a")), ElementsAre(HasSubstr("is no Node object"))) << bad;
        EXPECT_EQ(store_.content(), before);
    }
}

TEST_F(RegistrationTest, OnlyPoolsThatThisNodeMayUseGiveItABlock) {
    store_.put(node_key("a"), R"({"metadata":{"labels":{"rack":"1"}},"spec":{}})");
    pool("disabled", "10.1.0.0/24", R"("disabled":true)");
    pool("elsewhere", "10.2.0.0/24", R"("nodeSelector":"rack == '2'")");
    pool("here", "10.3.0.0/24", R"("nodeSelector":"rack == '1'")");
    pool("balancer", "10.4.0.0/24", R"("allowedUses":["LoadBalancer"])");
    pool("manual", "10.5.0.0/24", R"("assignmentMode":"Manual")");
    pool("six", "fd00:65::/64");
    EXPECT_THAT(
        register_node(store_, wish("a")),
        ElementsAre(StartsWith("update Node"), StartsWith("ask for block 10.3.0."), StartsWith("claim block 10.3.0.")));
    expect_consistent();
}

TEST_F(RegistrationTest, IPv6IsRegisteredWhereThereIsAPoolOfIt) {
    auto both = wish("a");
    both.address6 = parse_interface_address("2001:db8::11/64");
    pool("four", "10.65.0.0/24", R"("vxlanMode":"Always")");
    register_node(store_, both);
    EXPECT_FALSE(node("a")["spec"]["bgp"].contains("ipv6Address"));
    pool("six", "fd00:65::/64", R"("vxlanMode":"Always")");
    register_node(store_, both);
    EXPECT_EQ(node("a")["spec"]["bgp"]["ipv6Address"], "2001:db8::11/64");
    EXPECT_THAT(node("a")["spec"]["ipv6VXLANTunnelAddr"], StartsWith("fd00:65:"));
    expect_consistent();
}

TEST_F(RegistrationTest, ATunnelAddressThatSomethingFreesIsAllocatedAgainWithoutMoving) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    register_node(store_, wish("a"));
    const std::string address = node("a")["spec"]["ipv4VXLANTunnelAddr"];
    BlockDocument own = only_block();
    own.release(0);
    store_.put(block_key(own.cidr()), own.next());
    store_.erase(handle_key("vxlan-tunnel-addr-a"));
    EXPECT_THAT(register_node(store_, wish("a")), ElementsAre("allocate vxlanTunnelAddress " + address + " again"));
    expect_consistent();
    store_.erase(handle_key("vxlan-tunnel-addr-a"));
    EXPECT_THAT(register_node(store_, wish("a")), ElementsAre("allocate vxlanTunnelAddress " + address + " again"));
    expect_consistent();
}

TEST_F(RegistrationTest, AnAddressThatAnotherGotMeanwhileIsGivenUpForAFreeOne) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    register_node(store_, wish("a"));
    BlockDocument own = only_block();
    own.release(0);
    own.allocate(0, {.handle = "k8s-pod-network.1", .node = "a", .type = {}});
    store_.put(block_key(own.cidr()), own.next());
    store_.erase(handle_key("vxlan-tunnel-addr-a"));
    store_.put(handle_key("k8s-pod-network.1"),
               HandleDocument{.id = "k8s-pod-network.1", .blocks = {{to_string(own.cidr()), 1}}}.text());
    EXPECT_THAT(register_node(store_, wish("a")),
                ElementsAre(StartsWith("move vxlanTunnelAddress from " + to_string(own.address(0)))));
    EXPECT_EQ(only_block().owner(0).handle, "k8s-pod-network.1");
    expect_consistent();
}

TEST_F(RegistrationTest, AnAddressThatIsAllocatedButNotInTheNodeObjectIsTakenUp) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    register_node(store_, wish("a"));
    const std::string address = node("a")["spec"]["ipv4VXLANTunnelAddr"];
    store_.erase(node_key("a"));
    register_node(store_, wish("a"));
    EXPECT_EQ(node("a")["spec"]["ipv4VXLANTunnelAddr"], address);
    expect_consistent();
}

TEST_F(RegistrationTest, AChangeOfAPoolsModeMovesTheAddressAndMayHoldTheOldOneForAWhile) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"CrossSubnet")");
    register_node(store_, wish("a"));
    const std::string vxlan = node("a")["spec"]["ipv4VXLANTunnelAddr"];
    pool("p", "10.65.0.0/24", R"("ipipMode":"Always")");
    auto patient = wish("a");
    patient.release = false;
    EXPECT_THAT(register_node(store_, patient), ElementsAre(StartsWith("allocate ipipTunnelAddress")));
    EXPECT_EQ(node("a")["spec"]["ipv4VXLANTunnelAddr"], vxlan);
    expect_consistent();
    EXPECT_TRUE(next_step(patient,
                          [&] {
                              StoreView view = store_.everything();
                              for (const auto& key : registration_keys("a")) {
                                  if (!view.there.contains(key)) view.absent.insert(key);
                              }
                              return view;
                          }())
                    .releases);
    EXPECT_THAT(register_node(store_, wish("a")), ElementsAre("release vxlanTunnelAddress " + vxlan));
    EXPECT_FALSE(node("a")["spec"].contains("ipv4VXLANTunnelAddr"));
    EXPECT_TRUE(node("a")["spec"]["bgp"].contains("ipv4IPIPTunnelAddr"));
    EXPECT_FALSE(store_.has(handle_key("vxlan-tunnel-addr-a")));
    expect_consistent();
    pool("p", "10.65.0.0/24");
    register_node(store_, wish("a"));
    EXPECT_EQ(node("a")["spec"], (json{{"bgp", {{"ipv4Address", "192.0.2.11/24"}}}}));
    expect_consistent();
}

TEST_F(RegistrationTest, APoolThatCannotBeReadCostsNoAddress) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    register_node(store_, wish("a"));
    const json before = node("a");
    store_.put(std::string(kPoolKeys) + "p", "{");
    EXPECT_THAT(register_node(store_, wish("a")),
                ElementsAre(AllOf(HasSubstr("lacks: "), HasSubstr("is no IPPool at present"))));
    EXPECT_EQ(node("a"), before);
    expect_consistent();
}

struct Broken {
    const char* name;
    const char* affinity;  ///< its state; null: none
    const char* block;     ///< whose; null: there is none
    bool stays;            ///< it is this node's afterwards
};

TEST_F(RegistrationTest, EveryAffinityIsMadeTrueOrRemoved) {
    const Prefix cidr = *parse_prefix("10.65.0.64/26");
    for (const Broken& broken : std::vector<Broken>{{"pending without a block", "pending", nullptr, true},
                                                    {"confirmed without a block", "confirmed", nullptr, true},
                                                    {"pending, and the block there", "pending", "a", true},
                                                    {"being released by one who died", "pendingDeletion", "a", true},
                                                    {"another's block", "pending", "b", false},
                                                    {"another's block, confirmed", "confirmed", "b", false}}) {
        SCOPED_TRACE(broken.name);
        store_ = {};
        pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
        store_.put(affinity_key("a", cidr), affinity_document(broken.affinity));
        if (broken.block != nullptr) {
            store_.put(block_key(cidr), BlockDocument::create(cidr, broken.block, kNow).next());
            if (std::string(broken.block) == "b") {
                store_.put(affinity_key("b", cidr), affinity_document("confirmed"));
                store_.put(node_key("b"), R"({"spec":{}})");
            }
        }
        register_node(store_, wish("a"));
        EXPECT_EQ(store_.has(affinity_key("a", cidr)), broken.stays);
        EXPECT_EQ(block("10.65.0.64/26").node(), broken.stays ? "a" : "b");
        expect_consistent();
    }
}

TEST_F(RegistrationTest, AnAffinityOutsideOfAllPoolsIsDropped) {
    pool("p", "10.65.0.0/24");
    store_.put(affinity_key("a", *parse_prefix("10.99.0.0/26")), affinity_document("confirmed"));
    register_node(store_, wish("a"));
    EXPECT_FALSE(store_.has(affinity_key("a", *parse_prefix("10.99.0.0/26"))));
    expect_consistent();
}

TEST_F(RegistrationTest, ANodeThatFindsNoFreeBlockSaysSoAndBorrowsItsTunnelAddress) {
    pool("p", "10.65.0.0/25", R"("vxlanMode":"Always")");
    register_node(store_, wish("a", "192.0.2.1/24"));
    register_node(store_, wish("b", "192.0.2.2/24"));
    EXPECT_THAT(
        register_node(store_, wish("c", "192.0.2.3/24")),
        ElementsAre(StartsWith("create Node c"), StartsWith("allocate vxlanTunnelAddress"),
                    AllOf(HasSubstr("no free block in pool p (10.65.0.0/25)"), HasSubstr("weftctl node remove"))));
    expect_consistent();
    store_.put(std::string(kIpamConfigKey), R"({"strict_affinity":true,"auto_allocate_blocks":true})");
    EXPECT_THAT(register_node(store_, wish("d", "192.0.2.4/24")), Contains(HasSubstr("strict_affinity forbids")));
    expect_consistent();
}

TEST_F(RegistrationTest, ReservedAddressesAreNotTaken) {
    store_.put(std::string(kReservationKeys) + "r", R"({"spec":{"reservedCIDRs":["10.65.0.0/26","10.65.0.64/31"]}})");
    pool("p", "10.65.0.0/25", R"("vxlanMode":"Always")");
    register_node(store_, wish("a"));
    EXPECT_EQ(node("a")["spec"]["ipv4VXLANTunnelAddr"], "10.65.0.66");
    expect_consistent();
}

TEST_F(RegistrationTest, ALockedStoreIsNotWrittenTo) {
    pool("p", "10.65.0.0/24");
    store_.put(std::string(kInformationKey), R"({"spec":{"datastoreReady":false}})");
    EXPECT_THAT(register_node(store_, wish("a")), ElementsAre(HasSubstr("the store is locked")));
}

TEST_F(RegistrationTest, WhateverStandsInTheStoreItSettles) {
    const std::vector<std::string> values{"",
                                          "null",
                                          "{}",
                                          "[]",
                                          "garbage",
                                          R"({"state":7})",
                                          R"({"cidr":"10.65.0.0/26","affinity":"host:a","allocations":[]})",
                                          R"({"handle_id":"x","block":{"10.65.0.0/26":"many","y":1}})",
                                          R"({"spec":{"cidr":7}})",
                                          std::string(100, '[')};
    const std::vector<std::string> keys{affinity_key("a", *parse_prefix("10.65.0.0/26")),
                                        affinity_keys("a") + "nonsense",
                                        affinity_keys("a") + "ipv4/block/10.65.0.1-26",
                                        block_key(*parse_prefix("10.65.0.0/26")),
                                        handle_key("vxlan-tunnel-addr-a"),
                                        std::string(kIpamConfigKey),
                                        std::string(kInformationKey),
                                        std::string(kPoolKeys) + "q",
                                        std::string(kReservationKeys) + "q"};
    for (const std::string& key : keys) {
        for (const std::string& value : values) {
            SCOPED_TRACE(fmt::format("{} = {}", key, value));
            store_ = {};
            pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
            store_.put(key, value);
            const auto done = register_node(store_, wish("a"));
            EXPECT_THAT(done, Not(Contains("never settles")));
            EXPECT_THAT(done, Not(Contains("refused")));
            const std::string node_text = store_.at(node_key("a"));
            EXPECT_FALSE(node_text.empty());
            remove_node(store_, "a");
        }
    }
}

TEST_F(RegistrationTest, ARestartInTheMiddleGoesOnAndLeavesNothingBehind) {
    pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
    pool("q", "10.66.0.0/24", R"("ipipMode":"Always")");
    // Stop after each number of changes, and go on with nothing remembered.
    for (int stop = 0; stop < 10; ++stop) {
        MemoryStore store = store_;
        StoreView view = store.view("a");
        for (int changes = 0; changes < stop;) {
            const RegistrationStep step = next_step(wish("a"), view);
            if (step.settled()) break;
            if (step.change) {
                store.transact(*step.change);
                view = store.view("a");
                ++changes;
            } else {
                store.extend(view, step);
            }
        }
        register_node(store, wish("a"));
        EXPECT_THAT(contradictions(store.content()), IsEmpty()) << stop;
        EXPECT_THAT(remove_node(store, "a"), Contains("delete Node a"));
        EXPECT_EQ(store.content().size(), 2U) << stop;
    }
}

TEST_F(RegistrationTest, RemovingANodeFreesAllThatItHasAndNothingElse) {
    pool("p", "10.65.0.0/25", R"("vxlanMode":"Always")");
    register_node(store_, wish("a", "192.0.2.1/24"));
    register_node(store_, wish("b", "192.0.2.2/24"));
    register_node(store_, wish("c", "192.0.2.3/24"));  // it borrows
    for (const auto& [key, kv] : std::map(store_.content())) {
        if (!key.starts_with(kBlockKeys4)) continue;
        BlockDocument document = *BlockDocument::parse(kv.value);
        for (const std::string node : {"a", "b"}) {
            const std::string handle = "workload-" + node + "-" + to_string(document.cidr());
            document.allocate(document.unallocated().front(), {.handle = handle, .node = node, .type = {}});
            store_.put(handle_key(handle),
                       HandleDocument{.id = handle, .blocks = {{to_string(document.cidr()), 1}}}.text());
        }
        store_.put(key, document.next());
    }
    expect_consistent();
    EXPECT_THAT(remove_node(store_, "a"), Contains("delete Node a"));
    expect_consistent();
    for (const auto& [key, kv] : store_.content()) {
        EXPECT_THAT(key, AllOf(Not(HasSubstr("/a/")), Not(HasSubstr("workload-a")), Not(HasSubstr("addr-a")))) << key;
    }
    EXPECT_TRUE(store_.has(node_key("b")));
    remove_node(store_, "b");
    remove_node(store_, "c");
    EXPECT_EQ(store_.content().size(), 1U);  // the pool
}

}  // namespace
}  // namespace weft::test
