// weft.conf as a value: what was said, where it was said, and what follows for this node.
//
//   text --parse--> Config --verify--> Config + warnings --cluster_of--> Cluster
//
// `parse` knows the language, one statement at a time (conf/grammar, PEGTL). `verify` holds the rules across
// statements. The environment (Calico's variables) fills in what the file does not say. Each setting remembers its
// origin, so that `weftctl show config` can tell where a value came from and errors can name two places.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "conf/cluster.hpp"
#include "conf/result.hpp"

namespace weft {

/// A place in a file: 1-based line and column. Line 0: no place (a default, the environment).
struct Place {
    std::string file;
    unsigned line = 0;
    unsigned column = 0;
    bool operator==(const Place&) const = default;
};
/// "weft.conf:3:7"
std::string to_string(const Place& place);

struct Origin {
    enum class Kind : std::uint8_t { built_in, environment, file, command_line, source };
    Kind kind = Kind::built_in;
    Place place;           ///< of Kind::file
    std::string variable;  ///< of Kind::environment: its name; of Kind::source: the object that says it
};
/// "default", "environment NODENAME", "weft.conf:3", "command line", "FelixConfiguration default (felix.yaml:1)"
std::string to_string(const Origin& origin);

/// A value and where it came from; equality is the value's.
template <class T>
struct Setting {
    T value{};
    Origin origin;
    bool operator==(const Setting& other) const { return value == other.value; }
};

enum class LogClass : std::uint8_t { debug, info, warning, error };

struct LogTarget {
    enum class Kind : std::uint8_t { standard_error, syslog, file };
    Kind kind = Kind::standard_error;
    std::string file;
    std::vector<LogClass> classes;  ///< sorted, unique
    bool operator==(const LogTarget&) const = default;
};

/// Where the router id comes from: the node's IPv4 address, its name's hash, or as written.
struct RouterIdFromAddress {
    bool operator==(const RouterIdFromAddress&) const = default;
};
struct RouterIdHash {
    bool operator==(const RouterIdHash&) const = default;
};
using RouterId = std::variant<RouterIdFromAddress, RouterIdHash, Address>;

struct StaticSource {
    bool operator==(const StaticSource&) const = default;
};
/// How long a cluster that lacks most nodes, pools or blocks is held before it is followed.
inline constexpr std::chrono::milliseconds kDefaultHold = std::chrono::minutes(5);

struct DirectorySource {
    std::string path;
    std::chrono::milliseconds hold = kDefaultHold;  ///< 0: nothing is held
    bool operator==(const DirectorySource&) const = default;
};

/// How a node that registers itself finds its own address: Calico's IP_AUTODETECTION_METHOD, in words.
struct AddressMethod {
    enum class Kind : std::uint8_t {
        first_found,
        interface,
        skip_interface,
        can_reach,
        cidr,
        fixed,
        keep,  ///< the environment's IP=none: what the store has stays
    };
    Kind kind = Kind::first_found;
    std::vector<std::string> patterns{};  ///< of interface and skip_interface: shell patterns
    bool regular_expressions = false;     ///< ... or, from the environment, regular expressions
    Address target{};                     ///< of can_reach
    std::vector<Prefix> prefixes{};       ///< of cidr
    InterfaceAddress address{};           ///< of fixed
    bool operator==(const AddressMethod&) const = default;
};

/// In the words of weft.conf: "interface \"eth*\"".
std::string to_string(const AddressMethod& method);

struct EtcdSource {
    std::vector<std::string> endpoints;
    std::string ca, certificate, key, user, password;
    bool register_node = false;
    std::optional<AddressMethod> address;  ///< as the file states it
    std::optional<AddressMethod> environment4, environment6;
    std::chrono::milliseconds hold = kDefaultHold;
    bool operator==(const EtcdSource&) const = default;
    /// How this node finds its address of a family: as the file says, else as the environment does, else the first
    /// found.
    AddressMethod method(Family family) const;
};
using Source = std::variant<StaticSource, DirectorySource, EtcdSource>;

struct Endpoint {
    Address address;
    std::uint16_t port = 0;
    bool operator==(const Endpoint&) const = default;
};

/// A statement about a pool or a node, and where it stands.
template <class T>
struct Stated {
    T value;
    Place place;
    bool operator==(const Stated& other) const { return value == other.value; }
};

/// A node as written: its blocks are still with it.
struct NodeStatement {
    Node node;
    std::vector<Stated<Prefix>> blocks;
    bool operator==(const NodeStatement&) const = default;
};

/// The whole file (and its includes), environment and defaults applied.
struct Config {
    std::vector<LogTarget> log;  ///< never empty after loading
    Setting<std::string> hostname;
    Setting<RouterId> router_id;
    Setting<Backend> backend;
    Setting<Source> source;
    std::vector<Stated<Pool>> pools;           ///< in file order
    std::vector<Stated<NodeStatement>> nodes;  ///< in file order
    Setting<std::vector<std::string>> workload_interfaces;
    Setting<std::uint32_t> local_as;
    Setting<bool> mesh;
    Setting<std::uint16_t> bgp_port;
    Setting<std::string> mesh_password;
    Setting<std::optional<std::uint16_t>> graceful_restart_seconds;
    std::vector<Stated<BgpNeighbor>> neighbors;
    Setting<std::string> bird_program;
    Setting<std::string> bird_socket;
    Setting<bool> bird_spawn;
    Setting<std::uint32_t> vni;
    Setting<std::uint16_t> vxlan_port;
    Setting<std::optional<std::uint32_t>> vxlan_mtu;
    Setting<std::optional<std::uint32_t>> vxlan_mtu6;  ///< where nobody set it: vxlan_mtu, if the file sets that
    Setting<std::string> vxlan_device4;
    Setting<std::string> vxlan_device6;
    Setting<std::string> ipip_device;
    Setting<std::optional<std::uint32_t>> ipip_mtu;
    Setting<Endpoint> health;
    Setting<std::string> control_socket;
    Setting<std::string> state_directory;
    Setting<std::chrono::seconds> handover_prove;    ///< so long a node's answer is waited for
    Setting<std::chrono::seconds> handover_quiet;    ///< so long nothing has come in through a device that goes
    Setting<std::chrono::seconds> handover_longest;  ///< so long it stays at most once nothing is sent through it

