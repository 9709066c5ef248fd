#include "daemon/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "daemon/show.hpp"

namespace weft {
namespace {

constexpr std::uint8_t kBirdProtocol = 12;  // RTPROT_BIRD

std::string via_text(const std::string& device, const std::optional<Address>& gateway) {
    std::string text = gateway ? "via " + to_string(*gateway) : std::string{};
    if (!device.empty()) text += (text.empty() ? "dev " : " dev ") + device;
    return text;
}

/// The route that the kernel took, as a name for it: "10.65.2.0/28 (protocol static, metric 0)".
std::string match_text(const Lookup& lookup) {
    return fmt::format("{} (protocol {}, metric {})", lookup.match ? to_string(*lookup.match) : "its route",
                       route_protocol_name(lookup.protocol), lookup.metric);
}

class Explainer {
  public:
    Explainer(const State& state, const Address& address, const Result<Lookup>& kernel)
        : state_(state), address_(address), kernel_(kernel) {}

    Explanation run() {
        fact("Address", "address", to_string(address_));
        const Pool* const pool = state_.cluster.pool_of(host_prefix(address_));
        if (pool == nullptr) {
            in_no_pool();
        } else {
            fact("Pool", "pool", to_string(pool->cidr));
            fact("", "pool_ipip", to_string(pool->ipip));
            fact("", "pool_vxlan", to_string(pool->vxlan));
            const Block* const block = state_.cluster.block_of(address_);
            if (block == nullptr) {
                in_no_block(*pool);
            } else {
                in_block(*pool, *block);
            }
        }
        return std::move(result_);
    }

  private:
    void fact(std::string_view title, std::string_view key, std::string_view text) {
        result_.facts.push_back({title, key, cell(text)});
    }
    template <class... Arguments>
    void problem(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        result_.problems.push_back(fmt::format(format, std::forward<Arguments>(arguments)...));
    }

    void in_no_pool() {
        const auto& nodes = state_.cluster.nodes;
        const auto owner = std::find_if(nodes.begin(), nodes.end(), [&](const Node& node) {
            const auto& underlay = node.address(address_.family);
            return underlay && underlay->address == address_;
        });
        kernel_says();
        if (owner == nodes.end()) {
            problem("{} is in no pool: weft sets no route for it; add a pool, or look for the address elsewhere",
                    to_string(address_));
        } else {
            fact("Node", "node", owner->name);
            problem("{} is node {}'s own address on the underlay and no workload's: weft sets no route for it",
                    to_string(address_), owner->name);
        }
    }

    void in_no_block(const Pool& pool) {
        kernel_says();
        problem("{} is in pool {}, but in no node's block: no node says that it has it, and packets to it go {}",
                to_string(address_), to_string(pool.cidr),
                kernel_ ? fmt::format("by the kernel's route {}", match_text(*kernel_)) : "nowhere");
    }

    void in_block(const Pool& pool, const Block& block) {
        const Node& node = state_.cluster.nodes.at(block.node);
        const Decision decision = decide(plan_input(state_), block);
        fact("Block", "block", to_string(block.cidr));
        fact("Node", "node", node.name);
        if (const auto& underlay = node.address(address_.family)) {
            fact("", "node_address", to_string(underlay->address));
        }
        fact("Path", "path", to_string(decision.path));
        fact("Why", "why", decision.why);
        switch (decision.path) {
            case Path::local:
                local(block);
                break;
            case Path::vxlan:
            case Path::direct:
                programmed(block, node, decision);
                break;
            case Path::bgp:
                by_bgp(pool, block, node);
                break;
            case Path::withheld:
            case Path::unserved:
                kernel_says();
                problem("no route to {} is set: {}", to_string(block.cidr), decision.why);
                break;
        }
        for (const std::string& failure : state_.kernel_failures) {
            if (failure.find(to_string(block.cidr)) != std::string::npos) problem("the kernel refuses: {}", failure);
        }
    }

