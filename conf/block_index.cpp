#include "conf/block_index.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

namespace weft {
namespace {

constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint8_t kBorrower = 0;
constexpr std::uint8_t kBlock = 1;
constexpr std::uint8_t kAffinity = 2;
/// So many names of nodes that are gone are not worth a thought.
constexpr std::size_t kFewNames = 1'024;

}  // namespace

void BlockIndex::put(const void* object, const IpamBlock& block) {
    forget(object);
    if (block.deleted) return;
    add(object, block.cidr, kBlock, block.node);
    for (const Borrowed& borrowed : block.borrowed)
        add(object, host_prefix(borrowed.address), kBorrower, borrowed.node);
}

void BlockIndex::put(const void* object, const BlockAffinity& affinity) {
    forget(object);
    if (affinity.deleted || !affinity.of_host || affinity.state != BlockAffinity::State::confirmed) return;
    add(object, affinity.cidr, kAffinity, affinity.node);
}

void BlockIndex::remove(const void* object) {
    forget(object);
}

void BlockIndex::forget(const void* object) {
    if (in_fresh_.erase(object) > 0) {
        std::erase_if(fresh_, [&](const Entry& entry) { return entry.object == object; });
    }
    if (!entries_.empty()) stale_.push_back(object);
}

void BlockIndex::add(const void* object, const Prefix& cidr, std::uint8_t rank, const std::string& owner) {
    fresh_.push_back({.cidr = cidr, .rank = rank, .owner = owner.empty() ? kNobody : number(owner), .object = object});
    in_fresh_.insert(object);
}

std::uint32_t BlockIndex::number(const std::string& name) {
    const auto [at, fresh] = numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (fresh) names_.push_back(&at->first);
    return at->second;
}

void BlockIndex::merge() {
    if (!stale_.empty()) {
        std::sort(stale_.begin(), stale_.end());
        std::erase_if(entries_, [&](const Entry& entry) {
            return std::binary_search(stale_.begin(), stale_.end(), entry.object);
        });
    }
    const auto before = [](const Entry& a, const Entry& b) {
        return std::tie(a.cidr, a.rank) < std::tie(b.cidr, b.rank);
    };
    std::sort(fresh_.begin(), fresh_.end(), before);
    const auto middle = static_cast<std::ptrdiff_t>(entries_.size());
    entries_.insert(entries_.end(), fresh_.begin(), fresh_.end());
    std::inplace_merge(entries_.begin(), entries_.begin() + middle, entries_.end(), before);
    fresh_ = {};
    stale_ = {};
    in_fresh_ = {};
    drop_unused_names();
}

/// Nodes come and go for as long as the daemon runs.
void BlockIndex::drop_unused_names() {
    if (names_.size() < kFewNames + entries_.size()) return;
    std::unordered_map<std::string, std::uint32_t> numbers = std::move(numbers_);
    const std::vector<const std::string*> names = std::move(names_);
    numbers_ = {};
    names_ = {};
    for (Entry& entry : entries_) {
        if (entry.owner != kNobody) entry.owner = number(*names[entry.owner]);
    }
}

std::vector<Block> BlockIndex::blocks(const std::vector<Node>& nodes, std::map<std::string, std::size_t>* ownerless) {
    merge();
    std::vector<std::uint32_t> places(names_.size(), kNobody);
    for (std::uint32_t i = 0; i < nodes.size(); ++i) {
        const auto known = numbers_.find(nodes[i].name);
        if (known != numbers_.end()) places[known->second] = i;
    }
    std::vector<Block> all;
    all.reserve(entries_.size());
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        // Of several with one prefix and rank the first node's counts, so that every node decides alike.
        const Entry* chosen = &*entry;
        const auto place = [&](const Entry& of) { return of.owner == kNobody ? kNobody : places[of.owner]; };
        auto next = entry + 1;
        for (; next != entries_.end() && next->cidr == entry->cidr; ++next) {
            if (next->rank == chosen->rank && place(*next) < place(*chosen)) chosen = &*next;
        }
        if (place(*chosen) != kNobody) {
            all.push_back({.cidr = chosen->cidr, .node = place(*chosen)});
        } else if (chosen->owner != kNobody && ownerless != nullptr) {
            ++(*ownerless)[*names_[chosen->owner]];
        }
        entry = next;
    }
    return all;
}

}  // namespace weft
