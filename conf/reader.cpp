#include "conf/reader.hpp"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "conf/checks.hpp"

namespace weft::syntax {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDeepestInclude = 8;
constexpr std::uintmax_t kLargestFile = 64U << 20U;

template <class T>
void set(Setting<T>& setting, T value, const Place& place) {
    setting.value = std::move(value);
    setting.origin = {.kind = Origin::Kind::file, .place = place, .variable = {}};
}

Result<std::string> slurp(const std::string& path) {
    std::error_code failure;
    const fs::file_status status = fs::status(path, failure);
    if (!fs::exists(status)) return Error{fmt::format("{}: no such file", path)};
    if (fs::is_directory(status)) return Error{fmt::format("{} is a directory, not a file", path)};
    const std::uintmax_t size = fs::is_regular_file(status) ? fs::file_size(path, failure) : 0;
    if (size > kLargestFile) {
        return Error{fmt::format("{} has {} bytes, at most {} are read", path, size, kLargestFile)};
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    if (!in || (size > 0 && !(text << in.rdbuf()))) {
        return Error{fmt::format("{}: cannot be read; look at its owner and mode", path)};
    }
    return text.str();
}

bool has_wildcard(const std::string& pattern) {
    return pattern.find_first_of("*?[") != std::string::npos;
}

std::vector<std::string> expand(const std::string& pattern) {
    if (!has_wildcard(pattern)) return {pattern};
    glob_t found{};
    std::vector<std::string> paths;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    }
    globfree(&found);
    return paths;
}

Encapsulate encapsulate(Words& words) {
    const std::string word = words.one_of({"always", "cross", "never"});
    if (word == "cross") words.expect("subnet");
    return word == "always" ? Encapsulate::always : word == "cross" ? Encapsulate::cross_subnet : Encapsulate::never;
}

std::optional<std::uint32_t> mtu(Words& words) {
    if (words.accept("auto")) return std::nullopt;
    return words.number("'auto' or an MTU", 68, 65535);
}

}  // namespace

void Reader::wrong(Place place, std::string message) {
    errors_.push_back(
        {.severity = Severity::error, .place = std::move(place), .message = std::move(message), .line_text = {}});
}

void Reader::read_file(const std::string& path) {
    auto text = slurp(path);
    if (!text) {
        wrong({.file = path, .line = 0, .column = 0}, text.error().message);
        return;
    }
    including_.push_back(fs::weakly_canonical(path).string());
    read_text(*text, path);
    including_.pop_back();
}

void Reader::read_text(std::string_view text, const std::string& name) {
    sources_.emplace(name, text);
    Parsed parsed = parse(text, name);
    std::move(parsed.errors.begin(), parsed.errors.end(), std::back_inserter(errors_));
    const Keywords& keywords = top_keywords();
    for (const Statement& statement : parsed.statements) one(statement, "this file", keywords, seen_);
}

void Reader::statements(const std::vector<Statement>& all, std::string_view where, const Keywords& keywords) {
    std::map<std::string_view, Place> seen;
    for (const Statement& statement : all) one(statement, where, keywords, seen);
}

void Reader::one(const Statement& statement, std::string_view where, const Keywords& keywords,
                 std::map<std::string_view, Place>& seen) {
    const Token& first = statement.words.front();
    const auto keyword = std::find_if(keywords.begin(), keywords.end(), [&](const Keyword& candidate) {
        return first.kind == Token::Kind::word && candidate.word == first.text;
    });
    try {
        if (keyword == keywords.end()) {
            std::vector<std::string_view> candidates;
            for (const Keyword& candidate : keywords) candidates.push_back(candidate.word);
            const std::string shown = first.text.size() > 60 ? first.text.substr(0, 57) + "..." : first.text;
            throw Wrong{first.place, fmt::format("'{}' is no statement of {}{}: expected {}", shown, where,
                                                 suggestion(first.text, candidates), enumerate(candidates))};
        }
        if (statement.has_block && !keyword->has_block) {
            throw Wrong{statement.end, fmt::format("'{}' has no block: expected ';'", keyword->word)};
        }
        if (!keyword->repeats) {
            const auto [before, fresh] = seen.emplace(keyword->word, first.place);
            if (!fresh) {
                throw Wrong{first.place,
                            fmt::format("a second '{}'; the first is at {}", keyword->word, to_string(before->second))};
            }
        }
        Words words(statement, defines_);
        words.expect(keyword->word);
        keyword->read(words, statement);
        words.end();
    } catch (const Wrong& failure) {
        wrong(failure.place, failure.message);
    }
}

