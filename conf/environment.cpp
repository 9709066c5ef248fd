#include "conf/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <regex>

#include "conf/checks.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

/// Calico's rule: what is not plainly no is yes.
bool is_true(const std::string& value) {
    const std::string text = lower_case(value);
    return text != "false" && text != "0" && text != "no" && text != "n" && text != "f";
}

class Applier {
  public:
    Applier(Config& config, const Environment& environment) : config_(config), environment_(environment) {}

    std::vector<Diagnostic> run() {
        hostname();
        backend();
        router_id();
        local_as();
        own_address("IP", Family::v4);
        own_address("IP6", Family::v6);
        if (std::holds_alternative<StaticSource>(config_.source.value)) pools();
        if (auto* const etcd = std::get_if<EtcdSource>(&config_.source.value); etcd != nullptr && etcd->register_node) {
            etcd->environment4 = address_method("IP", "IP_AUTODETECTION_METHOD", Family::v4);
            etcd->environment6 = address_method("IP6", "IP6_AUTODETECTION_METHOD", Family::v6);
        }
        return std::move(found_);
    }

  private:
    std::optional<std::string> get(const char* name) const {
        auto value = environment_(name);
        if (value && value->empty()) value.reset();  // Calico takes an empty variable for an unset one
        return value;
    }
    static Origin origin(const char* name) {
        return {.kind = Origin::Kind::environment, .place = {}, .variable = name};
    }
    void report(Severity severity, const char* name, std::string message) {
        found_.push_back({.severity = severity,
                          .place = {.file = fmt::format("environment {}", name), .line = 0, .column = 0},
                          .message = std::move(message),
                          .line_text = {}});
    }
    void error(const char* name, std::string message) { report(Severity::error, name, std::move(message)); }

    static bool open(const Origin& origin) { return origin.kind == Origin::Kind::built_in; }

    void hostname() {
        if (!open(config_.hostname.origin)) return;
        if (const auto name = get("NODENAME")) {
            if (auto trouble = check_node_name(*name); !trouble.empty()) error("NODENAME", std::move(trouble));
            config_.hostname = {.value = *name, .origin = origin("NODENAME")};
            return;
        }
        std::array<char, 256> name{};
        gethostname(name.data(), name.size() - 1);
        config_.hostname.value = lower_case(name.data());
    }

    void backend() {
        const auto value = get("CALICO_NETWORKING_BACKEND");
        if (!value || !open(config_.backend.origin)) return;
        Backend backend = Backend::bird;
        if (*value == "vxlan") backend = Backend::vxlan;
        if (*value == "none") backend = Backend::none;
        if (*value != to_string(backend)) {
            report(Severity::warning, "CALICO_NETWORKING_BACKEND",
                   fmt::format("'{}' is none of bird, vxlan and none; bird is used, as Calico does", *value));
        }
        config_.backend = {.value = backend, .origin = origin("CALICO_NETWORKING_BACKEND")};
    }

    void router_id() {
        const auto value = get("CALICO_ROUTER_ID");
        if (!value || !open(config_.router_id.origin)) return;
        const auto address = parse_address(*value);
        if (*value == "hash") {
            config_.router_id = {.value = RouterIdHash{}, .origin = origin("CALICO_ROUTER_ID")};
        } else if (address && address->family == Family::v4) {
            config_.router_id = {.value = *address, .origin = origin("CALICO_ROUTER_ID")};
        } else {
            error("CALICO_ROUTER_ID", fmt::format("'{}' is neither 'hash' nor an IPv4 address", *value));
        }
    }

    /// Calico's AS is this node's own.
    void local_as() {
        const auto value = get("AS");
        if (!value) return;
        std::uint32_t number = 0;
        const auto [end, failure] = std::from_chars(value->data(), value->data() + value->size(), number);
        if (failure != std::errc{} || end != value->data() + value->size() || number == 0) {
            error("AS", fmt::format("'{}' is no AS number", *value));
            return;
        }
        for (auto& stated : config_.nodes) {
            Node& node = stated.value.node;
            if (node.name == config_.hostname.value && !node.as) node.as = number;
        }
    }

    void own_address(const char* name, Family family) {
        const auto value = get(name);
        if (!value || *value == "autodetect" || *value == "none") return;
        auto address = parse_interface_address(*value);
        if (const auto bare = parse_address(*value)) {
            address = InterfaceAddress{.address = *bare, .length = bits(bare->family)};
        }
        if (!address || address->address.family != family) {
            error(name, fmt::format("'{}' is no {} address", *value, family == Family::v4 ? "IPv4" : "IPv6"));
            return;
        }
        for (auto& stated : config_.nodes) {
            Node& node = stated.value.node;
            auto& slot = family == Family::v4 ? node.address4 : node.address6;
            if (node.name == config_.hostname.value && !slot) slot = address;
        }
    }

