#include "conf/block_index.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace weft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

Prefix prefix(const std::string& text) {
    return *parse_prefix(text);
}

IpamBlock block(const std::string& cidr, const std::string& node, std::vector<Borrowed> borrowed = {}) {
    return {.cidr = prefix(cidr), .node = node, .borrowed = std::move(borrowed)};
}

BlockAffinity affinity(const std::string& cidr, const std::string& node,
                       BlockAffinity::State state = BlockAffinity::State::confirmed) {
    return {.cidr = prefix(cidr), .node = node, .state = state};
}

std::vector<Node> nodes(std::initializer_list<const char*> names) {
    std::vector<Node> made;
    for (const char* const name : names) {
        made.emplace_back();
        made.back().name = name;
    }
    return made;
}

/// "10.65.0.0/26 1": the prefix, and its node's place.
std::vector<std::string> texts(const std::vector<Block>& blocks) {
    std::vector<std::string> all;
    for (const Block& each : blocks) all.push_back(fmt::format("{} {}", to_string(each.cidr), each.node));
    return all;
}

TEST(BlockIndex, prefers_borrowers_to_blocks_and_blocks_to_confirmed_affinities) {
    BlockIndex index;
    const int a = 0, b = 0, c = 0, d = 0;
    index.put(&a, block("10.65.1.0/26", "x", {{.address = *parse_address("10.65.1.7"), .node = "y"}}));
    index.put(&b, affinity("10.65.1.0/26", "y"));
    index.put(&c, affinity("10.65.0.0/26", "y"));
    index.put(&d, affinity("10.65.2.0/26", "y", BlockAffinity::State::pending));
    EXPECT_THAT(texts(index.blocks(nodes({"x", "y"}), nullptr)),
                ElementsAre("10.65.0.0/26 1", "10.65.1.0/26 0", "10.65.1.7/32 1"));
    index.remove(&a);
    EXPECT_THAT(texts(index.blocks(nodes({"x", "y"}), nullptr)), ElementsAre("10.65.0.0/26 1", "10.65.1.0/26 1"));
    index.put(&d, affinity("10.65.2.0/26", "x"));
    index.put(&d, affinity("10.65.3.0/26", "x"));
    EXPECT_THAT(texts(index.blocks(nodes({"x", "y"}), nullptr)),
                ElementsAre("10.65.0.0/26 1", "10.65.1.0/26 1", "10.65.3.0/26 0"));
}

TEST(BlockIndex, counts_what_belongs_to_nodes_that_are_not_there) {
    BlockIndex index;
    const int a = 0, b = 0, c = 0;
    index.put(&a, block("10.65.0.0/26", "gone"));
    index.put(&b, block("10.65.1.0/26", "gone"));
    index.put(&c, block("10.65.2.0/26", ""));
    std::map<std::string, std::size_t> ownerless;
    EXPECT_THAT(index.blocks(nodes({"x"}), &ownerless), IsEmpty());
    EXPECT_THAT(ownerless, ElementsAre(Pair("gone", 2U)));
    EXPECT_THAT(texts(index.blocks(nodes({"gone"}), nullptr)), ElementsAre("10.65.0.0/26 0", "10.65.1.0/26 0"));
}

TEST(BlockIndex, says_after_any_changes_what_one_says_that_has_seen_only_the_end) {
    std::minstd_rand chance(1);
    const auto below = [&](unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(chance); };
    std::vector<std::optional<IpamBlock>> blocks(60);
    std::vector<std::optional<BlockAffinity>> affinities(60);
    BlockIndex index;
    unsigned names = 0;
    for (int round = 0; round < 3'000; ++round) {
        const unsigned at = below(60);
        const std::string cidr = fmt::format("10.65.{}.{}/26", at / 8, at % 4 * 64);  // some of them twice
        // Names that are never used again, more of them than there are objects, must not stay.
        const std::string node = below(4) == 0 ? fmt::format("once-{}", names++) : fmt::format("n{}", below(5));
        if (below(3) == 0) {
            blocks[at].reset();
            affinities[at].reset();
            index.remove(&blocks[at]);
            index.remove(&affinities[at]);
        } else if (below(2) == 0) {
            blocks[at] = block(cidr, node);
            if (below(3) == 0) blocks[at]->borrowed.push_back({.address = blocks[at]->cidr.address, .node = "n1"});
            blocks[at]->deleted = below(8) == 0;
            index.put(&blocks[at], *blocks[at]);
        } else {
            affinities[at] = affinity(cidr, node);
            index.put(&affinities[at], *affinities[at]);
        }
        if (below(5) != 0) continue;
        BlockIndex fresh;
        for (const auto& each : blocks) {
            if (each) fresh.put(&each, *each);
        }
        for (const auto& each : affinities) {
            if (each) fresh.put(&each, *each);
        }
        const auto there = nodes({"n0", "n1", "n2", "n3"});
        ASSERT_EQ(texts(index.blocks(there, nullptr)), texts(fresh.blocks(there, nullptr))) << round;
    }
}

}  // namespace
}  // namespace weft