const Reader::Keywords& Reader::top_keywords() {
    if (!top_.empty()) return top_;
    const auto need_block = [](const Statement& statement) {
        if (!statement.has_block) throw Wrong{statement.end, "expected '{' here"};
    };
    top_ = {
        {"include", true, false, [this](Words& words, const Statement&) { include(words); }},
        {"define", true, false, [this](Words& words, const Statement&) { define(words); }},
        {"log", true, false, [this](Words& words, const Statement&) { log(words); }},
        {"hostname", false, false,
         [this](Words& words, const Statement&) {
             const Place place = words.place();
             const std::string name = words.string("the node's name in quotes");
             require(check_node_name(name), place);
             set(config_.hostname, name, place);
         }},
        {"router", false, false, [this](Words& words, const Statement&) { router_id(words); }},
        {"calico_backend", false, false,
         [this](Words& words, const Statement&) {
             const Place place = words.place();
             const std::string mode = words.one_of({"bird", "vxlan", "none"});
             set(config_.backend,
                 mode == "bird"    ? Backend::bird
                 : mode == "vxlan" ? Backend::vxlan
                                   : Backend::none,
                 place);
         }},
        {"source", false, true, [this](Words& words, const Statement& statement) { source(words, statement); }},
        {"pool", true, true,
         [this, need_block](Words& words, const Statement& statement) {
             need_block(statement);
             pool(words, statement);
         }},
        {"node", true, true,
         [this, need_block](Words& words, const Statement& statement) {
             need_block(statement);
             node(words, statement);
         }},
        {"workload", false, false,
         [this](Words& words, const Statement&) {
             words.expect("interface");
             const Place place = words.place();
             std::vector<std::string> patterns;
             do {
                 const Place at = words.place();
                 patterns.push_back(words.string("an interface pattern in quotes"));
                 require(check_interface_pattern(patterns.back()), at);
             } while (words.accept_comma());
             set(config_.workload_interfaces, std::move(patterns), place);
         }},
        {"protocol", true, true,
         [this, need_block](Words& words, const Statement& statement) {
             need_block(statement);
             protocol(words, statement);
         }},
        {"health", false, true,
         [this, need_block](Words& words, const Statement& statement) {
             words.end();
             need_block(statement);
             statements(statement.block, "health",
                        {{"listen", false, false, [this](Words& listen, const Statement&) {
                              const Place place = listen.place();
                              Endpoint endpoint;
                              endpoint.address = listen.address("an IP address to listen on");
                              listen.expect("port");
                              endpoint.port = static_cast<std::uint16_t>(listen.number("a port", 1, 65535));
                              set(config_.health, endpoint, place);
                          }}});
         }},
        {"control", false, true,
         [this, need_block](Words& words, const Statement& statement) {
             words.end();
             need_block(statement);
             statements(statement.block, "control", {{"socket", false, false, [this](Words& socket, const Statement&) {
                                                          const Place place = socket.place();
                                                          const std::string path =
                                                              socket.string("the socket's path in quotes");
                                                          require(check_socket_path(path), place);
                                                          set(config_.control_socket, path, place);
                                                      }}});
         }},
        {"handover", false, true,
         [this, need_block](Words& words, const Statement& statement) {
             words.end();
             need_block(statement);
             handover(statement);
         }},
        {"state", false, false,
         [this](Words& words, const Statement&) {
             words.expect("directory");
             const Place place = words.place();
             const std::string path = words.string("the directory's path in quotes");
             require(check_path(path), place);
             set(config_.state_directory, path, place);
         }},
    };
    return top_;
}

void Reader::handover(const Statement& statement) {
    const auto time = [](Setting<std::chrono::seconds>& setting) {
        return [&setting](Words& in, const Statement&) {
            const Place at = in.place();
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(in.duration("a time in seconds"));
            if (seconds > std::chrono::hours(24)) throw Wrong{at, "a handover takes at most 24 hours: 86400"};
            set(setting, seconds, at);
        };
    };
    statements(statement.block, "handover",
               {{"prove", false, false, time(config_.handover_prove)},
                {"quiet", false, false, time(config_.handover_quiet)},
                {"at", false, false, [this, time](Words& in, const Statement& inner) {
                     in.expect("most");
                     time(config_.handover_longest)(in, inner);
                 }}});
}

