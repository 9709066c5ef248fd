// What a node writes about itself into Calico's store, decided from what the store says: pure.
//
//   wish + what was read --next_step--> read more | one transaction | settled
//
// A step at a time: after each transaction the store is read again and asked for the next, so that whatever others do
// in between is seen, and a node that starts anew in the middle goes on from there. Each transaction compares all that
// it was decided from, so of two nodes that want the same one gets it and the other decides again. In order:
// the Node object with this node's addresses (fields that others own stay as they are); every affinity of this node
// made true or removed; a block of each pool that this node may use, in Calico's order (affinity pending, then block
// and confirmation in one transaction); tunnel addresses with Calico's handles and attributes, allocated, kept,
// allocated again where something freed them, moved and released as the pools' modes say, each in one transaction with
// the Node object. Rules: libcalico-go/lib/ipam, node/pkg/allocateip.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conf/etcd_message.hpp"
#include "conf/ipam.hpp"

namespace weft {

struct RegistrationWish {
    std::string node;
    std::optional<InterfaceAddress> address4;  ///< unset: what the Node object has stays
    std::optional<InterfaceAddress> address6;
    std::int64_t now = 0;  ///< nanoseconds since 1970
    std::string uid;       ///< for a Node object that has to be created
    bool release = true;   ///< false: tunnel addresses that no pool is for any more stay for now
};

/// What was read, key by key.
struct StoreView {
    std::map<std::string, EtcdKeyValue> there;
    std::set<std::string> absent;
    std::set<std::string> taken;  ///< there is such a key; its value was not read

    const EtcdKeyValue* find(const std::string& key) const;
    bool knows(const std::string& key) const { return there.contains(key) || absent.contains(key); }
};

/// Keys and prefixes that every decision needs; the view has to hold all of them.
std::vector<std::string> registration_keys(const std::string& node);
std::vector<std::string> registration_prefixes(const std::string& node);

struct RegistrationStep {
    std::vector<std::string> read;   ///< these keys first, then ask again
    std::vector<std::string> probe;  ///< of these keys only whether they are there
    std::optional<EtcdTransaction> change;
    std::string what;  ///< the change in words
    /// What cannot be had, and what to do about it; complete when the step is settled.
    std::vector<std::string> lacks;
    bool releases = false;  ///< there is an address to release, and the wish does not allow it
    bool settled() const { return read.empty() && probe.empty() && !change; }
};
RegistrationStep next_step(const RegistrationWish& wish, const StoreView& view);

/// What the Node object says of the tunnel addresses, for status.
struct RegisteredAddresses {
    std::optional<Address> ipip4, vxlan4, vxlan6;
    bool operator==(const RegisteredAddresses&) const = default;
};
RegisteredAddresses registered_addresses(const StoreView& view, const std::string& node);

/// What has to go when a node is gone: its object, its affinities and blocks, all addresses allocated to it. The view
/// has to hold registration_keys and registration_prefixes of the node, all blocks, and all handles. One step at a
/// time.
RegistrationStep next_removal(const std::string& node, const StoreView& view);

}  // namespace weft
