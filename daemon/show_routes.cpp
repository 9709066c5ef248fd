// show routes: what weft wants and what the kernel has, side by side.
#include <fmt/format.h>

#include "daemon/show.hpp"
#include "daemon/side_by_side.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

/// The kernel's own key for a route in a table.
struct Key {
    Prefix destination;
    std::uint32_t metric = 0;
    auto operator<=>(const Key&) const = default;
};
Key key(const Route& route) {
    return {route.destination, route.metric};
}
Key key_of_found(const ObservedRoute& observed) {
    return key(observed.route);
}

const std::vector<Column> kColumns{
    {"Destination", "destination", 20},
    {"Type", "type", 9},
    {"Gateway", "gateway", 16},
    {"Device", "device", 15},
    {"Metric", "metric", 6},
    {"Node", "node", 10},
    {"State", "state", 9},
    {"", "onlink"},
    {"", "nexthop_id"},
    {"", "in_kernel"},
};

Row row_of(const State& state, const Route* wanted, const ObservedRoute* found) {
    const Route& route = wanted != nullptr ? *wanted : found->route;
    std::string text = "ok";
    if (found == nullptr) {
        text = "missing";
    } else if (wanted == nullptr) {
        text = "unwanted";
    } else if (*wanted != found->route) {
        text = fmt::format("differs, the kernel has: {}", to_string(found->route));
    }
    const bool blackhole = route.type == RouteType::blackhole;
    return {cell(to_string(route.destination)),
            cell(blackhole ? "blackhole" : "unicast"),
            cell(route.via.gateway),
            cell(device_name(state, route.via.device)),
            cell(route.metric),
            cell(node_behind(state, route)),
            cell(text),
            route.via.onlink,
            found != nullptr && found->nexthop_id != 0 ? cell(found->nexthop_id) : Cell{},
            found != nullptr};
}

}  // namespace

std::string device_name(const State& state, Device device) {
    const auto underlay = [&](Family family) {
        const auto& under = state.host.underlay(family);
        return under ? under->device : std::string(to_string(device));
    };
    for (const ObservedVxlan& have : state.observed.vxlan) {
        if (have.device.role == device && device != Device::other) return have.device.name;
    }
    switch (device) {
        case Device::none:
            return {};
        case Device::vxlan4:
            return state.cluster.vxlan.device4;
        case Device::vxlan6:
            return state.cluster.vxlan.device6;
        case Device::ipip:
            return state.cluster.ipip.device;
        case Device::under4:
            return underlay(Family::v4);
        case Device::under6:
            return underlay(Family::v6);
        case Device::old4:
        case Device::old6:
        case Device::older4:
        case Device::older6:
        case Device::other:
            break;
    }
    return "?";
}

std::string node_behind(const State& state, const Route& route) {
    const Block* const block = state.cluster.block_of(route.destination.address);
    if (block == nullptr || block->node >= state.cluster.nodes.size()) return {};
    return state.cluster.nodes[block->node].name;
}

Reply show_routes(const State& state, const std::optional<Address>& address, bool json) {
    Rows rows = [&state, address, last = std::optional<Key>()]() mutable -> std::optional<Row> {
        while (const auto pair = next_pair(state.desired.routes, state.observed.routes, last, key, key_of_found)) {
            if (!address || last->destination.contains(*address)) return row_of(state, pair->wanted, pair->found);
        }
        return std::nullopt;
    };
    return table(kColumns, std::move(rows), json, {code::kOk, ""}, {.row = code::kRoute});
}

}  // namespace weft