void Reader::include(Words& words) {
    const Place place = words.place();
    const std::string pattern = words.string("a file name in quotes");
    words.end();
    if (including_.size() >= kDeepestInclude) {
        throw Wrong{place, fmt::format("files are included more than {} deep", kDeepestInclude)};
    }
    const fs::path base = fs::path(place.file).parent_path();
    const std::string full = pattern.starts_with('/') ? pattern : (base / pattern).string();
    for (const std::string& path : expand(full)) {
        if (std::find(including_.begin(), including_.end(), fs::weakly_canonical(path).string()) != including_.end()) {
            throw Wrong{place, fmt::format("{} includes itself", path)};
        }
        if (const auto text = slurp(path); !text) throw Wrong{place, text.error().message};
        read_file(path);
    }
}

void Reader::define(Words& words) {
    const Place place = words.place();
    const std::string name = words.identifier("a name for the constant");
    words.expect("=");
    const Token value = words.literal();
    const auto [before, fresh] = defined_at_.emplace(name, place);
    if (!fresh) {
        throw Wrong{place,
                    fmt::format("a second definition of '{}'; the first is at {}", name, to_string(before->second))};
    }
    defines_.emplace(name, value);
}

void Reader::log(Words& words) {
    LogTarget target;
    const Place place = words.place();
    if (words.accept("stderr")) {
        target.kind = LogTarget::Kind::standard_error;
    } else if (words.accept("syslog")) {
        target.kind = LogTarget::Kind::syslog;
    } else {
        target.kind = LogTarget::Kind::file;
        target.file = words.string("'stderr', 'syslog' or a file name in quotes");
        require(check_path(target.file), place);
    }
    const std::vector<std::string_view> names{"debug", "info", "warning", "error"};
    if (words.accept("all")) {
        target.classes = {LogClass::debug, LogClass::info, LogClass::warning, LogClass::error};
    } else {
        words.expect("{");
        do {
            const std::string name = words.one_of(names);
            target.classes.push_back(
                static_cast<LogClass>(std::find(names.begin(), names.end(), name) - names.begin()));
        } while (words.accept_comma());
        words.expect("}");
    }
    std::sort(target.classes.begin(), target.classes.end());
    target.classes.erase(std::unique(target.classes.begin(), target.classes.end()), target.classes.end());
    config_.log.push_back(std::move(target));
}

void Reader::router_id(Words& words) {
    words.expect("id");
    const Place place = words.place();
    if (words.accept("hash")) {
        set(config_.router_id, RouterId(RouterIdHash{}), place);
        return;
    }
    const Address address = words.address("'hash' or an IPv4 address");
    if (address.family != Family::v4 || address.is_unspecified()) {
        throw Wrong{place, "a router id is an IPv4 address other than 0.0.0.0"};
    }
    set(config_.router_id, RouterId(address), place);
}

void Reader::pool(Words& words, const Statement& statement) {
    const Place place = words.place();
    Pool pool;
    pool.cidr = words.prefix("the pool's prefix, such as 10.65.0.0/16");
    words.end();
    const bool v4 = pool.cidr.family() == Family::v4;
    pool.block_size = v4 ? 26 : 122;
    statements(statement.block, "a pool",
               {{"ipip", false, false, [&](Words& in, const Statement&) { pool.ipip = encapsulate(in); }},
                {"vxlan", false, false, [&](Words& in, const Statement&) { pool.vxlan = encapsulate(in); }},
                {"block", false, false,
                 [&](Words& in, const Statement&) {
                     in.expect("size");
                     const Place at = in.place();
                     const std::uint32_t size = in.number("a block size", 0, 128);
                     if (size < (v4 ? 20U : 116U) || size > (v4 ? 32U : 128U)) {
                         throw Wrong{at,
                                     "blockSize must be between 20 and 32 for IPv4 pools, and between 116 and 128 for "
                                     "IPv6 pools"};
                     }
                     pool.block_size = static_cast<std::uint8_t>(size);
                 }},
                {"nat", false, false,
                 [&](Words& in, const Statement&) {
                     in.expect("outgoing");
                     pool.nat_outgoing = in.yes_or_no();
                 }},
                {"export", false, false, [&](Words& in, const Statement&) { pool.exported = in.yes_or_no(); }},
                {"disabled", false, false, [&](Words& in, const Statement&) { pool.disabled = in.yes_or_no(); }}});
    config_.pools.push_back({.value = pool, .place = place});
}

