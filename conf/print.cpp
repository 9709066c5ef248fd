// The printer: a Config as text that reads back as the same Config. Settings that nobody set are left out.
#include <fmt/format.h>

#include "conf/config.hpp"

namespace weft {
namespace {

std::string yes(bool value) {
    return value ? "yes" : "no";
}

class Printer {
  public:
    explicit Printer(const Config& config) : config_(config) {}

    std::string run() {
        for (const LogTarget& target : config_.log) log(target);
        if (set(config_.hostname)) line("hostname \"{}\";", config_.hostname.value);
        if (set(config_.router_id)) router_id();
        if (set(config_.backend)) line("calico_backend {};", to_string(config_.backend.value));
        if (set(config_.source)) std::visit([this](const auto& source) { print(source); }, config_.source.value);
        if (set(config_.workload_interfaces)) {
            line("workload interface {};", quoted(config_.workload_interfaces.value));
        }
        if (set(config_.health)) {
            line("health {{ listen {} port {}; }}", to_string(config_.health.value.address), config_.health.value.port);
        }
        if (set(config_.control_socket)) line("control {{ socket \"{}\"; }}", config_.control_socket.value);
        if (set(config_.state_directory)) line("state directory \"{}\";", config_.state_directory.value);
        handover();
        bgp();
        vxlan();
        ipip();
        for (const auto& pool : config_.pools) print(pool.value);
        for (const auto& node : config_.nodes) print(node.value);
        return std::move(text_);
    }

  private:
    void handover() {
        std::string inner;
        const auto time = [&](std::string_view word, const Setting<std::chrono::seconds>& setting) {
            if (set(setting)) inner += fmt::format(" {} {};", word, setting.value.count());
        };
        time("prove", config_.handover_prove);
        time("quiet", config_.handover_quiet);
        time("at most", config_.handover_longest);
        if (!inner.empty()) line("handover {{{} }}", inner);
    }

    /// Environment and command line are written too: the text has to stand for the whole value.
    template <class T>
    static bool set(const Setting<T>& setting) {
        return setting.origin.kind != Origin::Kind::built_in;
    }
    template <class... Arguments>
    void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        text_ += fmt::format(format, std::forward<Arguments>(arguments)...) + "\n";
    }
    static std::string quoted(const std::vector<std::string>& strings) {
        return fmt::format("\"{}\"", fmt::join(strings, "\", \""));
    }

    void log(const LogTarget& target) {
        static constexpr std::array<const char*, 4> kNames{"debug", "info", "warning", "error"};
        std::vector<std::string> classes;
        for (const LogClass each : target.classes) classes.emplace_back(kNames.at(static_cast<std::size_t>(each)));
        const std::string where = target.kind == LogTarget::Kind::standard_error ? "stderr"
                                  : target.kind == LogTarget::Kind::syslog       ? "syslog"
                                                                                 : fmt::format("\"{}\"", target.file);
        line("log {} {{ {} }};", where, fmt::join(classes, ", "));
    }

    void router_id() {
        const RouterId& id = config_.router_id.value;
        if (std::holds_alternative<RouterIdHash>(id)) line("router id hash;");
        if (const auto* address = std::get_if<Address>(&id)) line("router id {};", to_string(*address));
    }

    void print(const StaticSource&) { line("source static;"); }
    void print(const DirectorySource& source) {
        if (source.hold == kDefaultHold) {
            line("source directory \"{}\";", source.path);
        } else {
            line("source directory \"{}\" {{ hold {} ms; }}", source.path, source.hold.count());
        }
    }
    void print(const EtcdSource& source) {
        line("source etcd {{");
        for (const std::string& endpoint : source.endpoints) line("    endpoint \"{}\";", endpoint);
        if (!source.ca.empty()) line("    ca \"{}\";", source.ca);
        if (!source.certificate.empty()) line("    certificate \"{}\";", source.certificate);
        if (!source.key.empty()) line("    key \"{}\";", source.key);
        if (!source.user.empty()) line("    user \"{}\";", source.user);
        if (!source.password.empty()) line("    password \"{}\";", source.password);
        if (source.hold != kDefaultHold) line("    hold {} ms;", source.hold.count());
        line("    register {};", yes(source.register_node));
        if (source.address) line("    address {};", to_string(*source.address));
        line("}}");
    }

