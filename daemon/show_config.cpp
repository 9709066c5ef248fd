// show config: every effective value, in the language's own words, and where it came from.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/show.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

std::string_view yes(bool value) {
    return value ? "yes" : "no";
}

std::string quoted(const std::vector<std::string>& strings) {
    return fmt::format("\"{}\"", fmt::join(strings, "\", \""));
}

/// Of one length for all: not even that of the password is told.
std::string starred(const std::string& password) {
    return password.empty() ? "" : "********";
}

template <class Number>
std::string number_or(const std::optional<Number>& value, std::string_view otherwise) {
    return value ? std::to_string(*value) : std::string(otherwise);
}

std::string target_text(const LogTarget& target) {
    static constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};
    std::vector<std::string_view> classes;
    for (const LogClass each : target.classes) classes.push_back(kNames.at(static_cast<std::size_t>(each)));
    const std::string where = target.kind == LogTarget::Kind::standard_error ? "stderr"
                              : target.kind == LogTarget::Kind::syslog       ? "syslog"
                                                                             : '"' + target.file + '"';
    return fmt::format("{} {{ {} }}", where, fmt::join(classes, ", "));
}

std::string router_id_text(const RouterId& id) {
    if (std::holds_alternative<RouterIdHash>(id)) return "hash";
    const auto* const address = std::get_if<Address>(&id);
    return address != nullptr ? to_string(*address) : "the node's IPv4 address";
}

std::string pool_text(const Pool& pool) {
    return fmt::format("ipip {}, vxlan {}, block size {}, nat outgoing {}, export {}, disabled {}",
                       to_string(pool.ipip), to_string(pool.vxlan), pool.block_size, yes(pool.nat_outgoing),
                       yes(pool.exported), yes(pool.disabled));
}

std::string node_text(const NodeStatement& stated) {
    const Node& node = stated.node;
    std::string text;
    const auto add = [&](std::string_view word, const std::string& value) {
        fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", word, value);
    };
    if (node.address4) add("address", to_string(*node.address4));
    if (node.address6) add("address", to_string(*node.address6));
    if (node.as) add("as", std::to_string(*node.as));
    if (node.cluster_id) add("route reflector cluster id", to_string(*node.cluster_id));
    for (const auto& address : {node.vxlan4, node.vxlan6}) {
        if (address) add("vxlan address", to_string(*address));
    }
    if (node.mac4) add("vxlan mac", to_string(*node.mac4));
    if (node.ipip4) add("ipip address", to_string(*node.ipip4));
    add("blocks:", std::to_string(stated.blocks.size()));
    return text;
}

std::string neighbor_text(const BgpNeighbor& neighbor) {
    std::string text = fmt::format("as {}, port {}, bfd {}, passive {}", neighbor.as, neighbor.port, yes(neighbor.bfd),
                                   yes(neighbor.passive));
    if (neighbor.multihop) text += fmt::format(", multihop {}", *neighbor.multihop);
    if (neighbor.next_hop_self) text += ", next hop self";
    if (neighbor.next_hop_keep) text += ", next hop keep";
    if (!neighbor.password.empty()) text += ", password " + starred(neighbor.password);
    if (!neighbor.nodes.empty()) text += ", node " + quoted(neighbor.nodes);
    return text;
}

class Settings {
  public:
    explicit Settings(const State& state) : state_(state) {}

    std::vector<Row> rows() {
        general();
        source();
        bgp();
        tunnels();
        for (const auto& pool : state_.config.pools) {
            stated("pool " + to_string(pool.value.cidr), pool_text(pool.value), pool.place);
        }
        for (const auto& node : state_.config.nodes) {
            stated(fmt::format("node \"{}\"", node.value.node.name), node_text(node.value), node.place);
        }
        return std::move(rows_);
    }

  private:
    void add(std::string_view name, std::string_view value, const std::string& origin) {
        rows_.push_back({cell(name), cell(value), cell(origin)});
    }
    template <class T>
    void add(std::string_view name, std::string_view value, const Setting<T>& setting) {
        add(name, value, to_string(setting.origin));
    }
    void stated(const std::string& name, const std::string& value, const Place& place) {
        // What the environment says has a variable instead of a line.
        add(name, value, place.line == 0 ? place.file : fmt::format("{}:{}", place.file, place.line));
    }