    void kernel_says() {
        if (!kernel_) {
            fact("Kernel", "kernel", kernel_.error().message);
            return;
        }
        const Lookup& lookup = *kernel_;
        const std::string way = via_text(lookup.device, lookup.gateway);
        const std::string route = lookup.match ? ", route " + match_text(lookup) : std::string{};
        fact("Kernel", "kernel", lookup.type + (way.empty() ? "" : " " + way) + route);
        fact("", "kernel_type", lookup.type);
        if (lookup.match) fact("", "kernel_match", to_string(*lookup.match));
        if (!lookup.device.empty()) fact("", "kernel_protocol", route_protocol_name(lookup.protocol));
        if (lookup.device.empty()) return;
        fact("Device", "device", lookup.device);
        result_.facts.push_back({"MTU", "mtu", cell(lookup.mtu)});
    }

    /// One of this node's own: a workload's device, or nothing that leads away from here.
    void local(const Block& block) {
        kernel_says();
        if (!kernel_) {
            problem("nothing on this node has {}: the kernel has no route to it", to_string(address_));
            return;
        }
        const Lookup& lookup = *kernel_;
        if (lookup.type == "local") {
            fact("Here", "note", "this node's own address (a tunnel's, or an interface's)");
        } else if (lookup.type == "blackhole") {
            problem(
                "no workload of this node has {}: the block's blackhole drops packets to it; if a workload should, "
                "look why its route is missing (ip route show {})",
                to_string(address_), to_string(host_prefix(address_)));
        } else if (leads_away(lookup) || (lookup.match && lookup.match->length < block.cidr.length)) {
            problem("packets leave this node although the block is its own: {} leads {}; {}", match_text(lookup),
                    via_text(lookup.device, lookup.gateway),
                    lookup.match && lookup.match->length >= block.cidr.length
                        ? "remove that route"
                        : fmt::format("the blackhole route {} is missing", to_string(block.cidr)));
        }
    }

    bool leads_away(const Lookup& lookup) const {
        for (const Device device : {Device::vxlan4, Device::vxlan6, Device::ipip, Device::under4, Device::under6}) {
            if (lookup.device == device_name(state_, device)) return true;
        }
        return false;
    }

    /// The route that weft wants for this address: its block's, or a tunnel address's own.
    const Route* planned() const {
        const Route* best = nullptr;
        for (const Route& route : state_.desired.routes) {
            if (!route.destination.contains(address_)) continue;
            if (best == nullptr || route.destination.length > best->destination.length) best = &route;
        }
        return best;
    }

    void programmed(const Block& block, const Node& node, const Decision& decision) {
        const Route* const route = planned();
        Route wanted{.destination = block.cidr, .metric = route_metric(address_.family), .type = {}, .via = {}};
        wanted.via = decision.via;
        if (route != nullptr && route->type == RouteType::unicast) wanted = *route;
        const std::string device = device_name(state_, wanted.via.device);
        fact("Route", "route",
             fmt::format("{} {}{}", to_string(wanted.destination), via_text(device, wanted.via.gateway),
                         wanted.via.onlink ? " onlink" : ""));
        kernel_says();
        compare(wanted, device);
        if (wanted.via.device == vxlan_device(address_.family)) {
            tunnel_device(wanted.via.device, device);
            vtep(wanted.via.device, wanted.via.gateway.value_or(address_), node);
        }
    }

    /// The kernel's answer against the plan's.
    void compare(const Route& wanted, const std::string& device) {
        const auto& all = state_.observed.routes;
        const bool there =
            std::any_of(all.begin(), all.end(), [&](const ObservedRoute& have) { return have.route == wanted; });
        if (!kernel_) {
            problem("the kernel finds no way to {} ({}){}", to_string(address_), kernel_.error().message,
                    there ? "" : missing(wanted));
            return;
        }
        const Lookup& lookup = *kernel_;
        const bool same_way = lookup.device == device && (!wanted.via.gateway || lookup.gateway == wanted.via.gateway);
        const bool same_route = !lookup.match || *lookup.match == wanted.destination;
        if (same_way && same_route) return;
        const std::string instead = lookup.device.empty() ? lookup.type : via_text(lookup.device, lookup.gateway);
        if (lookup.match && lookup.match->length > wanted.destination.length) {
            const bool ours = lookup.protocol == kProtocol;
            problem("a more specific {}route overrides weft's: {} leads {}; {}", ours ? "" : "foreign ",
                    match_text(lookup), instead,
                    ours ? "weft removes it, or has not yet" : "remove it, or whatever sets it");
        } else if (lookup.match && *lookup.match == wanted.destination) {
            problem(
                "another route to the same destination wins over weft's: {} leads {}; remove it, or whatever "
                "sets it",
                match_text(lookup), instead);
        } else if (!there) {
            problem("packets go {} by {}{}", instead, match_text(lookup), missing(wanted));
        } else {
            problem(
                "the kernel sends packets {} ({}) instead of {}: look at `ip rule`, routing rules come before "
                "weft's table",
                instead, lookup.match ? match_text(lookup) : lookup.type, via_text(device, wanted.via.gateway));
        }
    }