void Reader::node(Words& words, const Statement& statement) {
    const Place place = words.place();
    NodeStatement stated;
    stated.node.name = words.string("the node's name in quotes");
    words.end();
    require(check_node_name(stated.node.name), place);
    const auto by_family = [](const Place& at, Family family, auto& four, auto& six, auto value, const char* what) {
        auto& slot = family == Family::v4 ? four : six;
        if (slot) {
            throw Wrong{at, fmt::format("a second {} {}; a node has one of each family",
                                        family == Family::v4 ? "IPv4" : "IPv6", what)};
        }
        slot = value;
    };
    Node& node = stated.node;
    statements(statement.block, "a node",
               {{"address", true, false,
                 [&](Words& in, const Statement&) {
                     const Place at = in.place();
                     const InterfaceAddress address =
                         in.interface_address("an address with its subnet, such as 192.0.2.11/24");
                     require(check_unicast(address.address), at);
                     by_family(at, address.address.family, node.address4, node.address6, address, "address");
                 }},
                {"block", true, false,
                 [&](Words& in, const Statement&) {
                     const Place at = in.place();
                     stated.blocks.push_back({.value = in.prefix("a block, such as 10.65.0.0/26"), .place = at});
                 }},
                {"as", false, false,
                 [&](Words& in, const Statement&) { node.as = in.number("an AS number", 1, 0xFFFFFFFFU); }},
                {"route", false, false,
                 [&](Words& in, const Statement&) {
                     in.expect("reflector");
                     in.expect("cluster");
                     in.expect("id");
                     const Place at = in.place();
                     const Address id = in.address("a cluster id, written as an IPv4 address");
                     if (id.family != Family::v4) throw Wrong{at, "a cluster id is written as an IPv4 address"};
                     node.cluster_id = id;
                 }},
                {"vxlan", true, false,
                 [&](Words& in, const Statement&) {
                     const std::string what = in.one_of({"address", "mac", "mac6"});
                     const Place at = in.place();
                     if (what != "address") {
                         auto& mac = what == "mac" ? node.mac4 : node.mac6;
                         if (mac) throw Wrong{at, fmt::format("a second 'vxlan {}'", what)};
                         mac = in.mac();
                         return;
                     }
                     const Address tunnel = in.address("a tunnel address");
                     require(check_unicast(tunnel), at);
                     by_family(at, tunnel.family, node.vxlan4, node.vxlan6, tunnel, "vxlan address");
                 }},
                {"listen", false, false,
                 [&](Words& in, const Statement&) {
                     in.expect("port");
                     node.bgp_port = static_cast<std::uint16_t>(in.number("a port", 1, 65535));
                 }},
                {"ipip", false, false, [&](Words& in, const Statement&) {
                     in.expect("address");
                     const Place at = in.place();
                     const Address tunnel = in.address("an IPv4 tunnel address");
                     if (tunnel.family != Family::v4)
                         throw Wrong{at, "IPIP carries IPv4 only: an IPv4 address is expected"};
                     require(check_unicast(tunnel), at);
                     node.ipip4 = tunnel;
                 }}});
    config_.nodes.push_back({.value = std::move(stated), .place = place});
}

void Reader::protocol(Words& words, const Statement& statement) {
    const Place place = words.start();
    const std::string which = words.one_of({"bgp", "vxlan", "ipip"});
    words.end();
    static constexpr std::array<std::string_view, 3> kKeys{"protocol bgp", "protocol vxlan", "protocol ipip"};
    const auto key = std::find(kKeys.begin(), kKeys.end(), "protocol " + which);
    const auto [before, fresh] = seen_.emplace(*key, place);
    if (!fresh) throw Wrong{place, fmt::format("a second '{}'; the first is at {}", *key, to_string(before->second))};
    if (which == "bgp") protocol_bgp(statement);
    if (which == "vxlan") protocol_vxlan(statement);
    if (which == "ipip") protocol_ipip(statement);
}

