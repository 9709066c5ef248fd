#include "tunnel/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "tunnel/plan_order.hpp"

namespace weft {
namespace {

/// The first kernel whose IPv6 takes routes with onlink gateways through a VXLAN device; Calico demands the same.
constexpr KernelVersion kFirstVxlan6{.major = 4, .minor = 19, .patch = 1};
/// Outer Ethernet, IP, UDP and VXLAN headers (RFC 7348) and the inner Ethernet header, less the outer Ethernet's.
constexpr std::uint32_t kVxlanOverhead4 = 50;
constexpr std::uint32_t kVxlanOverhead6 = 70;
constexpr std::uint32_t kIpipOverhead = 20;
constexpr std::uint32_t kIpv6LeastMtu = 1280;  // RFC 8200, section 5

std::string_view name_of(Family family) {
    return family == Family::v4 ? "IPv4" : "IPv6";
}

/// The reason for a path, as a value: its text is made only when somebody asks, because a plan for 20,000 blocks must
/// not build 20,000 strings.
enum class Why : std::uint8_t {
    no_pool,
    own,
    backend_none,
    backend_vxlan,
    by_bgp,
    no_vxlan_here,
    no_peer_address,
    no_peer_tunnel,
    always,
    other_subnet,
    same_subnet
};

struct Verdict {
    Path path = Path::withheld;
    Why why = Why::no_pool;
};

/// What is the same for every block: this node, and for each family whether VXLAN can work here at all.
struct Here {
    const PlanInput& input;
    const Node* self;
    /// For each family: empty when VXLAN works here, else what is missing and what to do.
    std::array<std::string, 2> vxlan_obstacle;
    std::array<std::optional<Prefix>, 2> subnet;

