// Which node each prefix belongs to: IPAM blocks, addresses borrowed from them, and affinities.
//
// They are held here and nowhere else, as entries of one flat set. There are tens of thousands of them, nearly all
// named after what they say (a block "10.65.0.0-26", an affinity "10.65.0.0-26/NODE"): of those the name is not kept,
// but found again from the entry. Decoded objects in maps by name took six times as much, and collecting the owners of
// 40,000 whenever one changed cost more than all the rest of the way to the kernel.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conf/flat_set.hpp"
#include "conf/resource.hpp"

namespace weft {

class BlockOwners {
  public:
    enum class Kind : std::uint8_t { block, affinity };

    /// Takes an object, in the place of the one that had its name.
    void put(const std::string& name, const IpamBlock& block);
    void put(const std::string& name, const BlockAffinity& affinity);
    void remove(Kind kind, const std::string& name);
    bool holds(Kind kind, const std::string& name) const;
    std::size_t size() const { return size_; }
    /// Of all of a kind.
    std::vector<std::string> names(Kind kind) const;

    /// Blocks by the node they live on, sorted by prefix. An IPAMBlock says whose a prefix is; where there is none, a
    /// confirmed affinity does (what Calico's BIRD announces from); a pending one never does. A borrowed address
    /// belongs to its borrower. `nodes`: sorted by name. `ownerless` counts the prefixes of nodes that are none of
    /// them.
    std::vector<Block> blocks(const std::vector<Node>& nodes, std::map<std::string, std::size_t>* ownerless) const;

  private:
    /// Of entries with one prefix the one with the lowest rank counts; a silent one never does.
    enum class Rank : std::uint8_t { borrower, block, affinity, silent_block, silent_affinity };
    struct Entry {
        Prefix cidr;
        Rank rank = Rank::borrower;
        std::uint8_t lender = 0;    ///< of a borrowed address, the length of its block
        std::uint32_t owner = 0;    ///< the number of a node's name
        std::uint32_t another = 0;  ///< of an object that is not named after its entry, its number; else 0
        auto operator<=>(const Entry&) const = default;
    };
    using Entries = std::vector<Entry>;
    struct Another {
        std::uint32_t number = 0;
        Entries entries;
    };

    void put(Kind kind, const std::string& name, Entries entries);
    static std::optional<Kind> kind_of(const Entry& entry);
    std::string name_of(const Entry& entry) const;
    /// Of an object that is named after its entry; empty: there is none.
    Entries named(Kind kind, const std::string& name) const;
    std::uint32_t number_of(const std::string& node);
    const std::string& node_of(std::uint32_t number) const;

    std::unordered_map<std::string, std::uint32_t> numbers_;  ///< of all nodes that ever owned something
    std::vector<const std::string*> nodes_;                   ///< by number
    mutable FlatSet<Entry> entries_;
    std::map<std::pair<Kind, std::string>, Another> others_;  ///< objects that are named otherwise
    std::uint32_t last_number_ = 0;
    std::size_t size_ = 0;
};

}  // namespace weft
