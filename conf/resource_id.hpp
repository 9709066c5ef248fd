// Which object is which: by its key in etcd, and by what its manifest says.
#pragma once

#include <compare>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/address.hpp"

namespace weft {

enum class ResourceKind : std::uint8_t {
    ip_pool,
    node,
    block_affinity,
    ipam_block,
    bgp_peer,
    bgp_configuration,
    felix_configuration,
    cluster_information,
    installation,
    calico_config,
};
/// "IPPool", "BlockAffinity", ...; of calico_config "ConfigMap".
std::string_view to_string(ResourceKind kind);

/// A kind and a name, unique in a cluster. Blocks are named as in etcd: "10.65.0.0-26"; affinities "10.65.0.0-26/NODE".
struct ResourceId {
    ResourceKind kind = ResourceKind::ip_pool;
    std::string name;
    auto operator<=>(const ResourceId&) const = default;
};
/// "IPPool default-ipv4-ippool"
std::string to_string(const ResourceId& id);

/// All of them, in order.
const std::vector<ResourceKind>& resource_kinds();

/// What an etcd key holds; nullopt: nothing of ours. The keys are Calico's, under /calico/.
std::optional<ResourceId> id_of_key(std::string_view key);
/// The key of an object that lies under its kind's name, in Calico's v3 API: all but blocks, affinities, and what no
/// store has. An empty name: what such keys begin with.
std::string key_of(const ResourceId& id);
/// What a manifest holds, by apiVersion, kind and metadata.name; nullopt: nothing of ours.
std::optional<ResourceId> id_of_object(const nlohmann::json& object);
/// "10.65.0.0-26", "fd00:65::-122"; nullopt: no such text.
std::optional<Prefix> parse_key_prefix(std::string_view text);
std::string key_prefix(const Prefix& prefix);

}  // namespace weft