    void general() {
        const Config& config = state_.config;
        for (const LogTarget& target : config.log) {
            const LogTarget built_in{.kind = LogTarget::Kind::standard_error,
                                     .file = {},
                                     .classes = {LogClass::info, LogClass::warning, LogClass::error}};
            add("log", target_text(target), config.log == std::vector{built_in} ? "default" : state_.config_file);
        }
        add("hostname", config.hostname.value, config.hostname);
        add("router id", router_id_text(config.router_id.value), config.router_id);
        add("calico_backend", to_string(config.backend.value), config.backend);
        add("workload interface", quoted(config.workload_interfaces.value), config.workload_interfaces);
        const Endpoint& health = config.health.value;
        add("health listen", fmt::format("{} port {}", to_string(health.address), health.port), config.health);
        add("control socket", config.control_socket.value, config.control_socket);
        const auto seconds = [](std::chrono::seconds time) { return fmt::format("{} s", time.count()); };
        add("handover prove", seconds(config.handover_prove.value), config.handover_prove);
        add("handover quiet", seconds(config.handover_quiet.value), config.handover_quiet);
        add("handover at most", seconds(config.handover_longest.value), config.handover_longest);
        add("state directory", config.state_directory.value, config.state_directory);
    }

    void source() {
        const auto& setting = state_.config.source;
        if (std::holds_alternative<StaticSource>(setting.value)) add("source", "static", setting);
        if (const auto* directory = std::get_if<DirectorySource>(&setting.value)) {
            add("source", fmt::format("directory \"{}\"", directory->path), setting);
        }
        const auto* const etcd = std::get_if<EtcdSource>(&setting.value);
        if (etcd == nullptr) return;
        add("source", "etcd", setting);
        add("source etcd endpoint", quoted(etcd->endpoints), setting);
        add("source etcd ca", etcd->ca, setting);
        add("source etcd certificate", etcd->certificate, setting);
        add("source etcd key", etcd->key, setting);
        add("source etcd user", etcd->user, setting);
        add("source etcd password", starred(etcd->password), setting);
        add("source etcd register", yes(etcd->register_node), setting);
        add("source etcd address", to_string(etcd->method(Family::v4)), setting);
        if (etcd->method(Family::v6) != etcd->method(Family::v4)) {
            add("source etcd address (IPv6)", to_string(etcd->method(Family::v6)), setting);
        }
    }

    void bgp() {
        const Config& config = state_.config;
        add("protocol bgp local as", std::to_string(config.local_as.value), config.local_as);
        add("protocol bgp mesh", yes(config.mesh.value), config.mesh);
        add("protocol bgp listen port", std::to_string(config.bgp_port.value), config.bgp_port);
        add("protocol bgp password", starred(config.mesh_password.value), config.mesh_password);
        add("protocol bgp graceful restart time", number_or(config.graceful_restart_seconds.value, "BIRD's own"),
            config.graceful_restart_seconds);
        add("protocol bgp bird", config.bird_program.value, config.bird_program);
        add("protocol bgp control socket", config.bird_socket.value, config.bird_socket);
        add("protocol bgp spawn", yes(config.bird_spawn.value), config.bird_spawn);
        for (const auto& neighbor : config.neighbors) {
            stated("protocol bgp neighbor " + to_string(neighbor.value.address), neighbor_text(neighbor.value),
                   neighbor.place);
        }
    }

    void tunnels() {
        const Config& config = state_.config;
        add("protocol vxlan id", std::to_string(config.vni.value), config.vni);
        add("protocol vxlan port", std::to_string(config.vxlan_port.value), config.vxlan_port);
        add("protocol vxlan mtu", number_or(config.vxlan_mtu.value, "auto"), config.vxlan_mtu);
        add("protocol vxlan device", config.vxlan_device4.value, config.vxlan_device4);
        add("protocol vxlan device6", config.vxlan_device6.value, config.vxlan_device6);
        add("protocol ipip device", config.ipip_device.value, config.ipip_device);
        add("protocol ipip mtu", number_or(config.ipip_mtu.value, "auto"), config.ipip_mtu);
    }

    const State& state_;
    std::vector<Row> rows_;
};

}  // namespace

Reply show_config(const State& state, bool json) {
    return table({{"Setting", "setting", 34}, {"Value", "value", 36}, {"From", "origin"}}, Settings(state).rows(), json,
                 {code::kOk, ""});
}

}  // namespace weft
