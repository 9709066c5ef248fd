#include "tunnel/netlink_devices.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tunnel/port_owner.hpp"

namespace weft::netlink {
namespace {

void begin_link(Writer& request, Socket& socket, unsigned flags, std::uint32_t index, unsigned up = 0) {
    request.begin(RTM_NEWLINK, flags, socket.take_sequence());
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(index);
    header.ifi_flags = up;
    header.ifi_change = up;
    request.fixed(header);
}

/// Collects what went wrong in the steps of one change.
class Steps {
  public:
    explicit Steps(std::string_view name) : name_(name) {}

    /// Records a failed step; answers whether it succeeded.
    bool took(const Outcome& outcome, std::string_view step) {
        if (outcome.ok()) return true;
        return fail(outcome.error, fmt::format("{}: {}", step, outcome.words()));
    }
    bool fail(int error, std::string_view text) {
        if (result_.error == 0) result_.error = error;
        result_.text += fmt::format("{}{}", result_.text.empty() ? fmt::format("device {}: ", name_) : "; ", text);
        return false;
    }
    DeviceOutcome end(bool usable) {
        result_.usable = usable;
        return std::move(result_);
    }
    DeviceOutcome unknown_kind(std::string_view text) {
        fail(EOPNOTSUPP, text);
        result_.unknown_kind = true;
        return end(false);
    }

