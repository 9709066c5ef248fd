#include "conf/block_owners.hpp"

#include <algorithm>
#include <limits>
#include <span>

namespace weft {
namespace {

constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
/// Up to so many changes are made one by one.
constexpr std::size_t kFew = 64;

}  // namespace

std::uint32_t BlockOwners::number_of(const std::string& node) {
    if (node.empty()) return kNobody;
    return numbers_.try_emplace(node, static_cast<std::uint32_t>(numbers_.size())).first->second;
}

/// Asked for only of nodes that do not exist.
const std::string& BlockOwners::name_of(std::uint32_t number) const {
    return std::ranges::find(numbers_, number, [](const auto& named) { return named.second; })->first;
}

void BlockOwners::note(const IpamBlock& block, bool entered) {
    if (block.deleted) return;
    note(Entry{.cidr = block.cidr, .rank = Rank::block, .owner = number_of(block.node)}, entered);
    for (const Borrowed& borrowed : block.borrowed) {
        note(Entry{.cidr = host_prefix(borrowed.address), .rank = Rank::borrower, .owner = number_of(borrowed.node)},
             entered);
    }
}

void BlockOwners::note(const BlockAffinity& affinity, bool entered) {
    if (affinity.deleted || !affinity.of_host || affinity.state != BlockAffinity::State::confirmed) return;
    note(Entry{.cidr = affinity.cidr, .rank = Rank::affinity, .owner = number_of(affinity.node)}, entered);
}

void BlockOwners::note(const Entry& entry, bool entered) {
    // One that is put and removed before anybody asked leaves nothing behind.
    auto& opposite = entered ? taken_out_ : entered_;
    const auto undone = opposite.size() <= kFew ? std::ranges::find(opposite, entry) : opposite.end();
    if (undone != opposite.end()) {
        opposite.erase(undone);
    } else {
        (entered ? entered_ : taken_out_).push_back(entry);
    }
}

void BlockOwners::settle() const {
    if (entered_.size() + taken_out_.size() <= kFew) {
        for (const Entry& entry : entered_) entries_.insert(std::ranges::lower_bound(entries_, entry), entry);
        for (const Entry& entry : taken_out_) entries_.erase(std::ranges::lower_bound(entries_, entry));
    } else {
        std::ranges::sort(entered_);
        std::ranges::sort(taken_out_);
        std::vector<Entry> with;
        with.reserve(entries_.size() + entered_.size());
        std::ranges::merge(entries_, entered_, std::back_inserter(with));
        entries_.clear();
        std::ranges::set_difference(with, taken_out_, std::back_inserter(entries_));
        entries_.shrink_to_fit();
    }
    entered_.clear();
    taken_out_.clear();
    entered_.shrink_to_fit();
    taken_out_.shrink_to_fit();
}

std::vector<Block> BlockOwners::blocks(const std::vector<Node>& nodes,
                                       std::map<std::string, std::size_t>* ownerless) const {
    settle();
    std::vector<std::uint32_t> index(numbers_.size(), kNobody);
    for (std::uint32_t at = 0; at < nodes.size(); ++at) {
        const auto known = numbers_.find(nodes[at].name);
        if (known != numbers_.end()) index[known->second] = at;
    }
    const auto place = [&](const Entry& entry) { return entry.owner == kNobody ? kNobody : index[entry.owner]; };
    std::map<std::uint32_t, std::size_t> unknown;
    std::vector<Block> blocks;
    blocks.reserve(entries_.size() / 2 + kFew);
    for (auto at = entries_.begin(); at != entries_.end();) {
        const Entry& first = *at;
        Block block{.cidr = first.cidr, .node = kNobody};
        bool stated = false;  // an affinity counts only where there is no block
        for (; at != entries_.end() && at->cidr == first.cidr; ++at) {
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
    for (const auto& [owner, count] : unknown) (*ownerless)[name_of(owner)] += count;
    return blocks;
}

}  // namespace weft
