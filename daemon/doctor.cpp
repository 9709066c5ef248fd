#include "daemon/doctor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>

namespace weft {
namespace {

/// Stock BIRD needs this one for routes into a tunnel (onlink in filters).
constexpr KernelVersion kOldestBird{.major = 2, .minor = 0, .patch = 12};

bool wants(const HostFacts& facts, Encapsulate Pool::*encapsulation, Family family) {
    return std::any_of(facts.cluster.pools.begin(), facts.cluster.pools.end(), [&](const Pool& pool) {
        return pool.cidr.family() == family && pool.*encapsulation != Encapsulate::never;
    });
}

bool wants_vxlan(const HostFacts& facts) {
    return facts.config.backend.value != Backend::none &&
           (wants(facts, &Pool::vxlan, Family::v4) || wants(facts, &Pool::vxlan, Family::v6));
}

bool wants_bird(const HostFacts& facts) {
    return facts.config.backend.value == Backend::bird;
}

bool wants_ipip(const HostFacts& facts) {
    return wants_bird(facts) && wants(facts, &Pool::ipip, Family::v4);
}

/// The devices that weft makes or uses here.
std::vector<std::string> devices(const HostFacts& facts) {
    std::vector<std::string> names;
    if (facts.config.backend.value != Backend::none) {
        if (wants(facts, &Pool::vxlan, Family::v4)) names.push_back(facts.cluster.vxlan.device4);
        if (wants(facts, &Pool::vxlan, Family::v6)) names.push_back(facts.cluster.vxlan.device6);
    }
    if (wants_ipip(facts)) names.push_back(facts.cluster.ipip.device);
    return names;
}

const Nic* nic_with(const HostFacts& facts, const Address& address) {
    for (const Nic& nic : facts.nics) {
        if (std::find(nic.addresses.begin(), nic.addresses.end(), address) != nic.addresses.end()) return &nic;
    }
    return nullptr;
}

const Node* this_node(const HostFacts& facts) {
    return facts.cluster.find_node(facts.config.hostname.value);
}

/// The interface that carries this node's address of a family; nullptr: none.
const Nic* underlay(const HostFacts& facts, Family family) {
    const Node* const self = this_node(facts);
    if (self == nullptr || !self->address(family)) return nullptr;
    return nic_with(facts, self->address(family)->address);
}

using Findings = std::vector<Finding>;

/// Warnings are counted only: `weftd -p` shows them, and what matters of them has a rule of its own here.
void examine_configuration(const HostFacts& facts, Findings& findings) {
    std::size_t warnings = 0;
    for (const Diagnostic& diagnostic : facts.diagnostics) {
        if (diagnostic.severity == Severity::warning) {
            ++warnings;
            continue;
        }
        findings.push_back({.concern = Concern::error,
                            .what = to_string(diagnostic),
                            .to_do = fmt::format("correct it, then check with: weftd -p -c {}", facts.config_file)});
    }
    if (warnings == 0) return;
    findings.push_back({.concern = Concern::note,
                        .what = fmt::format("{} has {} warnings", facts.config_file, warnings),
                        .to_do = fmt::format("see: weftd -p -c {}", facts.config_file)});
}

void examine_kernel(const HostFacts& facts, Findings& findings) {
    const auto& [major, minor, patch] = facts.kernel;
    if (wants_vxlan(facts) && facts.vxlan_module == Presence::no) {
        findings.push_back(
            {.concern = Concern::error,
             .what = fmt::format("kernel {}.{}.{} has no vxlan module, which VXLAN pools need", major, minor, patch),
             .to_do = "install the distribution's full kernel (or its 'modules-extra' package)"});
    }
    if (wants_ipip(facts) && facts.ipip_module == Presence::no) {
        findings.push_back(
            {.concern = Concern::error,
             .what = fmt::format("kernel {}.{}.{} has no ipip module, which IPIP pools need", major, minor, patch),
             .to_do = "install the distribution's full kernel (or its 'modules-extra' package), or use "
                      "'vxlan' in the pools: VXLAN needs none"});
    }
    if (facts.config.backend.value != Backend::none && wants(facts, &Pool::vxlan, Family::v6) &&
        facts.kernel < KernelVersion{4, 19, 1}) {
        findings.push_back({.concern = Concern::error,
                            .what = fmt::format("kernel {}.{}.{} is too old for VXLAN over IPv6", major, minor, patch),
                            .to_do = "run Linux 4.19.1 or later"});
    }
    constexpr std::size_t kManyBlocks = 2000;
    if (facts.kernel < KernelVersion{5, 3, 0} && facts.cluster.blocks.size() > kManyBlocks) {
        findings.push_back(
            {.concern = Concern::note,
             .what = fmt::format("kernel {}.{}.{} has no nexthop objects: the first write of {} routes takes seconds",
                                 major, minor, patch, facts.cluster.blocks.size()),
             .to_do = "run Linux 5.3 or later"});
    }
    if (!facts.net_admin) {
        findings.push_back({.concern = Concern::note,
                            .what = "the doctor runs without CAP_NET_ADMIN, and may not see who has a port",
                            .to_do = "run it as root; the service weftd has the capabilities it needs"});
    }
}

void examine_bird(const HostFacts& facts, Findings& findings) {
    if (!wants_bird(facts)) return;
    const std::string& program = facts.config.bird_program.value;
    const std::string alternative = "or say 'calico_backend vxlan;' where all pools use VXLAN, which needs no BIRD";
    if (!facts.bird_version) {
        findings.push_back({.concern = Concern::error,
                            .what = fmt::format("{} is missing or does not say its version", program),
                            .to_do = fmt::format("install BIRD 2 (the package bird2, or bird), {}", alternative)});
    } else if (parse_kernel_version(*facts.bird_version) < kOldestBird) {
        findings.push_back(
            {.concern = Concern::error,
             .what = fmt::format("{} is version {}, which cannot route into a tunnel", program, *facts.bird_version),
             .to_do = fmt::format("install BIRD 2.0.12 or later, {}", alternative)});
    }
}

/// A BIRD that weft runs has the port by right; which one that is cannot be seen from here, so only others are told.
void examine_ports(const HostFacts& facts, Findings& findings) {
    const auto has = [](const std::vector<Listener>& listeners, std::uint16_t port) -> const Listener* {
        const auto found = std::find_if(listeners.begin(), listeners.end(),
                                        [port](const Listener& listener) { return listener.port == port; });
        return found == listeners.end() ? nullptr : &*found;
    };
    const std::uint16_t vxlan_port = facts.cluster.vxlan.port;
    if (const Listener* const other = has(facts.udp, vxlan_port); other != nullptr && wants_vxlan(facts)) {
        std::vector<std::string> foreign;
        bool ours = false;
        for (const Nic& nic : facts.nics) {
            if (!nic.vxlan) continue;
            const bool own = nic.name == facts.cluster.vxlan.device4 || nic.name == facts.cluster.vxlan.device6;
            ours |= own;
            if (!own) foreign.push_back(nic.name);
        }
        if (!other->program.empty()) {
            findings.push_back(
                {.concern = Concern::error,
                 .what = fmt::format("{} has UDP port {}, which VXLAN needs", other->program, vxlan_port),
                 .to_do = "stop it or move it; or choose another port, the same on all nodes: protocol "
                          "vxlan { port N; }"});
        } else if (!ours && !foreign.empty()) {
            findings.push_back(
                {.concern = Concern::warning,
                 .what = fmt::format("UDP port {} is in use by a VXLAN device that is not weft's, out of {}",
                                     vxlan_port, fmt::join(foreign, ", ")),
                 .to_do =
                     fmt::format("see 'ip -d link show type vxlan': one with id {} has to go, or choose another id "
                                 "or port, the same on all nodes: protocol vxlan {{ id N; port N; }}",
                                 facts.cluster.vxlan.vni)});
        }
    }
    const std::uint16_t bgp_port = facts.cluster.bgp.port;
    if (const Listener* const other = has(facts.tcp, bgp_port);
        other != nullptr && wants_bird(facts) && !other->program.empty() && !other->program.starts_with("bird ")) {
        findings.push_back({.concern = Concern::error,
                            .what = fmt::format("{} has TCP port {}, which BGP needs", other->program, bgp_port),
                            .to_do = "stop it, or choose another port, the same on all nodes: protocol bgp { listen "
                                     "port N; }"});
    }
}

bool covered(const std::vector<std::string>& patterns, const std::string& name) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

void examine_network_managers(const HostFacts& facts, Findings& findings) {
    const auto uncovered = [&](const std::vector<std::string>& patterns) {
        std::vector<std::string> names = devices(facts);
        std::erase_if(names, [&](const std::string& name) { return covered(patterns, name); });
        return names;
    };
    if (facts.programs.contains("systemd-network")) {
        if (const auto names = uncovered(facts.networkd_unmanaged); !names.empty()) {
            findings.push_back(
                {.concern = Concern::warning,
                 .what =
                     fmt::format("systemd-networkd runs and no .network file keeps it off {}", fmt::join(names, ", ")),
                 .to_do = fmt::format("write /etc/systemd/network/10-weft.network: [Match] Name={} [Link] "
                                      "Unmanaged=yes; then: networkctl reload",
                                      fmt::join(names, " "))});
        }
        if (!facts.networkd_keeps_foreign_routes) {
            findings.push_back({.concern = Concern::warning,
                                .what = "systemd-networkd removes routes it did not set (weft's and BIRD's among them) "
                                        "whenever it restarts",
                                .to_do = "set ManageForeignRoutes=no under [Network] in "
                                         "/etc/systemd/networkd.conf.d/weft.conf, then restart systemd-networkd"});
        }
    }
    if (facts.programs.contains("NetworkManager")) {
        if (const auto names = uncovered(facts.network_manager_unmanaged); !names.empty()) {
            findings.push_back({.concern = Concern::warning,
                                .what = fmt::format("NetworkManager runs and manages {}", fmt::join(names, ", ")),
                                .to_do = fmt::format("write /etc/NetworkManager/conf.d/weft.conf: [keyfile] "
                                                     "unmanaged-devices+=interface-name:{}; then: nmcli general reload",
                                                     fmt::join(names, ";interface-name:"))});
        }
    }
}

void examine_firewall(const HostFacts& facts, Findings& findings) {
    if (devices(facts).empty() || !facts.programs.contains("firewalld") || facts.firewalld_knows_weft) return;
    std::vector<std::string> needed;
    if (wants_vxlan(facts)) needed.push_back(fmt::format("UDP port {}", facts.cluster.vxlan.port));
    if (wants_ipip(facts)) needed.emplace_back("IP protocol 4");
    if (wants_bird(facts)) needed.push_back(fmt::format("TCP port {}", facts.cluster.bgp.port));
    findings.push_back(
        {.concern = Concern::warning,
         .what = fmt::format("firewalld runs and no zone lets the other nodes in: {}", fmt::join(needed, ", ")),
         .to_do = "firewall-cmd --permanent --zone=ZONE-OF-THE-UNDERLAY --add-service=weft; "
                  "firewall-cmd --reload"});
}

void examine_reverse_path(const HostFacts& facts, Findings& findings) {
    if (devices(facts).empty() || facts.rp_filter_all != 1) return;
    findings.push_back({.concern = Concern::warning,
                        .what = "net.ipv4.conf.all.rp_filter is 1 (strict) and wins over what weftd sets on its "
                                "devices: replies that come back another way are dropped",
                        .to_do = "set net.ipv4.conf.all.rp_filter to 0 (each interface then follows its own setting) "
                                 "or 2 in /etc/sysctl.d"});
}

void examine_offload(const HostFacts& facts, Findings& findings) {
    if (!wants_vxlan(facts)) return;
    const std::string off =
        fmt::format("if UDP and TCP between workloads stall while ping works: ethtool -K {} tx-checksum-ip-generic off",
                    facts.cluster.vxlan.device4);
    if (facts.kernel < KernelVersion{5, 8, 0}) {
        findings.push_back(
            {.concern = Concern::warning,
             .what = fmt::format("kernel {}.{}.{} may compute wrong checksums for masqueraded packets in "
                                 "VXLAN (fixed in 5.8)",
                                 facts.kernel.major, facts.kernel.minor, facts.kernel.patch),
             .to_do = off});
    }
    for (const Family family : {Family::v4, Family::v6}) {
        const Nic* const nic = underlay(facts, family);
        if (nic == nullptr || nic->driver != "vmxnet3") continue;
        if (family == Family::v6 && nic == underlay(facts, Family::v4)) continue;
        findings.push_back({.concern = Concern::warning,
                            .what = fmt::format("{} is a vmxnet3 interface, whose checksum offload is known to spoil "
                                                "VXLAN packets",
                                                nic->name),
                            .to_do = off});
    }
}

void examine_addresses(const HostFacts& facts, Findings& findings) {
    const Node* const self = this_node(facts);
    if (self == nullptr) {
        if (facts.cluster.nodes.empty()) return;
        findings.push_back({.concern = Concern::error,
                            .what = fmt::format("this host, '{}', is not among the {} nodes",
                                                facts.config.hostname.value, facts.cluster.nodes.size()),
                            .to_do = fmt::format("add node \"{}\", or say under which name it is there: hostname "
                                                 "\"NAME\";",
                                                 facts.config.hostname.value)});
        return;
    }
    for (const Family family : {Family::v4, Family::v6}) {
        if (!self->address(family) || underlay(facts, family) != nullptr) continue;
        findings.push_back({.concern = Concern::error,
                            .what = fmt::format("no interface has {}, the address of node '{}'",
                                                to_string(self->address(family)->address), self->name),
                            .to_do = "correct the node's address, or give it to the underlay's interface"});
    }
}

void examine_mtu(const HostFacts& facts, Findings& findings) {
    struct Tunnel {
        bool wanted;
        Family family;
        std::uint32_t overhead;
        std::optional<std::uint32_t> set;
        std::string_view name;
    };
    const bool vxlan = facts.config.backend.value != Backend::none;
    for (const Tunnel& tunnel :
         {Tunnel{vxlan && wants(facts, &Pool::vxlan, Family::v4), Family::v4, 50, facts.cluster.vxlan.mtu, "vxlan"},
          Tunnel{vxlan && wants(facts, &Pool::vxlan, Family::v6), Family::v6, 70, facts.cluster.vxlan.mtu, "vxlan"},
          Tunnel{wants_ipip(facts), Family::v4, 20, facts.cluster.ipip.mtu, "ipip"}}) {
        const Nic* const nic = underlay(facts, tunnel.family);
        if (!tunnel.wanted || nic == nullptr) continue;
        if (tunnel.set && *tunnel.set + tunnel.overhead > nic->mtu) {
            findings.push_back(
                {.concern = Concern::warning,
                 .what = fmt::format("'mtu {}' of {} does not fit into {}, whose MTU is {}: large packets are "
                                     "fragmented or lost",
                                     *tunnel.set, tunnel.name, nic->name, nic->mtu),
                 .to_do = fmt::format("say 'mtu auto;' or at most {}", nic->mtu - tunnel.overhead)});
        }
        constexpr std::uint32_t kLeast6 = 1280;  // RFC 8200, 5
        if (tunnel.family == Family::v6 && nic->mtu < kLeast6 + tunnel.overhead) {
            findings.push_back({.concern = Concern::error,
                                .what = fmt::format("{} has an MTU of {}: IPv6 in VXLAN needs {}", nic->name, nic->mtu,
                                                    kLeast6 + tunnel.overhead),
                                .to_do = "raise the MTU of the underlay"});
        }
    }
}

/// Only neighbours in the node's own subnet count: those on tunnel devices are permanent, which the limit exempts.
void examine_neighbours(const HostFacts& facts, Findings& findings) {
    const Node* const self = this_node(facts);
    if (self == nullptr) return;
    for (const auto& [family, limit] : facts.gc_thresh3) {
        const auto& own = self->address(family);
        if (!own) continue;
        std::size_t near = 0;
        for (const Node& node : facts.cluster.nodes) {
            const auto& address = node.address(family);
            if (address && own->network().contains(address->address)) ++near;
        }
        if (near * 2 <= limit) continue;
        const char* const key = family == Family::v4 ? "net.ipv4" : "net.ipv6";
        findings.push_back(
            {.concern = near >= limit ? Concern::error : Concern::warning,
             .what = fmt::format("{}.neigh.default.gc_thresh3 is {}, and {} nodes share this node's "
                                 "subnet: the neighbour table may overflow",
                                 key, limit, near),
             .to_do = fmt::format("set {}.neigh.default.gc_thresh3 to {} in /etc/sysctl.d", key, near * 4)});
    }
}

void examine_router_advertisements(const HostFacts& facts, Findings& findings) {
    const bool forwards = std::any_of(facts.cluster.pools.begin(), facts.cluster.pools.end(),
                                      [](const Pool& pool) { return pool.cidr.family() == Family::v6; });
    const Nic* const nic = underlay(facts, Family::v6);
    if (!forwards || nic == nullptr || nic->accept_ra != 1) return;
    findings.push_back({.concern = Concern::warning,
                        .what = fmt::format("{} takes its IPv6 default route from router advertisements, which the "
                                            "kernel ignores once the node forwards IPv6",
                                            nic->name),
                        .to_do = fmt::format("set net.ipv6.conf.{}.accept_ra to 2 in /etc/sysctl.d, or a static "
                                             "default route",
                                             nic->name)});
}

void examine_clock(const HostFacts& facts, Findings& findings) {
    if (facts.clock_synchronised != false) return;
    findings.push_back({.concern = Concern::note,
                        .what = "the clock is not synchronised: logs of different nodes will not fit together, and TLS "
                                "certificates may seem invalid",
                        .to_do = "run chrony or systemd-timesyncd"});
}

}  // namespace

std::vector<Finding> examine(const HostFacts& facts) {
    Findings findings;
    examine_configuration(facts, findings);
    examine_addresses(facts, findings);
    examine_kernel(facts, findings);
    examine_bird(facts, findings);
    examine_ports(facts, findings);
    examine_network_managers(facts, findings);
    examine_firewall(facts, findings);
    examine_reverse_path(facts, findings);
    examine_offload(facts, findings);
    examine_mtu(facts, findings);
    examine_neighbours(facts, findings);
    examine_router_advertisements(facts, findings);
    examine_clock(facts, findings);
    std::stable_sort(findings.begin(), findings.end(),
                     [](const Finding& a, const Finding& b) { return a.concern < b.concern; });
    return findings;
}

std::string to_string(const std::vector<Finding>& findings) {
    constexpr std::array<std::string_view, 3> kNames{"error", "warning", "note"};
    std::array<std::size_t, 3> counts{};
    std::string text;
    for (const Finding& finding : findings) {
        const auto concern = static_cast<std::size_t>(finding.concern);
        ++counts[concern];
        text += fmt::format("{}: {}\n    {}\n", kNames[concern], finding.what, finding.to_do);
    }
    if (findings.empty()) return "nothing found that stands in weft's way\n";
    return text + fmt::format("{} errors, {} warnings, {} notes\n", counts[0], counts[1], counts[2]);
}

}  // namespace weft
