#include "conf/block_owners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace weft {
namespace {

using Kind = BlockOwners::Kind;
using ::testing::ElementsAre;

TEST(AFlatSet, holds_what_a_set_holds) {
    std::mt19937 random(1);  // NOLINT: the same numbers each time
    FlatSet<unsigned> flat;
    std::set<unsigned> expected;
    for (int step = 0; step < 20'000; ++step) {
        const auto value = static_cast<unsigned>(random() % 3000);
        if (random() % 5 < 3) {
            EXPECT_EQ(flat.insert(value), expected.insert(value).second);
        } else {
            EXPECT_EQ(flat.erase(value), expected.erase(value) == 1);
        }
        if (step % 1000 == 0) {
            std::vector<unsigned> seen;
            flat.visit(1500, [&](unsigned each) {
                seen.push_back(each);
                return each < 2500;
            });
            auto end = expected.lower_bound(2500);
            if (end != expected.end()) ++end;
            EXPECT_EQ(seen, std::vector<unsigned>(expected.lower_bound(1500), end));
        }
        if (step % 3000 == 0) {
            EXPECT_EQ(flat.values(), std::vector<unsigned>(expected.begin(), expected.end()));
        }
    }
}

std::vector<Node> nodes_named(const std::vector<std::string>& names) {
    std::vector<Node> nodes;
    nodes.reserve(names.size());
    for (const std::string& name : names) nodes.emplace_back().name = name;
    return nodes;
}

IpamBlock block(const char* cidr, const char* node, std::vector<Borrowed> borrowed = {}) {
    return {.cidr = *parse_prefix(cidr), .node = node, .borrowed = std::move(borrowed), .deleted = false};
}

BlockAffinity affinity(const char* cidr, const char* node) {
    BlockAffinity affinity;
    affinity.cidr = *parse_prefix(cidr);
    affinity.node = node;
    return affinity;
}

std::vector<std::string> told(const BlockOwners& owners) {
    const std::vector<Node> nodes = nodes_named({"a", "b"});
    std::vector<std::string> texts;
    for (const Block& each : owners.blocks(nodes, nullptr)) {
        texts.push_back(to_string(each.cidr) + " " + nodes.at(each.node).name);
    }
    return texts;
}

TEST(BlockOwners, replace_and_remove_an_object_with_all_that_it_said) {
    BlockOwners owners;
    owners.put("10.65.0.0-26", block("10.65.0.0/26", "a", {{*parse_address("10.65.0.5"), "b"}}));
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a", "10.65.0.5/32 b"));
    owners.put("10.65.0.0-26", block("10.65.0.0/26", "b", {{*parse_address("10.65.0.6"), "a"}}));
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 b", "10.65.0.6/32 a"));
    EXPECT_EQ(owners.size(), 1U);
    owners.remove(Kind::block, "10.65.0.0-26");
    owners.remove(Kind::block, "10.65.0.0-26");
    EXPECT_THAT(told(owners), ElementsAre());
    EXPECT_EQ(owners.size(), 0U);
}

TEST(BlockOwners, keep_objects_apart_that_say_the_same_or_are_named_otherwise) {
    BlockOwners owners;
    owners.put("10-65-0-0-26", block("10.65.0.0/26", "a", {{*parse_address("10.65.0.5"), "b"}}));
    owners.put("10.65.0.0-26", block("10.65.0.0/26", "a", {{*parse_address("10.65.0.5"), "b"}}));
    owners.put("10.65.0.0-26/a", affinity("10.65.0.0/26", "a"));
    owners.put("a-10-65-0-0-26", affinity("10.65.0.0/26", "a"));
    owners.put("fd00:65:0::-122", block("fd00:65::/122", "b"));
    EXPECT_EQ(owners.size(), 5U);
    EXPECT_THAT(owners.names(Kind::block), ElementsAre("10.65.0.0-26", "10-65-0-0-26", "fd00:65:0::-122"));
    EXPECT_THAT(owners.names(Kind::affinity), ElementsAre("10.65.0.0-26/a", "a-10-65-0-0-26"));
    EXPECT_FALSE(owners.holds(Kind::block, "fd00:65::-122"));
    owners.remove(Kind::block, "10-65-0-0-26");
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a", "10.65.0.5/32 b", "fd00:65::/122 b"));
    owners.remove(Kind::block, "10.65.0.0-26");
    owners.remove(Kind::block, "fd00:65:0::-122");
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a"));
    owners.remove(Kind::affinity, "10.65.0.0-26/a");
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a"));
    owners.remove(Kind::affinity, "a-10-65-0-0-26");
    EXPECT_EQ(owners.size(), 0U);
}

TEST(BlockOwners, do_not_confuse_blocks_that_lie_in_each_other) {
    BlockOwners owners;
    owners.put("10.65.0.0-26", block("10.65.0.0/26", "a", {{*parse_address("10.65.0.1"), "b"}}));
    owners.put("10.65.0.0-27", block("10.65.0.0/27", "a", {{*parse_address("10.65.0.1"), "b"}}));
    owners.put("10.65.0.0-32", block("10.65.0.0/32", "b", {{*parse_address("10.65.0.0"), "a"}}));
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a", "10.65.0.0/27 a", "10.65.0.0/32 a", "10.65.0.1/32 b"));
    owners.remove(Kind::block, "10.65.0.0-32");
    owners.remove(Kind::block, "10.65.0.0-27");
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a", "10.65.0.1/32 b"));
}

TEST(BlockOwners, hold_objects_that_count_for_nothing) {
    BlockOwners owners;
    BlockAffinity pending = affinity("10.65.0.0/26", "a");
    pending.state = BlockAffinity::State::pending;
    owners.put("10.65.0.0-26/a", pending);
    IpamBlock deleted = block("10.65.1.0/26", "a", {{*parse_address("10.65.1.1"), "b"}});
    deleted.deleted = true;
    owners.put("10.65.1.0-26", deleted);
    EXPECT_THAT(told(owners), ElementsAre());
    EXPECT_TRUE(owners.holds(Kind::affinity, "10.65.0.0-26/a"));
    EXPECT_TRUE(owners.holds(Kind::block, "10.65.1.0-26"));
    owners.put("10.65.0.0-26/a", affinity("10.65.0.0/26", "a"));
    EXPECT_THAT(told(owners), ElementsAre("10.65.0.0/26 a"));
    owners.remove(Kind::block, "10.65.1.0-26");
    EXPECT_EQ(owners.size(), 1U);
}

}  // namespace
}  // namespace weft
