#include "conf/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "conf/environment.hpp"
#include "conf/reader.hpp"
#include "conf/verify.hpp"

namespace weft {
namespace {

constexpr std::size_t kMostErrors = 20;

}  // namespace

Config default_config() {
    Config config;
    config.backend.value = Backend::bird;
    config.workload_interfaces.value = {"cali*", "weft*"};
    config.local_as.value = 64512;
    config.mesh.value = true;
    config.bgp_port.value = 179;
    config.bird_program.value = "/usr/sbin/bird";
    config.bird_socket.value = "/run/weft/bird.ctl";
    config.bird_spawn.value = true;
    config.vni.value = 4096;
    config.vxlan_port.value = 4789;
    config.vxlan_device4.value = "vxlan.calico";
    config.vxlan_device6.value = "vxlan-v6.calico";
    config.ipip_device.value = "tunl0";
    config.health.value = {.address = *parse_address("127.0.0.1"), .port = 9099};
    config.control_socket.value = "/run/weft/weft.ctl";
    config.state_directory.value = "/var/lib/weft";
    config.handover_prove.value = std::chrono::seconds(300);
    config.handover_quiet.value = std::chrono::seconds(30);
    config.handover_longest.value = std::chrono::seconds(900);
    return config;
}

namespace {

/// Diagnostics are logged, and passwords are not: what follows the word is starred out, as long as it is.
void hide_passwords(std::string& line) {
    static constexpr std::string_view kWord = "password";
    for (std::size_t at = 0; (at = line.find(kWord, at)) != std::string::npos;) {
        at += kWord.size();
        while (at < line.size() && line[at] == ' ') ++at;
        const bool quoted = at < line.size() && line[at] == '"';
        if (quoted) ++at;
        while (at < line.size() && line[at] != (quoted ? '"' : ';')) line[at++] = '*';
    }
}

/// Line `number` of `text`; long lines are cut, so that one line of a binary does not fill a terminal.
std::string line_of(std::string_view text, unsigned number) {
    for (unsigned line = 1; line < number; ++line) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    std::string line(text.substr(0, std::min<std::size_t>(text.find('\n'), 200)));
    hide_passwords(line);
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    return line;
}

Loaded finish(Config config, std::vector<Diagnostic> found, const syntax::Sources& sources,
              const Environment& environment) {
    const auto add = [&](std::vector<Diagnostic> more) {
        std::move(more.begin(), more.end(), std::back_inserter(found));
    };
    add(complete_config(config, environment));
    // Rules across statements would only repeat what already failed inside one.
    if (found.empty()) add(verify(config));
    std::stable_sort(found.begin(), found.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.place.file, a.place.line, a.place.column) <
               std::tie(b.place.file, b.place.line, b.place.column);
    });
    std::size_t errors = 0;
    std::erase_if(found, [&](const Diagnostic& diagnostic) {
        return diagnostic.severity == Severity::error && ++errors > kMostErrors;
    });
    for (Diagnostic& diagnostic : found) {
        const auto source = sources.find(diagnostic.place.file);
        if (source != sources.end() && diagnostic.place.line > 0) {
            diagnostic.line_text = line_of(source->second, diagnostic.place.line);
        }
    }
    return {.config = std::move(config), .diagnostics = std::move(found)};
}

}  // namespace

std::vector<Diagnostic> complete_config(Config& config, const Environment& environment) {
    if (config.log.empty()) {
        config.log.push_back({.kind = LogTarget::Kind::standard_error,
                              .file = {},
                              .classes = {LogClass::info, LogClass::warning, LogClass::error}});
    }
    return apply_environment(config, environment);
}

