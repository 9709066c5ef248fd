#include "daemon/own_address.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <regex>

namespace weft {
namespace {

using Kind = AddressMethod::Kind;

/// What Calico leaves out unless an interface is named: how their names begin.
constexpr std::array<std::string_view, 19> kPassedOver{"docker",
                                                       "cbr",
                                                       "dummy",
                                                       "podman",
                                                       "virbr",
                                                       "lxcbr",
                                                       "veth",
                                                       "lo",
                                                       "br-",
                                                       "cali",
                                                       "tunl",
                                                       "flannel",
                                                       "kube-ipvs",
                                                       "cni",
                                                       "vxlan.calico",
                                                       "vxlan-v6.calico",
                                                       "wireguard.cali",
                                                       "wg-v6.cali",
                                                       "nodelocaldns"};

bool passed_over(const std::string& name) {
    return std::any_of(kPassedOver.begin(), kPassedOver.end(),
                       [&](std::string_view beginning) { return name.starts_with(beginning); });
}

bool global_unicast(const Address& address) {
    const auto& bytes = address.bytes;
    if (address.is_unspecified()) return false;
    if (address.family == Family::v4) {
        return bytes[0] != 127 && bytes[0] < 224 && !(bytes[0] == 169 && bytes[1] == 254);
    }
    return bytes[0] != 0xFF && !(bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80U) && address != *parse_address("::1");
}

bool matches(const AddressMethod& method, const std::string& pattern, const std::string& name) {
    if (!method.regular_expressions) return matches_any({pattern}, name);
    try {
        return std::regex_search(name, std::regex(pattern));
    } catch (const std::regex_error&) {
        return false;  // the environment's reader has reported it
    }
}

class Search {
  public:
    Search(const AddressMethod& method, Family family, const Host& host, const std::vector<std::string>& own,
           const std::optional<Address>& towards)
        : method_(method), family_(family), host_(host), own_(own), towards_(towards) {}

    Result<OwnAddress> run() const {
        switch (method_.kind) {
            case Kind::first_found:
                return found(first([](const Link& link, const Address&) { return !passed_over(link.name); }),
                             [](const Link&, const Address&) -> std::string {
                                 return "it is the first with a global address that is no container's and no tunnel's";
                             });
            case Kind::interface:
                return by_interface();
            case Kind::skip_interface:
                return found(first([&](const Link& link, const Address&) {
                                 return !passed_over(link.name) && !named(link.name);
                             }),
                             [&](const Link&, const Address&) {
                                 return fmt::format("it is the first that is not skipped ({})", quoted());
                             });
            case Kind::can_reach:
                return found(first([&](const Link&, const Address& address) { return towards_ == address; }),
                             [&](const Link&, const Address&) {
                                 return fmt::format("packets to {} are sent from its address",
                                                    to_string(method_.target));
                             });
            case Kind::cidr:
                return found(first([&](const Link&, const Address& address) { return inside(address) != nullptr; }),
                             [&](const Link&, const Address& address) {
                                 return fmt::format("{} lies in {}", to_string(address), to_string(*inside(address)));
                             });
            case Kind::fixed:
                return fixed();
            case Kind::keep:
                break;
        }
        return Error{"it stays what the store has"};
    }

  private:
    struct Candidate {
        const Link* link;
        InterfaceAddress address;
    };

    template <class Wanted>
    std::optional<Candidate> first(Wanted wanted) const {
        for (auto link = host_.links.rbegin(); link != host_.links.rend(); ++link) {
            if (!link->up || link->loopback || link->ours() || std::ranges::find(own_, link->name) != own_.end())
                continue;
            for (const LinkAddress& each : host_.addresses) {
                const Address& address = each.address.address;
                if (each.link != link->index || address.family != family_ || !global_unicast(address)) continue;
                if (wanted(*link, address)) return Candidate{&*link, each.address};
            }
        }
        return std::nullopt;
    }

    template <class Why>
    Result<OwnAddress> found(const std::optional<Candidate>& candidate, Why why) const {
        if (!candidate) return nothing();
        return OwnAddress{.address = candidate->address,
                          .reason = fmt::format("{} because {}", candidate->link->name,
                                                why(*candidate->link, candidate->address.address))};
    }

