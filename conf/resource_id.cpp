#include "conf/resource_id.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "conf/json.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestName = 253;  ///< of those that are good; a key may be of any length
constexpr std::string_view kResourceKeys = "/calico/resources/v3/projectcalico.org/";
constexpr std::string_view kBlockKeys = "/calico/ipam/v2/assignment/";
constexpr std::string_view kAffinityKeys = "/calico/ipam/v2/host/";

struct KindName {
    ResourceKind kind;
    std::string_view name;    ///< as a manifest has it
    std::string_view plural;  ///< as a key has it; empty: not under kResourceKeys
};
constexpr std::array<KindName, 10> kKinds{
    {{ResourceKind::ip_pool, "IPPool", "ippools"},
     {ResourceKind::node, "Node", "nodes"},
     {ResourceKind::block_affinity, "BlockAffinity", ""},
     {ResourceKind::ipam_block, "IPAMBlock", ""},
     {ResourceKind::bgp_peer, "BGPPeer", "bgppeers"},
     {ResourceKind::bgp_configuration, "BGPConfiguration", "bgpconfigurations"},
     {ResourceKind::felix_configuration, "FelixConfiguration", "felixconfigurations"},
     {ResourceKind::cluster_information, "ClusterInformation", "clusterinformations"},
     {ResourceKind::installation, "Installation", ""},
     {ResourceKind::calico_config, "ConfigMap", ""}}};

/// Whether an object of this API group and kind is one of ours: a Deployment's ConfigMap is not.
bool is_ours(std::string_view api, ResourceKind kind, std::string_view name) {
    const bool calico = api == "projectcalico.org/v3" || api == "crd.projectcalico.org/v1";
    switch (kind) {
        case ResourceKind::installation:
            return api == "operator.tigera.io/v1";
        case ResourceKind::calico_config:
            return api == "v1" && name == "calico-config";
        case ResourceKind::node:
            return calico || api == "v1";
        default:
            return calico;
    }
}

/// "ipv4/block/10.65.0.0-26"; the prefix as the key writes it.
std::optional<std::string> block_name(std::string_view rest) {
    for (const std::string_view family : {"ipv4/block/", "ipv6/block/"}) {
        if (rest.starts_with(family)) return std::string(rest.substr(family.size()));
    }
    return std::nullopt;
}

}  // namespace

const std::vector<ResourceKind>& resource_kinds() {
    static const std::vector<ResourceKind> kAll = [] {
        std::vector<ResourceKind> kinds;
        kinds.reserve(std::size(kKinds));
        for (const KindName& known : kKinds) kinds.push_back(known.kind);
        return kinds;
    }();
    return kAll;
}

std::string_view to_string(ResourceKind kind) {
    return kKinds.at(static_cast<std::size_t>(kind)).name;
}

std::string to_string(const ResourceId& id) {
    return fmt::format("{} {}", to_string(id.kind), shown(id.name, kLongestName));
}

std::optional<Prefix> parse_key_prefix(std::string_view text) {
    const std::size_t dash = text.rfind('-');
    if (dash == std::string_view::npos) return std::nullopt;
    return parse_prefix(fmt::format("{}/{}", text.substr(0, dash), text.substr(dash + 1)));
}

std::string key_prefix(const Prefix& prefix) {
    return fmt::format("{}-{}", to_string(prefix.address), prefix.length);
}

std::optional<ResourceId> id_of_key(std::string_view key) {
    if (key.starts_with(kResourceKeys)) {
        key.remove_prefix(kResourceKeys.size());
        const std::size_t slash = key.find('/');
        if (slash == std::string_view::npos) return std::nullopt;
        for (const KindName& known : kKinds) {
            if (!known.plural.empty() && known.plural == key.substr(0, slash)) {
                return ResourceId{.kind = known.kind, .name = std::string(key.substr(slash + 1))};
            }
        }
        return std::nullopt;
    }
    if (key.starts_with(kBlockKeys)) {
        auto name = block_name(key.substr(kBlockKeys.size()));
        if (!name) return std::nullopt;
        return ResourceId{.kind = ResourceKind::ipam_block, .name = *std::move(name)};
    }
    if (key.starts_with(kAffinityKeys)) {
        key.remove_prefix(kAffinityKeys.size());
        const std::size_t slash = key.find('/');
        if (slash == std::string_view::npos) return std::nullopt;
        const auto name = block_name(key.substr(slash + 1));
        if (!name) return std::nullopt;
        return ResourceId{.kind = ResourceKind::block_affinity,
                          .name = fmt::format("{}/{}", *name, key.substr(0, slash))};
    }
    return std::nullopt;
}

std::string key_of(const ResourceId& id) {
    return fmt::format("{}{}/{}", kResourceKeys, kKinds.at(static_cast<std::size_t>(id.kind)).plural, id.name);
}

std::optional<ResourceId> id_of_object(const json& object) {
    const std::string api = text_at(object, "apiVersion");
    const std::string kind = text_at(object, "kind");
    if (api.empty() || kind.empty()) return std::nullopt;
    const std::string name = text_at(member(object, "metadata"), "name");
    for (const KindName& known : kKinds) {
        if (known.name == kind && is_ours(api, known.kind, name)) return ResourceId{.kind = known.kind, .name = name};
    }
    return std::nullopt;
}

}  // namespace weft