void Reader::protocol_bgp(const Statement& statement) {
    const auto text = [](Setting<std::string>& setting, std::string_view what, auto check) {
        return [&setting, what, check](Words& in, const Statement&) {
            const Place at = in.place();
            const std::string value = in.string(what);
            require(check(value), at);
            set(setting, value, at);
        };
    };
    const auto flag = [](Setting<bool>& setting) {
        return [&setting](Words& in, const Statement&) {
            const Place at = in.place();
            set(setting, in.yes_or_no(), at);
        };
    };
    statements(statement.block, "protocol bgp",
               {{"local", false, false,
                 [this](Words& in, const Statement&) {
                     in.expect("as");
                     const Place at = in.place();
                     set(config_.local_as, in.number("an AS number", 1, 0xFFFFFFFFU), at);
                 }},
                {"mesh", false, false, flag(config_.mesh)},
                {"listen", false, false,
                 [this](Words& in, const Statement&) {
                     in.expect("port");
                     const Place at = in.place();
                     set(config_.bgp_port, static_cast<std::uint16_t>(in.number("a port", 1, 65535)), at);
                 }},
                {"password", false, false, text(config_.mesh_password, "the password in quotes", check_password)},
                {"graceful", false, false,
                 [this](Words& in, const Statement&) {
                     in.expect("restart");
                     in.expect("time");
                     const Place at = in.place();
                     const auto seconds =
                         std::chrono::duration_cast<std::chrono::seconds>(in.duration("a time in seconds"));
                     if (seconds.count() > 4095) throw Wrong{at, "a graceful restart time is at most 4095 s"};
                     set(config_.graceful_restart_seconds,
                         std::optional<std::uint16_t>(static_cast<std::uint16_t>(seconds.count())), at);
                 }},
                {"bird", false, false, text(config_.bird_program, "BIRD's path in quotes", check_path)},
                {"control", false, false,
                 [this](Words& in, const Statement&) {
                     in.expect("socket");
                     const Place at = in.place();
                     const std::string path = in.string("the socket's path in quotes");
                     require(check_socket_path(path), at);
                     set(config_.bird_socket, path, at);
                 }},
                {"spawn", false, false, flag(config_.bird_spawn)},
                {"neighbor", true, true, [this](Words& in, const Statement& inner) { neighbor(in, inner); }}});
}

void Reader::neighbor(Words& words, const Statement& statement) {
    const Place place = words.place();
    BgpNeighbor made;
    made.address = words.address("the neighbour's address");
    require(check_unicast(made.address), place);
    words.expect("as");
    made.as = words.number("an AS number", 1, 0xFFFFFFFFU);
    words.end();
    std::map<std::string, Place> seen_next_hop;
    statements(
        statement.block, "a neighbor",
        {{"password", false, false,
          [&](Words& in, const Statement&) {
              const Place at = in.place();
              made.password = in.string("the password in quotes");
              require(check_password(made.password), at);
          }},
         {"multihop", false, false,
          [&](Words& in, const Statement&) {
              made.multihop = static_cast<std::uint8_t>(in.number("a number of hops", 1, 255));
          }},
         {"port", false, false,
          [&](Words& in, const Statement&) { made.port = static_cast<std::uint16_t>(in.number("a port", 1, 65535)); }},
         {"bfd", false, false, [&](Words& in, const Statement&) { made.bfd = in.yes_or_no(); }},
         {"next", false, false,
          [&](Words& in, const Statement&) {
              in.expect("hop");
              const bool self = in.one_of({"self", "keep"}) == "self";
              (self ? made.next_hop_self : made.next_hop_keep) = true;
          }},
         {"passive", false, false, [&](Words& in, const Statement&) { made.passive = in.yes_or_no(); }},
         {"node", true, false, [&](Words& in, const Statement&) {
              do {
                  const Place at = in.place();
                  made.nodes.push_back(in.string("a node's name in quotes"));
                  require(check_node_name(made.nodes.back()), at);
              } while (in.accept_comma());
          }}});
    config_.neighbors.push_back({.value = std::move(made), .place = place});
}

void Reader::protocol_vxlan(const Statement& statement) {
    const auto device = [](Setting<std::string>& setting) {
        return [&setting](Words& in, const Statement&) {
            const Place at = in.place();
            const std::string name = in.string("the device's name in quotes");
            require(check_interface_name(name), at);
            set(setting, name, at);
        };
    };
    statements(statement.block, "protocol vxlan",
               {{"id", false, false,
                 [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     set(config_.vni, in.number("a VXLAN network identifier", 1, 0xFFFFFF), at);
                 }},
                {"port", false, false,
                 [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     set(config_.vxlan_port, static_cast<std::uint16_t>(in.number("a UDP port", 1, 65535)), at);
                 }},
                {"mtu", false, false,
                 [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     set(config_.vxlan_mtu, mtu(in), at);
                 }},
                {"mtu6", false, false,
                 [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     set(config_.vxlan_mtu6, mtu(in), at);
                 }},
                {"device", false, false, device(config_.vxlan_device4)},
                {"device6", false, false, device(config_.vxlan_device6)}});
}