    /// The patterns in their order, then the interfaces.
    Result<OwnAddress> by_interface() const {
        for (const std::string& pattern : method_.patterns) {
            const auto candidate =
                first([&](const Link& link, const Address&) { return matches(method_, pattern, link.name); });
            if (!candidate) continue;
            return found(candidate,
                         [&](const Link&, const Address&) { return fmt::format("it matches '{}'", pattern); });
        }
        return nothing();
    }

    Result<OwnAddress> fixed() const {
        if (method_.address.address.family != family_) return Error{"none is stated"};
        const auto holder =
            first([&](const Link&, const Address& address) { return address == method_.address.address; });
        InterfaceAddress address = method_.address;
        // Without its subnet it takes the interface's.
        if (holder && address.length == bits(family_)) address = holder->address;
        return OwnAddress{.address = address,
                          .reason = fmt::format("{} because it is stated{}", to_string(address),
                                                holder ? fmt::format(" ({} has it)", holder->link->name)
                                                       : ", though no interface has it now")};
    }

    bool named(const std::string& name) const {
        return std::any_of(method_.patterns.begin(), method_.patterns.end(),
                           [&](const std::string& pattern) { return matches(method_, pattern, name); });
    }
    const Prefix* inside(const Address& address) const {
        const auto prefix = std::find_if(method_.prefixes.begin(), method_.prefixes.end(),
                                         [&](const Prefix& each) { return each.contains(address); });
        return prefix == method_.prefixes.end() ? nullptr : &*prefix;
    }
    std::string quoted() const { return fmt::format("'{}'", fmt::join(method_.patterns, "', '")); }

    /// What there would have been.
    Error nothing() const {
        std::vector<std::string> others;
        for (const Link& link : host_.links) {
            for (const LinkAddress& each : host_.addresses) {
                const Address& address = each.address.address;
                if (each.link != link.index || address.family != family_ || !global_unicast(address)) continue;
                others.push_back(fmt::format("{} {}{}", link.name, to_string(each.address), link.up ? "" : " (down)"));
            }
        }
        const char* const family = family_ == Family::v4 ? "IPv4" : "IPv6";
        return Error{fmt::format("no {} address by 'address {}'; there {}: state the one to use in 'source etcd'",
                                 family, to_string(method_),
                                 others.empty() ? "is none" : fmt::format("are {}", fmt::join(others, ", ")))};
    }

    const AddressMethod& method_;
    Family family_;
    const Host& host_;
    const std::vector<std::string>& own_;
    const std::optional<Address>& towards_;
};

}  // namespace

Result<OwnAddress> find_own_address(const AddressMethod& method, Family family, const Host& host,
                                    const std::vector<std::string>& own_devices,
                                    const std::optional<Address>& towards) {
    return Search(method, family, host, own_devices, towards).run();
}

std::optional<Address> source_address(const Address& target) {
    const bool v4 = target.family == Family::v4;
    const int descriptor = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return std::nullopt;
    // Connecting a datagram socket sends nothing: the kernel only chooses the way. The port is of no consequence.
    constexpr std::uint16_t kPort = 80;
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (v4) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(kPort);
        std::memcpy(&to.sin_addr, target.bytes.data(), target.size());
        std::memcpy(&storage, &to, size = sizeof to);
    } else {
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(kPort);
        std::memcpy(&to.sin6_addr, target.bytes.data(), target.size());
        std::memcpy(&storage, &to, size = sizeof to);
    }
    std::optional<Address> source;
    auto* const plain = reinterpret_cast<sockaddr*>(&storage);  // NOLINT: POSIX's way
    if (connect(descriptor, plain, size) == 0 && getsockname(descriptor, plain, &size) == 0) {
        source = Address{.family = target.family, .bytes = {}};
        if (v4) {
            sockaddr_in from{};
            std::memcpy(&from, &storage, sizeof from);
            std::memcpy(source->bytes.data(), &from.sin_addr, target.size());
        } else {
            sockaddr_in6 from{};
            std::memcpy(&from, &storage, sizeof from);
            std::memcpy(source->bytes.data(), &from.sin6_addr, target.size());
        }
    }
    close(descriptor);
    return source;
}

}  // namespace weft
