// Which node each prefix belongs to: blocks, addresses borrowed from them, and affinities, in one flat sorted vector.
//
// It follows the objects one at a time. Made anew of 40,000 of them whenever one changed, it cost several times as much
// as all the rest of the way to the kernel.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "conf/resource.hpp"

namespace weft {

class BlockOwners {
  public:
    // What was entered is taken out by the same value. O(log n) to remember, O(n) for many together in blocks().
    void enter(const IpamBlock& block) { note(block, true); }
    void enter(const BlockAffinity& affinity) { note(affinity, true); }
    void take_out(const IpamBlock& block) { note(block, false); }
    void take_out(const BlockAffinity& affinity) { note(affinity, false); }

    /// Blocks by the node they live on, sorted by prefix. An IPAMBlock says whose a prefix is; where there is none, a
    /// confirmed affinity does (what Calico's BIRD announces from); a pending one never does. A borrowed address
    /// belongs to its borrower. `nodes`: sorted by name. `ownerless` counts the prefixes of nodes that are none of
    /// them.
    std::vector<Block> blocks(const std::vector<Node>& nodes, std::map<std::string, std::size_t>* ownerless) const;

  private:
    /// Of entries with one prefix the one with the lowest rank counts.
    enum class Rank : std::uint8_t { borrower, block, affinity };
    struct Entry {
        Prefix cidr;
        Rank rank = Rank::block;
        std::uint32_t owner = 0;  ///< the number of a node's name
        auto operator<=>(const Entry&) const = default;
    };

    void note(const IpamBlock& block, bool entered);
    void note(const BlockAffinity& affinity, bool entered);
    void note(const Entry& entry, bool entered);
    std::uint32_t number_of(const std::string& node);
    const std::string& name_of(std::uint32_t number) const;
    void settle() const;

    std::unordered_map<std::string, std::uint32_t> numbers_;  ///< of all names that ever owned something
    mutable std::vector<Entry> entries_;                      ///< sorted; several may be equal
    mutable std::vector<Entry> entered_, taken_out_;          ///< since then, in no order
};

}  // namespace weft
