#include "conf/settings.hpp"

#include <algorithm>

namespace weft {
namespace {

template <class T>
void apply(Setting<T>& setting, const Said<T>& said, const T& built_in) {
    using Kind = Origin::Kind;
    if (setting.origin.kind != Kind::built_in && setting.origin.kind != Kind::source) return;
    setting.value = said ? said->value : built_in;
    setting.origin = {.kind = said ? Kind::source : Kind::built_in, .place = {}, .variable = said ? said->place : ""};
}

}  // namespace

void apply_settings(Config& config, const SharedSettings& said) {
    static const Config kBuiltIn = default_config();
    apply(config.backend, said.backend, kBuiltIn.backend.value);
    apply(config.local_as, said.local_as, kBuiltIn.local_as.value);
    apply(config.mesh, said.mesh, kBuiltIn.mesh.value);
    apply(config.bgp_port, said.bgp_port, kBuiltIn.bgp_port.value);
    apply(config.graceful_restart_seconds, said.graceful_restart_seconds, kBuiltIn.graceful_restart_seconds.value);
    apply(config.vni, said.vni, kBuiltIn.vni.value);
    apply(config.vxlan_port, said.vxlan_port, kBuiltIn.vxlan_port.value);
    apply(config.vxlan_mtu, said.vxlan_mtu, kBuiltIn.vxlan_mtu.value);
    apply(config.vxlan_mtu6, said.vxlan_mtu6, kBuiltIn.vxlan_mtu6.value);
    apply(config.ipip_mtu, said.ipip_mtu, kBuiltIn.ipip_mtu.value);
}

Cluster combine(const Config& config, const Cluster& from_source) {
    Cluster cluster = cluster_of(config);  // the settings, and the file's own neighbours
    cluster.pools = from_source.pools;
    cluster.nodes = from_source.nodes;
    cluster.blocks = from_source.blocks;
    auto& neighbors = cluster.bgp.neighbors;
    const std::size_t own = neighbors.size();
    for (BgpNeighbor neighbor : from_source.bgp.neighbors) {
        const bool stated = std::any_of(
            neighbors.begin(), neighbors.begin() + static_cast<std::ptrdiff_t>(own),
            [&](const BgpNeighbor& other) { return other.address == neighbor.address && other.nodes.empty(); });
        if (stated) continue;
        if (neighbor.as == 0) neighbor.as = cluster.bgp.local_as;
        if (neighbor.port == 0) neighbor.port = cluster.bgp.port;
        neighbors.push_back(std::move(neighbor));
    }
    std::stable_sort(neighbors.begin(), neighbors.end(),
                     [](const BgpNeighbor& a, const BgpNeighbor& b) { return a.address < b.address; });
    return cluster;
}

}  // namespace weft