    void bgp() {
        std::string body;
        std::swap(body, text_);
        if (set(config_.local_as)) line("    local as {};", config_.local_as.value);
        if (set(config_.mesh)) line("    mesh {};", yes(config_.mesh.value));
        if (set(config_.bgp_port)) line("    listen port {};", config_.bgp_port.value);
        if (set(config_.mesh_password)) line("    password \"{}\";", config_.mesh_password.value);
        if (config_.graceful_restart_seconds.value) {
            line("    graceful restart time {};", *config_.graceful_restart_seconds.value);
        }
        if (set(config_.bird_program)) line("    bird \"{}\";", config_.bird_program.value);
        if (set(config_.bird_socket)) line("    control socket \"{}\";", config_.bird_socket.value);
        if (set(config_.bird_spawn)) line("    spawn {};", yes(config_.bird_spawn.value));
        for (const auto& neighbor : config_.neighbors) print(neighbor.value);
        wrap(std::move(body), "protocol bgp");
    }
    void vxlan() {
        std::string body;
        std::swap(body, text_);
        if (set(config_.vni)) line("    id {};", config_.vni.value);
        if (set(config_.vxlan_port)) line("    port {};", config_.vxlan_port.value);
        if (set(config_.vxlan_mtu)) line("    mtu {};", mtu(config_.vxlan_mtu.value));
        if (set(config_.vxlan_mtu6)) line("    mtu6 {};", mtu(config_.vxlan_mtu6.value));
        if (set(config_.vxlan_device4)) line("    device \"{}\";", config_.vxlan_device4.value);
        if (set(config_.vxlan_device6)) line("    device6 \"{}\";", config_.vxlan_device6.value);
        wrap(std::move(body), "protocol vxlan");
    }
    void ipip() {
        std::string body;
        std::swap(body, text_);
        if (set(config_.ipip_device)) line("    device \"{}\";", config_.ipip_device.value);
        if (set(config_.ipip_mtu)) line("    mtu {};", mtu(config_.ipip_mtu.value));
        wrap(std::move(body), "protocol ipip");
    }
    static std::string mtu(std::optional<std::uint32_t> value) { return value ? std::to_string(*value) : "auto"; }
    /// Puts what was printed since `before` was set aside into a block, if it is anything.
    void wrap(std::string before, std::string_view head) {
        std::string inner = std::exchange(text_, std::move(before));
        if (!inner.empty()) text_ += fmt::format("{} {{\n{}}}\n", head, inner);
    }

    void print(const BgpNeighbor& neighbor) {
        line("    neighbor {} as {} {{", to_string(neighbor.address), neighbor.as);
        if (!neighbor.password.empty()) line("        password \"{}\";", neighbor.password);
        if (neighbor.multihop) line("        multihop {};", *neighbor.multihop);
        line("        port {};", neighbor.port);
        line("        bfd {};", yes(neighbor.bfd));
        if (neighbor.next_hop_self) line("        next hop self;");
        if (neighbor.next_hop_keep) line("        next hop keep;");
        line("        passive {};", yes(neighbor.passive));
        for (const std::string& node : neighbor.nodes) line("        node \"{}\";", node);
        line("    }}");
    }

    void print(const Pool& pool) {
        line("pool {} {{", to_string(pool.cidr));
        line("    ipip {};", to_string(pool.ipip));
        line("    vxlan {};", to_string(pool.vxlan));
        line("    block size {};", pool.block_size);
        line("    nat outgoing {};", yes(pool.nat_outgoing));
        line("    export {};", yes(pool.exported));
        line("    disabled {};", yes(pool.disabled));
        line("}}");
    }

    void print(const NodeStatement& stated) {
        const Node& node = stated.node;
        line("node \"{}\" {{", node.name);
        if (node.address4) line("    address {};", to_string(*node.address4));
        if (node.address6) line("    address {};", to_string(*node.address6));
        for (const auto& block : stated.blocks) line("    block {};", to_string(block.value));
        if (node.as) line("    as {};", *node.as);
        if (node.cluster_id) line("    route reflector cluster id {};", to_string(*node.cluster_id));
        if (node.vxlan4) line("    vxlan address {};", to_string(*node.vxlan4));
        if (node.vxlan6) line("    vxlan address {};", to_string(*node.vxlan6));
        if (node.mac4) line("    vxlan mac {};", to_string(*node.mac4));
        if (node.mac6) line("    vxlan mac6 {};", to_string(*node.mac6));
        if (node.bgp_port) line("    listen port {};", *node.bgp_port);
        if (node.ipip4) line("    ipip address {};", to_string(*node.ipip4));
        line("}}");
    }

    const Config& config_;
    std::string text_;
};

}  // namespace

std::string print(const Config& config) {
    return Printer(config).run();
}

}  // namespace weft
