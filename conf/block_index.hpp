// Who has which prefix, kept while objects come and go: of blocks, the addresses borrowed from them, and affinities.
//
// Asking for all of it after a change costs one pass over what is there already in order, and nothing is looked up by
// name but the nodes: at 100 changes a second and 20,000 blocks, building it anew each time was a third of all work.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "conf/cluster.hpp"
#include "conf/resource.hpp"

namespace weft {

class BlockIndex {
  public:
    BlockIndex() = default;
    BlockIndex(BlockIndex&&) = default;
    BlockIndex& operator=(BlockIndex&&) = default;
    BlockIndex(const BlockIndex&) = delete;  // what it holds is of other objects
    BlockIndex& operator=(const BlockIndex&) = delete;
    ~BlockIndex() = default;

    /// `object` stands for what is put, until it is removed; a second put replaces the first. Amortised O(1).
    void put(const void* object, const IpamBlock& block);
    void put(const void* object, const BlockAffinity& affinity);
    void remove(const void* object);

    /// Every prefix once, in order, with the place of its node in `nodes`. An IPAMBlock says whose a prefix is; where
    /// there is none, a confirmed affinity does (what Calico's BIRD announces from); a pending one never does. Prefixes
    /// of nodes that are not there are left out, and counted by the node's name. O(n), and k log k for k changes.
    std::vector<Block> blocks(const std::vector<Node>& nodes, std::map<std::string, std::size_t>* ownerless);

  private:
    struct Entry {
        Prefix cidr;
        std::uint8_t rank;    ///< of entries with one prefix the lowest counts: borrower, block, affinity
        std::uint32_t owner;  ///< in names_, or kNobody
        const void* object;
    };
    void forget(const void* object);
    void add(const void* object, const Prefix& cidr, std::uint8_t rank, const std::string& owner);
    std::uint32_t number(const std::string& name);
    void merge();
    void drop_unused_names();

    std::vector<Entry> entries_;  ///< sorted; those of stale_ do not count any more
    std::vector<Entry> fresh_;    ///< to be sorted in
    std::vector<const void*> stale_;
    std::unordered_set<const void*> in_fresh_;  ///< objects that have entries in fresh_
    std::unordered_map<std::string, std::uint32_t> numbers_;
    std::vector<const std::string*> names_;  ///< by number: the keys of numbers_
};

}  // namespace weft