std::string to_string(const Place& place) {
    if (place.line == 0) return place.file;
    return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

std::string to_string(const Origin& origin) {
    switch (origin.kind) {
        case Origin::Kind::built_in:
            return "default";
        case Origin::Kind::environment:
            return fmt::format("environment {}", origin.variable);
        case Origin::Kind::file:
            return fmt::format("{}:{}", origin.place.file, origin.place.line);
        case Origin::Kind::source:
            return origin.variable;
        case Origin::Kind::command_line:
            break;
    }
    return "command line";
}

std::string to_string(const Diagnostic& diagnostic) {
    const char* const severity = diagnostic.severity == Severity::warning ? "warning: " : "";
    std::string text = fmt::format("{}: {}{}", to_string(diagnostic.place), severity, diagnostic.message);
    if (diagnostic.line_text.empty()) return text;
    text += fmt::format("\n    {}", diagnostic.line_text);
    if (diagnostic.place.column <= diagnostic.line_text.size() + 1) {
        text += fmt::format("\n    {:>{}}", "^", diagnostic.place.column);
    }
    return text;
}

bool Loaded::ok() const {
    return std::none_of(diagnostics.begin(), diagnostics.end(),
                        [](const Diagnostic& diagnostic) { return diagnostic.severity == Severity::error; });
}

Loaded load_config(const std::string& path, const Environment& environment) {
    Config config = default_config();
    syntax::Sources sources;
    syntax::Reader reader(config, sources);
    reader.read_file(path);
    return finish(std::move(config), reader.take_errors(), sources, environment);
}

Loaded load_config_text(std::string_view text, const std::string& name, const Environment& environment) {
    Config config = default_config();
    syntax::Sources sources;
    syntax::Reader reader(config, sources);
    reader.read_text(text, name);
    return finish(std::move(config), reader.take_errors(), sources, environment);
}

Loaded parse_config_text(std::string_view text, const std::string& name) {
    Config config = default_config();
    syntax::Sources sources;
    syntax::Reader reader(config, sources);
    reader.read_text(text, name);
    return {.config = std::move(config), .diagnostics = reader.take_errors()};
}

namespace {

/// `mtu` in the file is for both devices unless `mtu6` is stated; Calico's vxlanMTU is for IPv4's alone.
std::optional<std::uint32_t> mtu6_of(const Config& config) {
    const bool set = config.vxlan_mtu6.origin.kind != Origin::Kind::built_in;
    const bool shared = config.vxlan_mtu.origin.kind != Origin::Kind::source;
    return !set && shared ? config.vxlan_mtu.value : config.vxlan_mtu6.value;
}

Cluster settings_of(const Config& config) {
    Cluster cluster;
    cluster.bgp = {.local_as = config.local_as.value,
                   .mesh = config.mesh.value,
                   .port = config.bgp_port.value,
                   .password = config.mesh_password.value,
                   .graceful_restart_seconds = config.graceful_restart_seconds.value,
                   .neighbors = {}};
    for (const auto& neighbor : config.neighbors) cluster.bgp.neighbors.push_back(neighbor.value);
    cluster.vxlan = {.vni = config.vni.value,
                     .port = config.vxlan_port.value,
                     .mtu = config.vxlan_mtu.value,
                     .mtu6 = mtu6_of(config),
                     .device4 = config.vxlan_device4.value,
                     .device6 = config.vxlan_device6.value};
    cluster.ipip = {.device = config.ipip_device.value, .mtu = config.ipip_mtu.value};
    return cluster;
}

void add_stated(const Config& config, Cluster& cluster) {
    for (const auto& pool : config.pools) cluster.pools.push_back(pool.value);
    for (const auto& stated : config.nodes) {
        const auto index = static_cast<std::uint32_t>(cluster.nodes.size());
        cluster.nodes.push_back(stated.value.node);
        for (const auto& block : stated.value.blocks) cluster.blocks.push_back({.cidr = block.value, .node = index});
    }
}

}  // namespace

std::string to_string(const AddressMethod& method) {
    using Kind = AddressMethod::Kind;
    const auto quoted = [&] { return fmt::format("\"{}\"", fmt::join(method.patterns, "\", \"")); };
    std::vector<std::string> prefixes;
    switch (method.kind) {
        case Kind::first_found:
            return "auto";
        case Kind::interface:
            return "interface " + quoted();
        case Kind::skip_interface:
            return "skip interface " + quoted();
        case Kind::can_reach:
            return "can reach " + to_string(method.target);
        case Kind::cidr:
            for (const Prefix& prefix : method.prefixes) prefixes.push_back(to_string(prefix));
            return fmt::format("cidr {}", fmt::join(prefixes, ", "));
        case Kind::keep:
            return "as it is in the store";
        case Kind::fixed:
            break;
    }
    return to_string(method.address);
}

AddressMethod EtcdSource::method(Family family) const {
    if (address && address->kind == AddressMethod::Kind::fixed && address->address.address.family != family) return {};
    if (address) return *address;
    return (family == Family::v4 ? environment4 : environment6).value_or(AddressMethod{});
}

Cluster cluster_of(const Config& config) {
    Cluster cluster = settings_of(config);
    if (std::holds_alternative<StaticSource>(config.source.value)) add_stated(config, cluster);
    normalise(cluster);
    return cluster;
}

Cluster stated_cluster(const Config& config) {
    Cluster cluster = settings_of(config);
    add_stated(config, cluster);
    sort(cluster);
    return cluster;
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

}  // namespace weft
