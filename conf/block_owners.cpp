#include "conf/block_owners.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "conf/resource_id.hpp"

namespace weft {
namespace {

constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::uint32_t BlockOwners::number_of(const std::string& node) {
    if (node.empty()) return kNobody;
    const auto [place, fresh] = numbers_.try_emplace(node, static_cast<std::uint32_t>(nodes_.size()));
    if (fresh) nodes_.push_back(&place->first);
    return place->second;
}

const std::string& BlockOwners::node_of(std::uint32_t number) const {
    static const std::string kNone;
    return number == kNobody ? kNone : *nodes_[number];
}

std::optional<BlockOwners::Kind> BlockOwners::kind_of(const Entry& entry) {
    switch (entry.rank) {
        case Rank::borrower:
            return std::nullopt;
        case Rank::block:
        case Rank::silent_block:
            return Kind::block;
        case Rank::affinity:
        case Rank::silent_affinity:
            return Kind::affinity;
    }
    return std::nullopt;
}

std::string BlockOwners::name_of(const Entry& entry) const {
    const std::string block = key_prefix(entry.cidr);
    return kind_of(entry) == Kind::block ? block : fmt::format("{}/{}", block, node_of(entry.owner));
}

void BlockOwners::put(const std::string& name, const IpamBlock& block) {
    Entries entries{
        {.cidr = block.cidr, .rank = block.deleted ? Rank::silent_block : Rank::block, .owner = number_of(block.node)}};
    for (const Borrowed& borrowed : block.borrowed) {
        if (block.deleted) break;
        entries.push_back({.cidr = host_prefix(borrowed.address),
                           .rank = Rank::borrower,
                           .lender = block.cidr.length,
                           .owner = number_of(borrowed.node)});
    }
    put(Kind::block, name, std::move(entries));
}

void BlockOwners::put(const std::string& name, const BlockAffinity& affinity) {
    const bool counts = !affinity.deleted && affinity.of_host && affinity.state == BlockAffinity::State::confirmed;
    put(Kind::affinity, name,
        {{.cidr = affinity.cidr,
          .rank = counts ? Rank::affinity : Rank::silent_affinity,
          .owner = number_of(affinity.node)}});
}

void BlockOwners::put(Kind kind, const std::string& name, Entries entries) {
    remove(kind, name);
    ++size_;
    if (name_of(entries.front()) != name) {
        Another& another = others_[{kind, name}];
        another.number = ++last_number_;
        for (Entry& entry : entries) entry.another = another.number;
        another.entries = entries;
    }
    for (const Entry& entry : entries) entries_.insert(entry);
}

void BlockOwners::remove(Kind kind, const std::string& name) {
    const auto other = others_.find({kind, name});
    const Entries entries = other != others_.end() ? std::move(other->second.entries) : named(kind, name);
    if (other != others_.end()) others_.erase(other);
    if (entries.empty()) return;
    --size_;
    for (const Entry& entry : entries) entries_.erase(entry);
}

bool BlockOwners::holds(Kind kind, const std::string& name) const {
    return others_.contains({kind, name}) || !named(kind, name).empty();
}

BlockOwners::Entries BlockOwners::named(Kind kind, const std::string& name) const {
    const auto cidr = parse_key_prefix(std::string_view(name).substr(0, name.find('/')));
    Entries found;
    if (!cidr) return found;
    entries_.visit({.cidr = *cidr}, [&](const Entry& entry) {
        if (entry.cidr != *cidr) return false;
        if (kind_of(entry) == kind && entry.another == 0 && name_of(entry) == name) found.push_back(entry);
        return true;
    });
    if (found.empty() || found.front().rank != Rank::block) return found;
    entries_.visit({.cidr = host_prefix(cidr->address)}, [&](const Entry& entry) {
        if (!cidr->contains(entry.cidr.address)) return false;
        if (entry.rank == Rank::borrower && entry.lender == cidr->length && entry.another == 0) found.push_back(entry);
        return true;
    });
    return found;
}

std::vector<std::string> BlockOwners::names(Kind kind) const {
    std::vector<std::string> all;
    for (const Entry& entry : entries_.values()) {
        if (kind_of(entry) == kind && entry.another == 0) all.push_back(name_of(entry));
    }
    for (const auto& [id, another] : others_) {
        if (id.first == kind) all.push_back(id.second);
    }
    return all;
}

std::vector<Block> BlockOwners::blocks(const std::vector<Node>& nodes,
                                       std::map<std::string, std::size_t>* ownerless) const {
    std::vector<std::uint32_t> index(nodes_.size(), kNobody);
    for (std::uint32_t at = 0; at < nodes.size(); ++at) {
        const auto known = numbers_.find(nodes[at].name);
        if (known != numbers_.end()) index[known->second] = at;
    }
    const auto place = [&](const Entry& entry) { return entry.owner == kNobody ? kNobody : index[entry.owner]; };
    std::map<std::uint32_t, std::size_t> unknown;
    const std::vector<Entry>& entries = entries_.values();
    std::vector<Block> blocks;
    blocks.reserve(entries.size() / 2 + 1);
    for (auto at = entries.begin(); at != entries.end();) {
        const Entry& first = *at;
        Block block{.cidr = first.cidr, .node = kNobody};
        bool stated = false;  // an affinity counts only where there is no block
        for (; at != entries.end() && at->cidr == first.cidr; ++at) {
            if (at->rank > Rank::affinity) continue;
            const std::uint32_t node = place(*at);
            if (at->rank == first.rank) block.node = std::min(block.node, node);
            if (node == kNobody && at->owner != kNobody && !(at->rank == Rank::affinity && stated)) {
                ++unknown[at->owner];
            }
            stated = stated || at->rank == Rank::block;
        }
        if (block.node != kNobody) blocks.push_back(block);
    }
    if (ownerless == nullptr) return blocks;
    for (const auto& [owner, count] : unknown) (*ownerless)[node_of(owner)] += count;
    return blocks;
}

}  // namespace weft
