// Calico's resources, decoded: of each what routing and registration need, checked.
//
// Pure functions from JSON, in the form of Calico's v3 API (etcd, manifests) and, where that differs, of its CRDs, of
// the operator's Installation and of a Kubernetes Node's annotations. Unknown fields are ignored. What is wrong is
// reported by field, in Calico's own words where Calico rejects it too; what weft knows but does not do is reported as
// unsupported, so that nothing is silently other than written. Rules: Calico's api/pkg/apis/projectcalico/v3 and
// libcalico-go's validator and IPAM.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/cluster.hpp"
#include "conf/finding.hpp"
#include "conf/selector.hpp"

namespace weft {

/// An object's decoded form and what was found in it. Usable only without errors.
template <class T>
struct Decoded {
    T value{};
    std::vector<FieldTrouble> errors;
    std::vector<FieldTrouble> unsupported;  ///< understood, but weft does not do it; the rest of the object counts
    bool ok() const { return errors.empty(); }
};

struct IpPool {
    Pool pool;
    Selector nodes;         ///< which nodes may take blocks and addresses from it
    bool workloads = true;  ///< allowedUses
    bool tunnels = true;
    bool load_balancers = false;
    bool automatic = true;  ///< assignmentMode
    bool deleting = false;
    std::string created;  ///< RFC 3339, UTC: sorts as text

    bool operator==(const IpPool&) const = default;
    /// A pool of load balancers' addresses alone has no routes on nodes.
    bool routed() const { return workloads || tunnels; }
};

struct NodeResource {
    Node node;
    Labels labels;
    bool operator==(const NodeResource&) const = default;
};

/// A workload address that lives elsewhere than its block.
struct Borrowed {
    Address address;
    std::string node;
    bool operator==(const Borrowed&) const = default;
};

struct IpamBlock {
    Prefix cidr;
    std::string node;  ///< empty: affine to no node
    std::vector<Borrowed> borrowed;
    bool deleted = false;
    bool operator==(const IpamBlock&) const = default;
};

struct BlockAffinity {
    enum class State : std::uint8_t { confirmed, pending, pending_deletion };
    Prefix cidr;
    std::string node;
    State state = State::confirmed;
    bool of_host = true;  ///< false: virtual (load balancers)
    bool deleted = false;
    bool operator==(const BlockAffinity&) const = default;
};

struct BgpPeer {
    std::string node;               ///< the local side: this node alone; empty: `nodes`
    Selector nodes;                 ///< the local side
    std::optional<Address> peer;    ///< the remote side: an address, or
    std::optional<Selector> peers;  ///< nodes
    std::optional<std::uint16_t> port;
    std::optional<std::uint32_t> as;  ///< unset: the peer's own, when it is a node
    bool next_hop_self = false;
    bool next_hop_keep = false;
    bool reverse = true;  ///< the nodes chosen as remote side peer back
    bool operator==(const BgpPeer&) const = default;
};

/// What BGPConfiguration says; unset: nothing.
struct BgpConfiguration {
    std::optional<std::uint32_t> as;
    std::optional<bool> mesh;
    std::optional<std::uint16_t> port;
    std::optional<std::uint16_t> graceful_restart_seconds;
    bool operator==(const BgpConfiguration&) const = default;
};

/// What FelixConfiguration says about the overlay; unset: nothing. An MTU of 0 stands for `auto`.
struct FelixConfiguration {
    std::optional<std::uint32_t> vni;
    std::optional<std::uint16_t> vxlan_port;
    std::optional<std::uint32_t> vxlan_mtu;
    std::optional<std::uint32_t> vxlan_mtu6;
    std::optional<std::uint32_t> ipip_mtu;
    std::optional<bool> vxlan_enabled;
    std::optional<bool> ipip_enabled;
    bool operator==(const FelixConfiguration&) const = default;
};

struct ClusterInformation {
    bool datastore_ready = true;
    std::string guid;
    bool operator==(const ClusterInformation&) const = default;
};

/// The operator's Installation, spec.calicoNetwork.
struct Installation {
    std::vector<IpPool> pools;
    std::optional<Backend> backend;    ///< bgp: Enabled is bird, Disabled is vxlan
    std::optional<std::uint32_t> mtu;  ///< of every tunnel
    bool operator==(const Installation&) const = default;
};

/// An IPPool object; `metadata` is what only the whole object has.
Decoded<IpPool> decode_ip_pool(const nlohmann::json& object);
/// A Calico Node, or (apiVersion v1) a Kubernetes Node with Calico's annotations. `name`: what its key says.
Decoded<NodeResource> decode_node(const std::string& name, const nlohmann::json& object);
/// A block as etcd holds it; of a CRD its `spec`, with `path` "spec".
Decoded<IpamBlock> decode_block(const nlohmann::json& block, const std::string& path = {});
/// An affinity as etcd holds it: the key names node and block. null: confirmed.
Decoded<BlockAffinity> decode_affinity(const std::string& node, const Prefix& cidr, const nlohmann::json& value);
/// An affinity as a CRD.
Decoded<BlockAffinity> decode_block_affinity(const nlohmann::json& object);
Decoded<BgpPeer> decode_bgp_peer(const nlohmann::json& object);
/// Of `default`, or of `node.NAME`, where only few fields count.
Decoded<BgpConfiguration> decode_bgp_configuration(const std::string& name, const nlohmann::json& object);
Decoded<FelixConfiguration> decode_felix_configuration(const nlohmann::json& object);
Decoded<ClusterInformation> decode_cluster_information(const nlohmann::json& object);
Decoded<Installation> decode_installation(const nlohmann::json& object);
/// The ConfigMap calico-config's `calico_backend`. Any other word than bird, vxlan and none means bird, as Calico has
/// it, and is reported as unsupported.
Decoded<std::optional<Backend>> decode_calico_config(const nlohmann::json& object);

/// "1m30s", as Go writes durations; nullopt: no such text.
std::optional<std::uint32_t> parse_go_seconds(std::string_view text);

}  // namespace weft
