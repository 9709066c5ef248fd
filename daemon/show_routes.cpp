// show routes: what weft wants and what the kernel has, side by side.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "daemon/show.hpp"
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
Key key(const ObservedRoute& observed) {
    return key(observed.route);
}

const std::vector<Column> kColumns{
    {"Destination", "destination", 20},
    {"Type", "type", 9},
    {"Gateway", "gateway", 16},
    {"Device", "device", 13},
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

/// The first of `sorted` past `last` (all of them at first), or nullptr.
template <class T>
const T* after(const std::vector<T>& sorted, const std::optional<Key>& last) {
    const auto at = !last ? sorted.begin()
                          : std::upper_bound(sorted.begin(), sorted.end(), *last,
                                             [](const Key& wanted, const T& route) { return wanted < key(route); });
    return at == sorted.end() ? nullptr : &*at;
}

}  // namespace

std::string device_name(const State& state, Device device) {
    const auto underlay = [&](Family family) {
        const auto& under = state.host.underlay(family);
        return under ? under->device : std::string(to_string(device));
    };
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
        while (true) {
            const Route* wanted = after(state.desired.routes, last);
            const ObservedRoute* found = after(state.observed.routes, last);
            if (wanted == nullptr && found == nullptr) return std::nullopt;
            if (wanted != nullptr && found != nullptr && key(*wanted) != key(*found)) {
                if (key(*wanted) < key(*found)) {
                    found = nullptr;
                } else {
                    wanted = nullptr;
                }
            }
            last = wanted != nullptr ? key(*wanted) : key(*found);
            if (!address || last->destination.contains(*address)) return row_of(state, wanted, found);
        }
    };
    return table(kColumns, std::move(rows), json, {code::kOk, ""}, {.row = code::kRoute});
}

}  // namespace weft