  private:
    std::string name_;
    DeviceOutcome result_;
};

void put_vxlan(Writer& request, const VxlanDevice& device, std::uint32_t parent, bool create) {
    const std::size_t info = request.open(IFLA_LINKINFO);
    request.put_text(IFLA_INFO_KIND, "vxlan");
    const std::size_t data = request.open(IFLA_INFO_DATA);
    if (create) {
        request.put_value(IFLA_VXLAN_ID, device.vni);
        request.put_value(IFLA_VXLAN_PORT, htons(device.port));
    }
    request.put_value(IFLA_VXLAN_LINK, parent);
    request.put_address(device.local.family == Family::v4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, device.local);
    request.put_value(IFLA_VXLAN_LEARNING, static_cast<std::uint8_t>(device.learning ? 1 : 0));
    request.close(data);
    request.close(info);
}

Outcome create_vxlan(Socket& socket, const VxlanDevice& device, const std::string& name, std::uint32_t parent) {
    Writer request;
    begin_link(request, socket, NLM_F_CREATE | NLM_F_EXCL, 0);
    request.put_text(IFLA_IFNAME, name);
    request.put_mac(IFLA_ADDRESS, device.mac);
    if (device.mtu != 0) request.put_value(IFLA_MTU, device.mtu);
    put_vxlan(request, device, parent, true);
    request.end();
    return socket.request(request);
}

/// Another vxlan device that holds the VNI or the port; empty: none.
std::string rival(Socket& socket, const VxlanDevice& device, bool same_vni) {
    const auto links = dump_links(socket);
    if (!links) return {};
    for (const Link& link : *links) {
        if (link.kind != "vxlan" || link.name == device.name || link.port != device.port) continue;
        if (same_vni && link.vni != device.vni) continue;
        return fmt::format("device {} (vxlan id {} port {})", link.name, link.vni, link.port);
    }
    return {};
}

void explain_create(Steps& steps, Socket& socket, const VxlanDevice& device, const Outcome& outcome) {
    const std::string other = outcome.error == EEXIST ? rival(socket, device, true) : std::string{};
    if (other.empty()) {
        steps.took(outcome, "cannot be made");
        return;
    }
    steps.fail(outcome.error, fmt::format("VNI {} on UDP port {} belongs to {}, which is not weft's; remove it or set "
                                          "another vni or port: {}",
                                          device.vni, device.port, other, outcome.words()));
}

void explain_up(Steps& steps, Socket& socket, const VxlanDevice& device, const Outcome& outcome) {
    if (outcome.error != EADDRINUSE) {
        steps.took(outcome, "cannot be set up");
        return;
    }
    std::string owner = udp_port_owner(device.port);
    if (owner.empty()) owner = rival(socket, device, false);
    if (owner.empty()) owner = "another socket whose owner cannot be seen from here";
    steps.fail(outcome.error, fmt::format("UDP port {} belongs to {}; stop it or set another port: {}", device.port,
                                          owner, outcome.words()));
}

Outcome set_up(Socket& socket, std::uint32_t index) {
    Writer request;
    begin_link(request, socket, 0, index, IFF_UP);
    request.end();
    return socket.request(request);
}

template <class Put>
Outcome set_attribute(Socket& socket, std::uint32_t index, Put put) {
    Writer request;
    begin_link(request, socket, 0, index);
    put(request);
    request.end();
    return socket.request(request);
}

void set_mtu(Steps& steps, Socket& socket, const Link& link, std::uint32_t mtu) {
    if (mtu == 0 || link.mtu == mtu) return;
    const Outcome outcome =
        set_attribute(socket, link.index, [&](Writer& request) { request.put_value(IFLA_MTU, mtu); });
    steps.took(outcome, fmt::format("mtu {} instead of {}", mtu, link.mtu));
}

void set_alias(Steps& steps, Socket& socket, const Link& link, std::string_view alias) {
    if (link.alias == alias) return;
    const auto put = [&](Writer& request) { request.put(IFLA_IFALIAS, std::as_bytes(std::span(alias))); };
    steps.took(set_attribute(socket, link.index, put), "alias");
}

bool is_link_local(const Address& address) {
    return address.family == Family::v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

Outcome change_address(Socket& socket, bool add, const LinkAddress& address) {
    Writer request;
    write_address(request, add, address, socket.take_sequence());
    return socket.request(request);
}

/// Makes `wanted` the one address of its family on the device, link-local ones aside.
void set_address(Steps& steps, Socket& socket, std::uint32_t index, const Address& wanted) {
    const auto present = dump_addresses(socket, index);
    if (!present) {
        steps.fail(EIO, present.error().message);
        return;
    }
    const LinkAddress want{index, {wanted, bits(wanted.family)}};
    const bool wants = !wanted.is_unspecified();
    const bool has = std::ranges::find(*present, want) != present->end();
    const auto drop_surplus = [&](bool of_same_value) {
        for (const LinkAddress& at : *present) {
            const Address& address = at.address.address;
            if (address.family != wanted.family || is_link_local(address) || (wants && at == want)) continue;
            if ((address == wanted) != of_same_value) continue;
            steps.took(change_address(socket, false, at), fmt::format("surplus address {}", to_string(at.address)));
        }
    };
    // An IPv6 address cannot be there twice with two lengths; all others go after the new one has come.
    drop_surplus(true);
    if (wants && !has) {
        steps.took(change_address(socket, true, want), fmt::format("address {}", to_string(want.address)));
    }
    drop_surplus(false);
}

void change_vxlan(Steps& steps, Socket& socket, const Link& link, const VxlanDevice& device, std::uint32_t parent) {
    if (link.parent != parent || link.local != device.local || link.learning != device.learning) {
        const auto put = [&](Writer& request) { put_vxlan(request, device, parent, false); };
        steps.took(set_attribute(socket, link.index, put), "local address, parent or learning");
    }
    if (link.mac != device.mac) {
        const auto put = [&](Writer& request) { request.put_mac(IFLA_ADDRESS, device.mac); };
        steps.took(set_attribute(socket, link.index, put), "mac");
    }
    set_mtu(steps, socket, link, device.mtu);
    set_alias(steps, socket, link, fmt::format("{}{}", kAliasPrefix, to_string(device.role)));
    set_address(steps, socket, link.index, device.address);
}

/// For a device whose name the one before it still has.
std::string interim_name(Socket& socket, const VxlanDevice& device) {
    const int family = device.local.family == Family::v4 ? 4 : 6;
    std::string name = fmt::format("weft{}.{}", family, device.vni);
    return find_link(socket, name) ? fmt::format("weft{}p{}", family, device.port) : name;
}

/// Kernels before 6.2 refuse it while the device is up (dev_change_name), and setting it down would take its routes.
void rename(Steps& steps, Socket& socket, const Link& link, const std::string& name) {
    const auto put = [&](Writer& request) { request.put_text(IFLA_IFNAME, name); };
    const Outcome outcome = set_attribute(socket, link.index, put);
    steps.took(outcome, fmt::format("renaming it from {}", link.name));
}

DeviceOutcome in_the_way(Steps& steps, const Link& link) {
    steps.fail(EEXIST,
               fmt::format("a device of kind '{}' (vxlan id {} port {}) has this name and weft leaves it alone; "
                           "rename it or set another device name",
                           link.kind.empty() ? "physical" : link.kind, link.vni, link.port));
    return steps.end(false);
}

}  // namespace

VxlanLinks vxlan_links(const std::vector<Link>& links, const Scope& scope, Family family) {
    const std::string& name = family == Family::v4 ? scope.vxlan_device4 : scope.vxlan_device6;
    const std::string alias = fmt::format("{}{}", kAliasPrefix, to_string(vxlan_device(family)));
    VxlanLinks found;
    const auto right = [&](const Link& link) {
        return (scope.vni == 0 || link.vni == scope.vni) && (scope.port == 0 || link.port == scope.port) &&
               !link.external;
    };
    for (const bool named : {true, false}) {
        for (const Link& link : links) {
            if ((link.name == name) != named || (!named && link.alias != alias)) continue;
            if (right(link) || scope.vni == 0) {
                if (found.wanted == nullptr) found.wanted = &link;
            } else if (found.old == nullptr || link.index > found.old->index) {
                found.older = std::exchange(found.old, &link);
            } else if (found.older == nullptr || link.index > found.older->index) {
                found.older = &link;
            }
        }
    }
    return found;
}

DeviceOutcome configure(Socket& socket, const VxlanDevice& device, std::uint32_t index, std::uint32_t parent) {
    Steps steps(device.name);
    if (parent == 0) {
        steps.fail(ENODEV, fmt::format("no network device carries this node's address {}", to_string(device.local)));
        return steps.end(false);
    }
    auto link = find_link(socket, index);
    if (!link) {
        const auto namesake = find_link(socket, device.name);
        if (namesake && namesake->kind != "vxlan") return in_the_way(steps, *namesake);
        const std::string name = namesake ? interim_name(socket, device) : device.name;
        const Outcome outcome = create_vxlan(socket, device, name, parent);
        if (outcome.error == EOPNOTSUPP) {
            return steps.unknown_kind(fmt::format(
                "this kernel has no vxlan module; install or load it (modprobe vxlan): {}", outcome.words()));
        }
        if (!outcome.ok()) {
            explain_create(steps, socket, device, outcome);
            return steps.end(false);
        }
        link = find_link(socket, name);
        if (!link) {
            steps.fail(ENODEV, "went away while it was being made");
            return steps.end(false);
        }
    } else if (link->name != device.name) {
        rename(steps, socket, *link, device.name);
    }
    if (link->kind != "vxlan" || link->vni != device.vni || link->port != device.port || link->external) {
        return in_the_way(steps, *link);
    }
    change_vxlan(steps, socket, *link, device, parent);
    const Outcome up = set_up(socket, link->index);
    if (!up.ok()) explain_up(steps, socket, device, up);
    DeviceOutcome outcome = steps.end(up.ok());
    if (outcome.usable) outcome.index = link->index;
    return outcome;
}

DeviceOutcome configure(Socket& socket, const IpipDevice& device) {
    Steps steps(device.name);
    auto link = find_link(socket, device.name);
    if (!link) {
        // Asking for the kind loads the module, which makes tunl0 by itself: that it exists then is success.
        Writer request;
        begin_link(request, socket, NLM_F_CREATE | NLM_F_EXCL, 0);
        request.put_text(IFLA_IFNAME, device.name);
        const std::size_t info = request.open(IFLA_LINKINFO);
        request.put_text(IFLA_INFO_KIND, "ipip");
        request.close(info);
        request.end();
        const Outcome outcome = socket.request(request);
        if (outcome.error == EOPNOTSUPP) {
            return steps.unknown_kind(
                fmt::format("this kernel has no ipip module; VXLAN needs none: {}", outcome.words()));
        }
        link = find_link(socket, device.name);
        if (!link) {
            steps.took(outcome, "cannot be made");
            return steps.end(false);
        }
    }
    if (link->kind != "ipip") return in_the_way(steps, *link);
    set_mtu(steps, socket, *link, device.mtu);
    set_alias(steps, socket, *link, kIpipAlias);
    if (!device.address.is_unspecified()) set_address(steps, socket, link->index, device.address);
    DeviceOutcome outcome = steps.end(steps.took(set_up(socket, link->index), "cannot be set up"));
    if (outcome.usable) outcome.index = link->index;
    return outcome;
}

DeviceOutcome remove(Socket& socket, const VxlanDevice& device) {
    Steps steps(device.name);
    const auto link = find_link(socket, device.name);
    if (!link) return steps.end(false);
    if (link->kind != "vxlan") return in_the_way(steps, *link);
    Writer request;
    request.begin(RTM_DELLINK, 0, socket.take_sequence());
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(link->index);
    request.fixed(header);
    request.end();
    const Outcome outcome = socket.request(request);
    if (outcome.error != ENODEV) steps.took(outcome, "cannot be removed");
    return steps.end(false);
}

DeviceOutcome remove(Socket& socket, const IpipDevice& device) {
    Steps steps(device.name);
    const auto link = find_link(socket, device.name);
    if (!link || link->alias != kIpipAlias) return steps.end(true);
    const auto present = dump_addresses(socket, link->index);
    if (present) {
        for (const LinkAddress& at : *present) {
            if (at.address.address.family != Family::v4 || at.address.length != 32) continue;
            steps.took(change_address(socket, false, at), fmt::format("address {}", to_string(at.address)));
        }
    }
    set_alias(steps, socket, *link, "");
    return steps.end(true);
}

bool probe(Socket& socket, std::string_view kind) {
    Writer request;
    begin_link(request, socket, NLM_F_CREATE | NLM_F_EXCL, 0);
    request.put_text(IFLA_IFNAME, "weft/probe");
    const std::size_t info = request.open(IFLA_LINKINFO);
    request.put_text(IFLA_INFO_KIND, kind);
    request.close(info);
    request.end();
    // dev_valid_name: EINVAL; of an unknown kind, which is looked up before, EOPNOTSUPP.
    return socket.request(request).error != EOPNOTSUPP;
}

}  // namespace weft::netlink
