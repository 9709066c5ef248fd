// The cluster as every node sees it: pools, nodes, blocks, BGP peers and the settings that all nodes share.
//
// An immutable value. Every source (static file, directory of resources, etcd) produces the same one, so the planner
// and the BIRD renderer never know where it came from. Sorted flat vectors: nodes by name, pools and blocks by prefix;
// a block names its node by index, so that 20,000 blocks cost a few hundred kilobytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/address.hpp"

namespace weft {

/// The mode switch `calico_backend`.
enum class Backend : std::uint8_t { bird, vxlan, none };
std::string_view to_string(Backend backend);

/// When a pool encapsulates.
enum class Encapsulate : std::uint8_t { never, always, cross_subnet };
std::string_view to_string(Encapsulate encapsulate);

struct Pool {
    Prefix cidr;
    Encapsulate ipip = Encapsulate::never;
    Encapsulate vxlan = Encapsulate::never;
    std::uint8_t block_size = 26;
    bool nat_outgoing = false;
    bool exported = true;   ///< false: its routes are not announced over BGP (Calico's disableBGPExport)
    bool disabled = false;  ///< true: no new blocks or addresses from it; its routes stay

    bool operator==(const Pool&) const = default;
};

struct Node {
    std::string name;
    std::optional<InterfaceAddress> address4;  ///< underlay address with its subnet
    std::optional<InterfaceAddress> address6;
    std::optional<Address> vxlan4;  ///< tunnel addresses, defaults already resolved
    std::optional<Address> vxlan6;
    std::optional<Address> ipip4;
    std::optional<Mac> mac4;  ///< MAC of its VTEP; unset: vtep_mac(name, family)
    std::optional<Mac> mac6;
    std::optional<std::uint32_t> as;        ///< unset: BgpSettings::local_as
    std::optional<Address> cluster_id;      ///< set: this node is a route reflector
    std::optional<std::uint16_t> bgp_port;  ///< where its BGP listens; unset: BgpSettings::port

    bool operator==(const Node&) const = default;
    const std::optional<InterfaceAddress>& address(Family family) const;
    const std::optional<Address>& vxlan(Family family) const;
    /// The MAC of this node's VTEP: as set, else as derived.
    Mac mac(Family family) const;
};

/// Workload addresses that live on one node. A host prefix (/32, /128) is one borrowed address, which may lie inside
/// another node's block and wins over it.
struct Block {
    Prefix cidr;
    std::uint32_t node = 0;  ///< index into Cluster::nodes

    auto operator<=>(const Block&) const = default;
};

/// A BGP neighbour beside the mesh.
struct BgpNeighbor {
    Address address;
    std::uint32_t as = 0;
    std::vector<std::string> nodes;  ///< only on these nodes; empty: on every node
    std::string password;            ///< empty: none
    std::optional<std::uint8_t> multihop;
    std::uint16_t port = 179;
    bool bfd = false;
    bool next_hop_self = false;
    bool next_hop_keep = false;
    bool passive = false;

    bool operator==(const BgpNeighbor&) const = default;
};

struct BgpSettings {
    std::uint32_t local_as = 64512;
    bool mesh = true;
    std::uint16_t port = 179;
    std::string password;                                   ///< TCP-MD5 for the mesh; empty: none
    std::optional<std::uint16_t> graceful_restart_seconds;  ///< unset: BIRD's default, 120
    std::vector<BgpNeighbor> neighbors;                     ///< sorted by address

    bool operator==(const BgpSettings&) const = default;
};

struct VxlanSettings {
    std::uint32_t vni = 4096;
    std::uint16_t port = 4789;
    std::optional<std::uint32_t> mtu;  ///< of the IPv4 device; unset: from the underlay
    std::optional<std::uint32_t> mtu6;
    std::string device4 = "vxlan.calico";
    std::string device6 = "vxlan-v6.calico";

    bool operator==(const VxlanSettings&) const = default;
    const std::string& device(Family family) const { return family == Family::v4 ? device4 : device6; }
    std::optional<std::uint32_t> mtu_of(Family family) const { return family == Family::v4 ? mtu : mtu6; }
};

struct IpipSettings {
    std::string device = "tunl0";
    std::optional<std::uint32_t> mtu;

    bool operator==(const IpipSettings&) const = default;
};

struct Cluster {
    std::vector<Pool> pools;    ///< sorted by cidr, disjoint
    std::vector<Node> nodes;    ///< sorted by name, unique
    std::vector<Block> blocks;  ///< sorted by cidr, unique
    BgpSettings bgp;
    VxlanSettings vxlan;
    IpipSettings ipip;

    bool operator==(const Cluster&) const = default;

    /// The pool that holds this address or block; nullptr: none.
    const Pool* pool_of(const Prefix& cidr) const;
    /// nullptr: no such node.
    const Node* find_node(std::string_view name) const;
    /// The most specific block that holds `address`; nullptr: none.
    const Block* block_of(const Address& address) const;
};

/// Sorts what Cluster says is sorted.
void sort(Cluster& cluster);

/// Sorts, and derives the tunnel addresses.
void normalise(Cluster& cluster);

/// Fills in each node's default tunnel addresses: the first address of its first block (by prefix) that lies in a pool
/// of that encapsulation (host prefixes are no blocks in this sense), and the MACs of nodes that have a VTEP. The
/// cluster is sorted.
void derive_tunnel_addresses(Cluster& cluster);

/// The MAC that every Calico node derives for a VTEP: 66 and the first five bytes of SHA-1 of the node's name
/// (of the name with "-v6" appended for IPv6).
Mac vtep_mac(std::string_view node, Family family);

/// The router id that `router id hash` stands for: the first four bytes of SHA-256 of the node's name, 32 taken from
/// the first byte while it is over 223 (Calico's CALICO_ROUTER_ID=hash).
Address hashed_router_id(std::string_view node);

}  // namespace weft