    static std::string missing(const Route& wanted) {
        return fmt::format("; weft's route to {} is not in the kernel, see `show status`",
                           to_string(wanted.destination));
    }

    void tunnel_device(Device role, const std::string& name) {
        const auto& all = state_.observed.vxlan;
        const auto device =
            std::find_if(all.begin(), all.end(), [&](const ObservedVxlan& have) { return have.device.role == role; });
        if (device == all.end()) {
            problem("the device {} does not exist, see `show tunnels`", name);
        } else if (!device->device.up) {
            problem("the device {} is down", name);
        }
    }

    /// What turns the tunnel address into a MAC and that into the remote node.
    void vtep(Device device, const Address& tunnel, const Node& node) {
        const Mac mac = node.mac(address_.family);
        const auto& neighbours = state_.observed.neighbours;
        const auto neighbour = std::find_if(neighbours.begin(), neighbours.end(), [&](const Neighbour& have) {
            return have.device == device && have.address == tunnel;
        });
        fact("Neighbour", "neighbour",
             neighbour == neighbours.end() ? "" : to_string(tunnel) + " lladdr " + to_string(neighbour->mac));
        if (neighbour == neighbours.end()) {
            problem("the kernel has no neighbour {} on {}: packets to node {} are not sent", to_string(tunnel),
                    device_name(state_, device), node.name);
            return;
        }
        if (neighbour->mac != mac && node.vxlan(address_.family) == tunnel) {
            problem("the neighbour {} has {} instead of node {}'s MAC {}", to_string(tunnel), to_string(neighbour->mac),
                    node.name, to_string(mac));
        }
        const auto& fdb = state_.observed.fdb;
        const auto entry = std::find_if(fdb.begin(), fdb.end(), [&](const FdbEntry& have) {
            return have.device == device && have.mac == neighbour->mac;
        });
        fact("FDB", "fdb", entry == fdb.end() ? "" : to_string(entry->mac) + " dst " + to_string(entry->destination));
        if (entry == fdb.end()) {
            problem("the forwarding database of {} has no entry for {}: packets to node {} are not sent",
                    device_name(state_, device), to_string(neighbour->mac), node.name);
        }
    }

    /// BIRD's to program: whether it has, and if not, why.
    void by_bgp(const Pool& pool, const Block& block, const Node& node) {
        kernel_says();
        const bool up = sessions_with(node);
        if (state_.bgp.bird != BirdState::running) {
            problem("BIRD is {}{}", to_string(state_.bgp.bird),
                    state_.bgp.reason.empty() ? "" : ": " + state_.bgp.reason);
        } else if (!state_.bgp.config_error.empty()) {
            problem("BIRD rejects its configuration: {}", state_.bgp.config_error);
        }
        if (!kernel_) {
            problem("the kernel finds no way to {} ({}): BIRD has set no route to {}", to_string(address_),
                    kernel_.error().message, to_string(block.cidr));
            return;
        }
        const Lookup& lookup = *kernel_;
        const bool specific = lookup.match && lookup.match->length >= block.cidr.length;
        if (lookup.match && !specific) {
            problem("packets go {} by {}: BIRD has set no route to {}{}",
                    lookup.device.empty() ? lookup.type : via_text(lookup.device, lookup.gateway), match_text(lookup),
                    to_string(block.cidr), up ? ", look at `birdc show route` on both nodes" : "");
        } else if (lookup.protocol != kBirdProtocol) {
            problem("a {}route overrides BIRD's: {} leads {}; remove it, or whatever sets it",
                    lookup.match && lookup.match->length > block.cidr.length ? "more specific foreign " : "foreign ",
                    match_text(lookup), lookup.device.empty() ? lookup.type : via_text(lookup.device, lookup.gateway));
        } else if (through_ipip(pool, node) != (lookup.device == state_.cluster.ipip.device)) {
            problem("BIRD's route leads {}, but the pool says ipip {}", via_text(lookup.device, lookup.gateway),
                    to_string(pool.ipip));
        }
    }