    const std::string& obstacle(Family family) const { return vxlan_obstacle[family == Family::v4 ? 0 : 1]; }
};

bool any_pool(const Cluster& cluster, Family family, Encapsulate Pool::*encapsulation) {
    return std::any_of(cluster.pools.begin(), cluster.pools.end(), [&](const Pool& pool) {
        return pool.cidr.family() == family && pool.*encapsulation != Encapsulate::never;
    });
}

std::string obstacle_to_vxlan(const PlanInput& input, const Node* self, Family family) {
    const Host& host = input.host;
    const auto ip = name_of(family);
    if (self == nullptr) return fmt::format("this node, '{}', is not in the cluster", input.node);
    if (!host.can.vxlan) {
        return "this kernel has no vxlan module: install it, or use a kernel that has it (CONFIG_VXLAN), and restart "
               "weftd";
    }
    if (family == Family::v6 && !host.can.ipv6) return "this kernel has no IPv6: enable it to use IPv6 VXLAN pools";
    if (family == Family::v6 && host.kernel < kFirstVxlan6) {
        return fmt::format("IPv6 VXLAN needs a kernel of at least 4.19.1, this is {}.{}.{}", host.kernel.major,
                           host.kernel.minor, host.kernel.patch);
    }
    if (!self->address(family)) {
        return fmt::format("node {} has no {} address, so it has no {} VTEP: give it an 'address' of that family",
                           self->name, ip, ip);
    }
    if (!self->vxlan(family)) {
        return fmt::format(
            "node {} has no {} VXLAN tunnel address: give it a block in a VXLAN pool, or a 'vxlan address'", self->name,
            ip);
    }
    if (!host.underlay(family)) {
        return fmt::format("no interface of this host has node {}'s {} address {}", self->name, ip,
                           to_string(self->address(family)->address));
    }
    return {};
}

Here here(const PlanInput& input) {
    Here here{.input = input, .self = input.cluster.find_node(input.node), .vxlan_obstacle = {}, .subnet = {}};
    for (const Family family : kFamilies) {
        const std::size_t at = family == Family::v4 ? 0 : 1;
        here.vxlan_obstacle.at(at) = obstacle_to_vxlan(input, here.self, family);
        if (here.self != nullptr && here.self->address(family)) {
            here.subnet.at(at) = here.self->address(family)->network();
        }
    }
    return here;
}

Verdict judge(const Here& here, const Pool* pool, const Block& block) {
    const PlanInput& input = here.input;
    if (pool == nullptr) return {.path = Path::unserved, .why = Why::no_pool};
    const Node& node = input.cluster.nodes[block.node];
    if (input.backend == Backend::none) return {.path = Path::unserved, .why = Why::backend_none};
    if (&node == here.self) return {.path = Path::local, .why = Why::own};
    if (pool->vxlan == Encapsulate::never) {
        if (input.backend == Backend::bird) return {.path = Path::bgp, .why = Why::by_bgp};
        return {.path = Path::unserved, .why = Why::backend_vxlan};
    }
    const Family family = block.cidr.family();
    if (!here.obstacle(family).empty()) return {.path = Path::withheld, .why = Why::no_vxlan_here};
    const auto& address = node.address(family);
    if (!address) return {.path = Path::withheld, .why = Why::no_peer_address};
    // Calico's rule: the remote address in this node's own subnet, whatever the remote's prefix length says.
    const bool near = here.subnet[family == Family::v4 ? 0 : 1]->contains(address->address);
    if (pool->vxlan == Encapsulate::cross_subnet && near) return {.path = Path::direct, .why = Why::same_subnet};
    if (!node.vxlan(family)) return {.path = Path::withheld, .why = Why::no_peer_tunnel};
    return {.path = Path::vxlan, .why = pool->vxlan == Encapsulate::always ? Why::always : Why::other_subnet};
}

/// Where a block's packets go that take this path, vxlan or direct. Written into its place, which is untouched so far:
/// a plan makes 20,000 of them.
void lead(Via& via, const Cluster& cluster, const Block& block, Path path) {
    const Node& node = cluster.nodes[block.node];
    const Family family = block.cidr.family();
    if (path == Path::direct) {
        via.device = under_device(family);
        via.gateway = node.address(family)->address;
        via.onlink = true;
        return;
    }
    via.device = vxlan_device(family);
    const Address& vtep = *node.vxlan(family);
    // The tunnel address as a block of its own: it is on the link, there is no gateway to it but itself.
    if (block.cidr.is_host() && block.cidr.address == vtep) return;
    via.gateway = vtep;
    via.onlink = true;
}

std::string text_of(const Here& here, const Pool* pool, const Block& block, Why why) {
    const Node& node = here.input.cluster.nodes[block.node];
    const Family family = block.cidr.family();
    const auto peer = [&] { return to_string(node.address(family)->address); };
    const auto subnet = [&] { return to_string(*here.subnet[family == Family::v4 ? 0 : 1]); };
    switch (why) {
        case Why::no_pool:
            return fmt::format("{} lies in no pool", to_string(block.cidr));
        case Why::own:
            return "the block is this node's own";
        case Why::backend_none:
            return "calico_backend none: weft programs nothing";
        case Why::backend_vxlan:
            return "calico_backend vxlan runs no BGP, and the pool has no VXLAN: nothing distributes its routes";
        case Why::by_bgp:
            return pool->ipip == Encapsulate::never
                       ? "the pool has no encapsulation: BGP distributes its routes, BIRD programs them"
                       : fmt::format("the pool says ipip {}: BGP distributes its routes, BIRD programs them",
                                     to_string(pool->ipip));
        case Why::no_vxlan_here:
            return here.obstacle(family);
        case Why::no_peer_address:
            return fmt::format("node {} has no {} address, so it has no VTEP", node.name, name_of(family));
        case Why::no_peer_tunnel:
            return fmt::format("node {} has no {} VXLAN tunnel address", node.name, name_of(family));
        case Why::always:
            return "the pool says vxlan always";
        case Why::other_subnet:
            return fmt::format("{}'s {} is not in this node's {}, pool says cross subnet", node.name, peer(), subnet());
        case Why::same_subnet:
            break;
    }
    return fmt::format("{}'s {} is in this node's {}, pool says cross subnet", node.name, peer(), subnet());
}

/// The MTU to set: as configured, but never more than the underlay carries.
std::uint32_t tunnel_mtu(std::optional<std::uint32_t> wanted, const Underlay& underlay, std::uint32_t overhead,
                         std::string_view device, std::vector<Problem>& problems) {
    const std::uint32_t most = underlay.mtu > overhead ? underlay.mtu - overhead : 0;
    if (!wanted) return most;
    if (*wanted > most) {
        problems.push_back({.object = fmt::format("device {}", device),
                            .text = fmt::format("mtu {} is more than {} carries ({} less {} for the encapsulation): {} "
                                                "is used; lower the setting or raise the underlay's MTU",
                                                *wanted, underlay.device, underlay.mtu, overhead, most),
                            .unready = false});
    }
    return std::min(*wanted, most);
}

void plan_vxlan_device(const Here& here, Family family, Plan& plan) {
    const VxlanSettings& settings = here.input.cluster.vxlan;
    const Underlay& underlay = *here.input.host.underlay(family);
    const std::uint32_t overhead = family == Family::v4 ? kVxlanOverhead4 : kVxlanOverhead6;
    VxlanDevice device{
        .role = vxlan_device(family),
        .name = settings.device(family),
        .vni = settings.vni,
        .port = settings.port,
        .local = here.self->address(family)->address,
        .parent = under_device(family),
        .mac = here.self->mac(family),
        .mtu = tunnel_mtu(settings.mtu_of(family), underlay, overhead, settings.device(family), plan.problems),
        .learning = false,
        .up = true,
        .address = *here.self->vxlan(family)};
    if (family == Family::v6 && device.mtu < kIpv6LeastMtu) {
        plan.problems.push_back(
            {.object = fmt::format("device {}", device.name),
             .text = fmt::format("its MTU would be {}, IPv6 needs {}: raise {}'s MTU to {}", device.mtu, kIpv6LeastMtu,
                                 underlay.device, kIpv6LeastMtu + overhead),
             .unready = true});
        device.mtu = kIpv6LeastMtu;
    }
    if (family == Family::v4) {
        plan.desired.sysctls.push_back({.path = fmt::format("ipv4/conf/{}/rp_filter", device.name), .value = "2"});
    }
    plan.desired.vxlan.push_back(std::move(device));
}

/// Whether the first of `blocks` is the most specific one that holds `vtep`: borrowed addresses, which win over the
/// block that they lie in, follow it.
bool most_specific(std::span<const Block> blocks, const Address& vtep) {
    const Prefix& cidr = blocks.front().cidr;
    if (!cidr.contains(vtep)) return false;
    for (const Block& inside : blocks.subspan(1)) {
        if (!cidr.contains(inside.cidr)) break;
        if (inside.cidr.contains(vtep)) return false;
    }
    return true;
}

/// For each node whether its tunnel address lies in a block of its own.
using Covered = std::array<std::vector<bool>, 2>;

Covered plan_routes(const Here& here, Plan& plan) {
    const Cluster& cluster = here.input.cluster;
    plan.desired.routes.reserve(cluster.blocks.size() + 16);
    Covered covered;
    covered.fill(std::vector<bool>(cluster.nodes.size(), false));
    const Pool* pool = nullptr;
    for (auto at = cluster.blocks.begin(); at != cluster.blocks.end(); ++at) {
        const Block& block = *at;
        const Family family = block.cidr.family();
        const auto& vtep = cluster.nodes[block.node].vxlan(family);
        if (vtep && most_specific({at, cluster.blocks.end()}, *vtep)) {
            covered[family == Family::v4 ? 0 : 1][block.node] = true;
        }
        if (pool == nullptr || !pool->cidr.contains(block.cidr)) pool = cluster.pool_of(block.cidr);
        const Verdict verdict = judge(here, pool, block);
        if (verdict.path == Path::local && !block.cidr.is_host() &&
            (here.input.backend == Backend::bird || pool->vxlan != Encapsulate::never)) {
            plan.desired.routes.push_back(
                {.destination = block.cidr, .metric = kBlackholeMetric, .type = RouteType::blackhole, .via = {}});
        } else if (verdict.path == Path::vxlan || verdict.path == Path::direct) {
            Route& route = plan.desired.routes.emplace_back();
            route.destination = block.cidr;
            route.metric = route_metric(family);
            lead(route.via, cluster, block, verdict.path);
        }
    }
    return covered;
}

void plan_vteps(const Here& here, Family family, const std::vector<bool>& covered, Plan& plan) {
    const Device device = vxlan_device(family);
    const auto& nodes = here.input.cluster.nodes;
    plan.desired.neighbours.reserve(plan.desired.neighbours.size() + nodes.size());
    plan.desired.fdb.reserve(plan.desired.fdb.size() + nodes.size());
    for (std::size_t at = 0; at < nodes.size(); ++at) {
        const Node& node = nodes[at];
        const auto& vtep = node.vxlan(family);
        if (&node == here.self || !vtep || !node.address(family)) continue;
        const Mac mac = node.mac(family);
        plan.desired.neighbours.push_back({.device = device, .address = *vtep, .mac = mac});
        plan.desired.fdb.push_back({.device = device, .mac = mac, .destination = node.address(family)->address});
        // A tunnel address outside the node's own blocks is reached by no block's route (borrowed, or from elsewhere).
        if (!covered[at]) {
            plan.desired.routes.push_back({.destination = host_prefix(*vtep),
                                           .metric = route_metric(family),
                                           .type = RouteType::unicast,
                                           .via = {.device = device, .gateway = {}}});
        }
    }
}

void plan_ipip(const Here& here, Plan& plan) {
    const PlanInput& input = here.input;
    const IpipSettings& settings = input.cluster.ipip;
    if (input.backend != Backend::bird || !any_pool(input.cluster, Family::v4, &Pool::ipip)) return;
    const std::string object = fmt::format("device {}", settings.device);
    if (!input.host.can.ipip) {
        plan.problems.push_back(
            {.object = object, .text = "this kernel has no ipip module; VXLAN needs none", .unready = true});
        return;
    }
    if (here.self == nullptr || !here.self->address4 || !input.host.underlay4) {
        plan.problems.push_back({.object = object,
                                 .text = "IPIP pools need this node's IPv4 address on an interface of this host",
                                 .unready = true});
        return;
    }
    IpipDevice device{
        .name = settings.device,
        .mtu = tunnel_mtu(settings.mtu, *input.host.underlay4, kIpipOverhead, settings.device, plan.problems),
        .up = true,
        .address = here.self->ipip4.value_or(Address{})};
    plan.desired.sysctls.push_back({.path = fmt::format("ipv4/conf/{}/rp_filter", device.name), .value = "2"});
    plan.desired.ipip = std::move(device);
}

/// What the mode cannot serve is named, never silently dropped.
void name_unserved_pools(const Here& here, Plan& plan) {
    const Backend backend = here.input.backend;
    if (backend == Backend::bird) return;
    for (const Pool& pool : here.input.cluster.pools) {
        if (backend == Backend::vxlan && pool.vxlan != Encapsulate::never) continue;
        const std::string_view why = backend == Backend::none
                                         ? "calico_backend none: weft programs no routes for it"
                                         : "calico_backend vxlan runs no BGP, so nothing distributes its routes: set "
                                           "'vxlan' for the pool, or calico_backend bird";
        plan.problems.push_back(
            {.object = fmt::format("pool {}", to_string(pool.cidr)), .text = std::string(why), .unready = false});
    }
}

}  // namespace

std::string_view to_string(Path path) {
    switch (path) {
        case Path::local:
            return "local";
        case Path::vxlan:
            return "vxlan";
        case Path::direct:
            return "direct";
        case Path::bgp:
            return "bgp";
        case Path::withheld:
            return "withheld";
        case Path::unserved:
            break;
    }
    return "unserved";
}

Plan plan(const PlanInput& input) {
    Plan plan;
    plan.desired.use_nexthop_objects = input.host.can.nexthop_objects;
    const Here at = here(input);
    name_unserved_pools(at, plan);
    if (at.self == nullptr) {
        // The installed example configuration names no nodes: a lone daemon with nothing to do is no fault.
        if (!input.cluster.nodes.empty()) {
            plan.problems.push_back({.object = fmt::format("node {}", input.node),
                                     .text = "this node is not in the cluster: add it, or set 'hostname'",
                                     .unready = true});
        }
        return plan;
    }
    if (input.backend == Backend::none) return plan;
    for (const Family family : kFamilies) {
        const bool pools = std::any_of(input.cluster.pools.begin(), input.cluster.pools.end(),
                                       [&](const Pool& pool) { return pool.cidr.family() == family; });
        if (!pools || (family == Family::v6 && !input.host.can.ipv6)) continue;
        plan.desired.sysctls.push_back(
            {.path = family == Family::v4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding", .value = "1"});
    }
    const Covered covered = plan_routes(at, plan);
    for (const Family family : kFamilies) {
        if (!any_pool(input.cluster, family, &Pool::vxlan)) continue;
        if (!at.obstacle(family).empty()) {
            // What is missing for both families is said once.
            const std::string object = input.host.can.vxlan ? fmt::format("{} VXLAN", name_of(family)) : "VXLAN";
            const Problem problem{.object = object, .text = at.obstacle(family), .unready = true};
            if (plan.problems.empty() || !(plan.problems.back() == problem)) plan.problems.push_back(problem);
            continue;
        }
        plan_vxlan_device(at, family, plan);
        plan_vteps(at, family, covered[family == Family::v4 ? 0 : 1], plan);
    }
    plan_ipip(at, plan);
    put_in_order(plan);
    return plan;
}

Decision decide(const PlanInput& input, const Block& block) {
    const Here at = here(input);
    const Pool* const pool = input.cluster.pool_of(block.cidr);
    const Verdict verdict = judge(at, pool, block);
    Decision decision{.path = verdict.path, .via = {}, .why = text_of(at, pool, block, verdict.why)};
    if (verdict.path == Path::vxlan || verdict.path == Path::direct) {
        lead(decision.via, input.cluster, block, verdict.path);
    }
    return decision;
}

}  // namespace weft
