// Settings that a source says, beside pools, nodes and blocks, and how they combine with this node's own file.
//
// The file's own statement wins, then the environment, then what the source says, then the built-in default. A setting
// taken from the source remembers it (Origin::Kind::source), so that `weftctl show config` can tell.
#pragma once

#include <optional>
#include <string>

#include "conf/config.hpp"

namespace weft {

/// A value and where it was said: "FelixConfiguration default (felix.yaml:9)".
template <class T>
struct SaidAt {
    T value{};
    std::string place;
    bool operator==(const SaidAt&) const = default;
};
template <class T>
using Said = std::optional<SaidAt<T>>;

struct SharedSettings {
    Said<Backend> backend;  ///< the ConfigMap calico-config, or the operator's Installation
    Said<std::uint32_t> local_as;
    Said<bool> mesh;
    Said<std::uint16_t> bgp_port;
    Said<std::optional<std::uint16_t>> graceful_restart_seconds;
    Said<std::uint32_t> vni;
    Said<std::uint16_t> vxlan_port;
    Said<std::optional<std::uint32_t>> vxlan_mtu;
    Said<std::optional<std::uint32_t>> vxlan_mtu6;
    Said<std::optional<std::uint32_t>> ipip_mtu;

    bool operator==(const SharedSettings&) const = default;
};

/// Takes over what the source says where neither file nor environment has spoken, and forgets what it said before.
void apply_settings(Config& config, const SharedSettings& said);

/// What the node runs on: the source's pools, nodes, blocks and neighbours with the settings of `config`. The file's
/// neighbours stand before the source's of the same address.
Cluster combine(const Config& config, const Cluster& from_source);

}  // namespace weft
