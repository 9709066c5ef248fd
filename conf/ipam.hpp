// Calico's IPAM documents in etcd, as far as weft writes them: blocks and the addresses allocated in them, affinities,
// handles; their keys, and their exact JSON (libcalico-go/lib/backend/model and lib/ipam).
//
// A document that is changed keeps all fields that are not weft's business.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/address.hpp"
#include "conf/result.hpp"

namespace weft {

inline constexpr std::string_view kPoolKeys = "/calico/resources/v3/projectcalico.org/ippools/";
inline constexpr std::string_view kReservationKeys = "/calico/resources/v3/projectcalico.org/ipreservations/";
inline constexpr std::string_view kNodeKeys = "/calico/resources/v3/projectcalico.org/nodes/";
inline constexpr std::string_view kHandleKeys = "/calico/ipam/v2/handle/";
inline constexpr std::string_view kBlockKeys4 = "/calico/ipam/v2/assignment/ipv4/block/";
inline constexpr std::string_view kBlockKeys6 = "/calico/ipam/v2/assignment/ipv6/block/";
inline constexpr std::string_view kIpamConfigKey = "/calico/ipam/v2/config";
inline constexpr std::string_view kInformationKey =
    "/calico/resources/v3/projectcalico.org/clusterinformations/default";

std::string node_key(std::string_view node);
std::string block_key(const Prefix& cidr);
/// What all of this node's affinities begin with.
std::string affinity_keys(std::string_view node);
std::string affinity_key(std::string_view node, const Prefix& cidr);
std::string handle_key(std::string_view handle);
/// The block that a block's or an affinity's key names; nullopt: it is neither.
std::optional<Prefix> block_of_key(std::string_view key);

/// Since 1970.
std::int64_t now_nanoseconds();
/// RFC 3339 as Go's metav1.Time writes it; `now` in nanoseconds since 1970.
std::string rfc3339(std::int64_t now);

/// Who an address is allocated to.
struct AllocationOwner {
    std::string handle;
    std::string node;  ///< attribute `node`
    std::string type;  ///< attribute `type`
    bool operator==(const AllocationOwner&) const = default;
};

class BlockDocument {
  public:
    /// A block as it is stored; an Error when it is none, or not consistent: it is not to be written then.
    static Result<BlockDocument> parse(std::string_view value);
    /// A new one, all free, affine to this node; `now` in nanoseconds since 1970.
    static BlockDocument create(const Prefix& cidr, std::string_view node, std::int64_t now);

    const Prefix& cidr() const { return cidr_; }
    /// The node it is affine to; empty: none, or no node.
    std::string node() const;
    bool affine() const { return !affinity_.empty(); }
    bool deleted() const { return deleted_; }
    std::size_t size() const { return allocations_.size(); }
    /// Addresses in use (or cooling down).
    std::size_t used() const;

    Address address(std::size_t ordinal) const;
    std::optional<std::size_t> ordinal(const Address& address) const;
    bool free(std::size_t ordinal) const { return !allocations_[ordinal]; }
    /// Of a free one, and of one allocated without attributes: an empty owner.
    AllocationOwner owner(std::size_t ordinal) const;
    /// Free addresses in the order in which Calico gives them out.
    const std::vector<std::size_t>& unallocated() const { return unallocated_; }
    /// How many addresses each handle has here.
    std::map<std::string, std::size_t> handles() const;

    /// `ordinal` is free, or allocated without attributes.
    void allocate(std::size_t ordinal, const AllocationOwner& owner);
    void release(std::size_t ordinal);
    void clear_affinity();
    /// As it is stored, with the next sequence number.
    std::string next() const;

  private:
    void drop_unused_attributes();

    nlohmann::json document_;
    Prefix cidr_;
    std::string affinity_;
    bool deleted_ = false;
    std::vector<std::optional<std::size_t>> allocations_;  ///< index into attributes_
    std::vector<std::size_t> unallocated_;
    std::vector<nlohmann::json> attributes_;
    std::map<std::string, std::int64_t> sequences_;  ///< sequenceNumberForAllocation
    std::int64_t sequence_ = 0;
};

/// An affinity's document in this state ("pending", "confirmed").
std::string affinity_document(std::string_view state);
/// Its state; a document that is empty or says none is "confirmed". Error: it is no such document.
Result<std::string> affinity_state(std::string_view value);

/// A handle: how many addresses it has in which block.
struct HandleDocument {
    std::string id;
    std::map<std::string, std::int64_t> blocks;  ///< by the block's CIDR

    static Result<HandleDocument> parse(std::string_view value);
    std::string text() const;
    void add(const Prefix& block, std::int64_t count);
};

}  // namespace weft