    /// How Calico's variables say that a node that registers finds its address; nothing: they do not say.
    std::optional<AddressMethod> address_method(const char* address_name, const char* method_name, Family family) {
        using Kind = AddressMethod::Kind;
        const auto stated = get(address_name);
        if (stated == "none") return AddressMethod{.kind = Kind::keep};
        if (stated && *stated != "autodetect") {
            auto address = parse_interface_address(*stated);
            // Without its subnet it takes that of the interface that has it.
            if (const auto bare = parse_address(*stated)) address = {.address = *bare, .length = bits(bare->family)};
            if (!address || address->address.family != family) return std::nullopt;  // own_address() has said it
            return AddressMethod{.kind = Kind::fixed, .address = *address};
        }
        const auto value = get(method_name);
        if (!value) return std::nullopt;
        const std::size_t sign = value->find('=');
        const std::string name = value->substr(0, sign);
        const std::string rest = sign == std::string::npos ? std::string{} : value->substr(sign + 1);
        AddressMethod method;
        if (name == "first-found" && sign == std::string::npos) return method;
        if ((name == "interface" || name == "skip-interface") && !rest.empty()) {
            method.kind = name == "interface" ? Kind::interface : Kind::skip_interface;
            method.regular_expressions = true;
            method.patterns = split(rest);
            for (const std::string& pattern : method.patterns) regular_expression(method_name, pattern);
            return method;
        }
        if (name == "cidr") {
            method.kind = Kind::cidr;
            for (const std::string& text : split(rest)) {
                const auto prefix = parse_prefix(text);
                if (!prefix) return error(method_name, fmt::format("'{}' is no prefix", text)), std::nullopt;
                method.prefixes.push_back(*prefix);
            }
            return method;
        }
        if (const auto target = parse_address(rest); name == "can-reach" && target) {
            method.kind = Kind::can_reach;
            method.target = *target;
            return method;
        }
        error(method_name,
              fmt::format("'{}' is none of first-found, interface=REGEX, skip-interface=REGEX, cidr=CIDR and "
                          "can-reach=ADDRESS (names, and kubernetes-internal-ip, are not served)",
                          *value));
        return std::nullopt;
    }

    static std::vector<std::string> split(const std::string& text) {
        std::vector<std::string> parts;
        for (std::size_t at = 0; at <= text.size();) {
            const std::size_t end = std::min(text.find(',', at), text.size());
            parts.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        return parts;
    }

    void regular_expression(const char* name, const std::string& pattern) {
        try {
            const std::regex checked(pattern);
        } catch (const std::regex_error& wrong) {
            error(name, fmt::format("'{}' is no regular expression: {}", pattern, wrong.what()));
        }
    }

    std::optional<Encapsulate> encapsulate(const char* name) {
        const auto value = get(name);
        if (!value) return Encapsulate::never;
        const std::string text = lower_case(*value);
        if (text == "off" || text == "never") return Encapsulate::never;
        if (text == "always") return Encapsulate::always;
        if (text == "crosssubnet" || text == "cross-subnet") return Encapsulate::cross_subnet;
        error(name, fmt::format("'{}' is none of Always, CrossSubnet, Never and off", *value));
        return std::nullopt;
    }

    void pools() {
        const auto none = get("NO_DEFAULT_POOLS");
        const bool suppressed = none && is_true(*none);
        for (const Family family : kFamilies) {
            const bool v4 = family == Family::v4;
            const char* const name = v4 ? "CALICO_IPV4POOL_CIDR" : "CALICO_IPV6POOL_CIDR";
            const auto value = get(name);
            if (!value || *value == "none") continue;
            if (suppressed) {
                error(name, "it is set together with NO_DEFAULT_POOLS: leave one of them out");
                continue;
            }
            const bool stated = std::any_of(config_.pools.begin(), config_.pools.end(),
                                            [&](const auto& pool) { return pool.value.cidr.family() == family; });
            if (!stated) default_pool(family, name, *value);
        }
    }

    void default_pool(Family family, const char* name, const std::string& value) {
        const bool v4 = family == Family::v4;
        const auto cidr = parse_prefix(value);
        if (!cidr || cidr->family() != family) {
            error(name, fmt::format("'{}' is no {} prefix", value, v4 ? "IPv4" : "IPv6"));
            return;
        }
        const auto ipip = v4 ? encapsulate("CALICO_IPV4POOL_IPIP") : Encapsulate::never;
        const auto vxlan = encapsulate(v4 ? "CALICO_IPV4POOL_VXLAN" : "CALICO_IPV6POOL_VXLAN");
        if (!ipip || !vxlan) return;
        Pool pool{.cidr = *cidr, .ipip = *ipip, .vxlan = *vxlan};
        pool.block_size = v4 ? 26 : 122;
        const char* const size_name = v4 ? "CALICO_IPV4POOL_BLOCK_SIZE" : "CALICO_IPV6POOL_BLOCK_SIZE";
        if (const auto size = get(size_name)) {
            unsigned number = 0;
            const auto [end, failure] = std::from_chars(size->data(), size->data() + size->size(), number);
            const bool in_range = v4 ? number >= 20 && number <= 32 : number >= 116 && number <= 128;
            if (failure != std::errc{} || end != size->data() + size->size() || !in_range) {
                error(size_name,
                      "blockSize must be between 20 and 32 for IPv4 pools, and between 116 and 128 for IPv6 pools");
                return;
            }
            pool.block_size = static_cast<std::uint8_t>(number);
        }
        const auto nat = get(v4 ? "CALICO_IPV4POOL_NAT_OUTGOING" : "CALICO_IPV6POOL_NAT_OUTGOING");
        pool.nat_outgoing = nat ? is_true(*nat) : v4;
        const auto kept = get(v4 ? "CALICO_IPV4POOL_DISABLE_BGP_EXPORT" : "CALICO_IPV6POOL_DISABLE_BGP_EXPORT");
        pool.exported = !(kept && is_true(*kept));
        config_.pools.push_back(
            {.value = pool, .place = {.file = fmt::format("environment {}", name), .line = 0, .column = 0}});
    }

    Config& config_;
    const Environment& environment_;
    std::vector<Diagnostic> found_;
};

}  // namespace

Environment process_environment() {
    return [](const char* name) -> std::optional<std::string> {
        const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
}

std::vector<Diagnostic> apply_environment(Config& config, const Environment& environment) {
    return Applier(config, environment).run();
}

}  // namespace weft