    bool operator==(const Config&) const = default;
};

enum class Severity : std::uint8_t { warning, error };

/// One thing wrong with a file: its place, what is wrong, and what to do. `line_text` is the line it stands in.
struct Diagnostic {
    Severity severity = Severity::error;
    Place place;
    std::string message;
    std::string line_text;
    bool operator==(const Diagnostic&) const = default;
};
/// "file:line:column: message", then the line and a caret under the column; warnings say "warning: " before the
/// message.
std::string to_string(const Diagnostic& diagnostic);

/// The environment: a name's value, or nullopt. `process_environment()` is getenv.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

struct Loaded {
    Config config;
    std::vector<Diagnostic> diagnostics;  ///< errors (at most 20) and warnings, in file order
    bool ok() const;                      ///< no errors
};

/// What holds where nobody says anything; host name and log are still empty.
Config default_config();

/// Reads, parses and verifies `path` and all it includes. Never throws for what a file may hold.
Loaded load_config(const std::string& path, const Environment& environment);
/// The same for text that stands in no file; `name` is what its places say, includes are relative to the working
/// directory.
Loaded load_config_text(std::string_view text, const std::string& name, const Environment& environment);

/// Fills in what the environment says, and the defaults of what is never empty. Errors are those of the environment.
std::vector<Diagnostic> complete_config(Config& config, const Environment& environment);

/// Only reads: no environment, no rules across statements. For text that weftd itself has written.
Loaded parse_config_text(std::string_view text, const std::string& name);

/// Writes a config so that reading it gives an equal one. Passwords are written as they are.
std::string print(const Config& config);

/// What a static source says: pools, nodes and blocks of the file, and the settings all sources share. With another
/// source pools, nodes and blocks are empty and come from there.
Cluster cluster_of(const Config& config);

/// The pools, nodes and blocks that are stated, whatever the source, with the settings; nothing is derived.
Cluster stated_cluster(const Config& config);

/// True for a name that a shell pattern of `workload interface` takes in (fnmatch(3) without flags).
bool matches_any(const std::vector<std::string>& patterns, const std::string& name);

}  // namespace weft