    bool through_ipip(const Pool& pool, const Node& node) const {
        if (pool.ipip != Encapsulate::cross_subnet) return pool.ipip == Encapsulate::always;
        const Node* const self = state_.cluster.find_node(state_.node);
        const bool known = self != nullptr && self->address4 && node.address4;
        return known && !self->address4->network().contains(node.address4->address);
    }

    /// Tells of the sessions with this node, and of each that is down; true when one is established, or there is none
    /// that could be (a route reflector brings its routes).
    bool sessions_with(const Node& node) {
        bool any = false;
        bool up = false;
        for (const Session& session : state_.bgp.sessions) {
            if (session.node != node.name) continue;
            any = true;
            up = up || session.established;
            const std::string since = time_text(session.since);
            fact("Session", "session",
                 fmt::format("{} {} {}{}", session.peer, session.state, session.info,
                             since == "-" ? "" : ", since " + since));
            if (session.established) continue;
            problem(
                "the BGP session with node {} ({}) is not established: {} {}; look whether BIRD runs there (`weftctl "
                "show bgp`), and whether TCP port {} gets through",
                node.name, session.peer, session.state, session.info, state_.config.bgp_port.value);
        }
        return up || !any;
    }

    const State& state_;
    const Address& address_;
    const Result<Lookup>& kernel_;
    Explanation result_;
};

void add_member(nlohmann::ordered_json& object, const Fact& fact) {
    std::visit(
        [&](const auto& value) {
            auto& member = object[std::string(fact.key)];
            if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) member = value;
        },
        fact.value);
}

}  // namespace

std::string route_protocol_name(std::uint8_t protocol) {
    switch (protocol) {
        case 0:
            return "unspecified";
        case 1:
            return "redirect";
        case 2:
            return "kernel";
        case 3:
            return "boot";
        case 4:
            return "static";
        case 9:
            return "ra";
        case 11:
            return "zebra";
        case kBirdProtocol:
            return "bird";
        case 16:
            return "dhcp";
        case kProtocol:
            return "weft";
        case 186:
            return "bgp";
        case 188:
            return "ospf";
        default:
            return std::to_string(protocol);
    }
}

Explanation explain(const State& state, const Address& address, const Result<Lookup>& kernel) {
    return Explainer(state, address, kernel).run();
}

Reply show_explanation(const Explanation& explanation, const Address& address, bool json) {
    const bool fine = explanation.problems.empty();
    std::vector<Line> lines;
    if (json) {
        nlohmann::ordered_json object = nlohmann::ordered_json::object();
        for (const Fact& fact : explanation.facts) add_member(object, fact);
        object["problems"] = explanation.problems;
        object["ok"] = fine;
        lines.push_back({code::kJson, object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)});
    } else {
        for (const Fact& fact : explanation.facts) {
            if (fact.title.empty()) continue;
            const std::string text = fmt::format("{:<11}{}", fact.title, text_of(fact.value));
            for (std::string& line : wrap(text, 11)) lines.push_back({code::kRow, std::move(line)});
        }
        for (const std::string& problem : explanation.problems) {
            for (std::string& line : wrap(fmt::format("{:<11}{}", "WRONG", problem), 11)) {
                lines.push_back({code::kRow, std::move(line)});
            }
        }
    }
    lines.push_back(
        fine ? Line{code::kAllRight, fmt::format("Packets to {} go as they should", to_string(address))}
             : Line{code::kSomethingWrong, fmt::format("Something is wrong with the way to {}", to_string(address))});
    return reply_of(std::move(lines));
}

}  // namespace weft