void Reader::protocol_ipip(const Statement& statement) {
    statements(statement.block, "protocol ipip",
               {{"device", false, false,
                 [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     const std::string name = in.string("the device's name in quotes");
                     require(check_interface_name(name), at);
                     set(config_.ipip_device, name, at);
                 }},
                {"mtu", false, false, [this](Words& in, const Statement&) {
                     const Place at = in.place();
                     set(config_.ipip_mtu, mtu(in), at);
                 }}});
}

void Reader::source(Words& words, const Statement& statement) {
    const Place place = words.place();
    const std::string kind = words.one_of({"static", "directory", "etcd"});
    if (kind == "static" && statement.has_block) throw Wrong{statement.end, "expected ';' here"};
    if (kind == "static") {
        set(config_.source, Source(StaticSource{}), place);
    } else if (kind == "directory") {
        const Place at = words.place();
        const std::string path = words.string("the directory's path in quotes");
        require(check_path(path), at);
        words.end();
        DirectorySource made{.path = path};
        statements(statement.block, "source directory", {{"hold", false, false, [&](Words& in, const Statement&) {
                                                              made.hold = in.duration("a time in seconds");
                                                          }}});
        set(config_.source, Source(std::move(made)), place);
    } else {
        if (!statement.has_block) throw Wrong{statement.end, "expected '{' here"};
        words.end();
        EtcdSource made;
        etcd(statement, made);
        if (made.endpoints.empty()) throw Wrong{place, "'source etcd' needs at least one 'endpoint'"};
        set(config_.source, Source(std::move(made)), place);
    }
}

void Reader::etcd(const Statement& statement, EtcdSource& made) {
    const auto path = [](std::string& target) {
        return [&target](Words& in, const Statement&) {
            const Place at = in.place();
            target = in.string("a file name in quotes");
            require(check_path(target), at);
        };
    };
    statements(
        statement.block, "source etcd",
        {{"endpoint", true, false,
          [&](Words& in, const Statement&) {
              const Place at = in.place();
              made.endpoints.push_back(in.string("a URL in quotes"));
              require(check_url(made.endpoints.back()), at);
          }},
         {"ca", false, false, path(made.ca)},
         {"certificate", false, false, path(made.certificate)},
         {"key", false, false, path(made.key)},
         {"user", false, false, [&](Words& in, const Statement&) { made.user = in.string("a name in quotes"); }},
         {"password", false, false,
          [&](Words& in, const Statement&) { made.password = in.string("the password in quotes"); }},
         {"register", false, false, [&](Words& in, const Statement&) { made.register_node = in.yes_or_no(); }},
         {"hold", false, false, [&](Words& in, const Statement&) { made.hold = in.duration("a time in seconds"); }},
         {"address", false, false, [&](Words& in, const Statement&) { made.address = address_method(in); }}});
    if (made.certificate.empty() != made.key.empty()) {
        throw Wrong{statement.words.front().place, "'certificate' and 'key' belong together: one of them is missing"};
    }
    if (made.user.empty() != made.password.empty()) {
        throw Wrong{statement.words.front().place, "'user' and 'password' belong together: one of them is missing"};
    }
}

AddressMethod Reader::address_method(Words& words) {
    using Kind = AddressMethod::Kind;
    AddressMethod method;
    const auto patterns = [&] {
        do {
            const Place at = words.place();
            method.patterns.push_back(words.string("an interface pattern in quotes"));
            require(check_interface_pattern(method.patterns.back()), at);
        } while (words.accept_comma());
    };
    if (words.accept("auto")) return method;
    if (words.accept("interface")) {
        method.kind = Kind::interface;
        patterns();
    } else if (words.accept("skip")) {
        words.expect("interface");
        method.kind = Kind::skip_interface;
        patterns();
    } else if (words.accept("can")) {
        words.expect("reach");
        method.kind = Kind::can_reach;
        method.target = words.address("an address to reach");
    } else if (words.accept("cidr")) {
        method.kind = Kind::cidr;
        do {
            method.prefixes.push_back(words.prefix("a prefix"));
        } while (words.accept_comma());
    } else {
        method.kind = Kind::fixed;
        method.address = words.interface_address(
            "'auto', 'interface', 'skip interface', 'can reach', 'cidr' or an address with its subnet");
    }
    return method;
}

}  // namespace weft::syntax
