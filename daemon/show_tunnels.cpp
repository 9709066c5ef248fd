// show tunnels: the devices, then the remote ends, each with what the kernel has of it.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "daemon/show.hpp"
#include "daemon/side_by_side.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

/// The kernel's key for a neighbour.
struct NeighbourKey {
    Device device = Device::none;
    Address address;
    auto operator<=>(const NeighbourKey&) const = default;
};
NeighbourKey neighbour_key(const Neighbour& neighbour) {
    return {neighbour.device, neighbour.address};
}

const std::vector<Column> kDevices{{"Device", "device"},   {"Kind", "kind"},   {"MTU", "mtu"}, {"Up", "up"},
                                   {"Address", "address"}, {"Local", "local"}, {"VNI", "vni"}, {"Port", "port"},
                                   {"MAC", "mac"},         {"State", "state"}};
const std::vector<Column> kVteps{{"VTEP", "vtep", 16},     {"MAC", "mac", 17},   {"Remote", "remote", 16},
                                 {"Device", "device", 15}, {"Node", "node", 12}, {"State", "state", 12}};

/// What the kernel has is shown; what is wanted only where there is nothing.
Row row_of(const VxlanDevice& device, std::string_view state) {
    return {cell(device.name),
            cell("vxlan"),
            cell(device.mtu),
            device.up,
            device.address.is_unspecified() ? Cell{} : cell(to_string(device.address)),
            cell(to_string(device.local)),
            cell(device.vni),
            cell(device.port),
            cell(to_string(device.mac)),
            cell(state)};
}

Row row_of(const IpipDevice& device, std::string_view state) {
    return {cell(device.name),
            cell("ipip"),
            cell(device.mtu),
            device.up,
            device.address.is_unspecified() ? Cell{} : cell(to_string(device.address)),
            Cell{},
            Cell{},
            Cell{},
            Cell{},
            cell(state)};
}

/// The difference of the devices alone, whose reasons are their states.
std::vector<Change> changes_of_devices(const State& state) {
    Desired desired;
    desired.vxlan = state.desired.vxlan;
    desired.ipip = state.desired.ipip;
    Observed observed;
    observed.vxlan = state.observed.vxlan;
    observed.ipip = state.observed.ipip;
    return difference(desired, observed);
}

std::string_view state_of(const std::vector<Change>& changes, std::string_view name) {
    for (const Change& change : changes) {
        const auto* const vxlan = std::get_if<VxlanDevice>(&change.object);
        const auto* const ipip = std::get_if<IpipDevice>(&change.object);
        if ((vxlan != nullptr && vxlan->name == name) || (ipip != nullptr && ipip->name == name)) return change.reason;
    }
    return "ok";
}

std::vector<Row> devices(const State& state) {
    const std::vector<Change> changes = changes_of_devices(state);
    std::vector<Row> rows;
    for (const VxlanDevice& want : state.desired.vxlan) {
        const auto& all = state.observed.vxlan;
        const bool there = std::any_of(all.begin(), all.end(),
                                       [&](const ObservedVxlan& have) { return have.device.name == want.name; });
        if (!there) rows.push_back(row_of(want, state_of(changes, want.name)));
    }
    for (const ObservedVxlan& have : state.observed.vxlan) {
        rows.push_back(row_of(have.device, state_of(changes, have.device.name)));
    }
    if (state.desired.ipip) {
        const IpipDevice& device = state.observed.ipip ? state.observed.ipip->device : *state.desired.ipip;
        rows.push_back(row_of(device, state_of(changes, device.name)));
    }
    return rows;
}

const FdbEntry* entry_of(const std::vector<FdbEntry>& sorted, Device device, const Mac& mac) {
    const auto at = std::lower_bound(
        sorted.begin(), sorted.end(), FdbEntry{device, mac, {}},
        [](const FdbEntry& a, const FdbEntry& b) { return std::tie(a.device, a.mac) < std::tie(b.device, b.mac); });
    return at != sorted.end() && at->device == device && at->mac == mac ? &*at : nullptr;
}

std::string_view state_of(const Neighbour* wanted, const Neighbour* found, const FdbEntry* entry_wanted,
                          const FdbEntry* entry_found) {
    if (wanted == nullptr) return "not wanted";
    if (found == nullptr && entry_found == nullptr) return "missing";
    if (found == nullptr) return "no neighbour";
    if (entry_found == nullptr) return "no FDB entry";
    if (*wanted != *found) return "differs: mac";
    if (entry_wanted != nullptr && *entry_wanted != *entry_found) return "differs: remote";
    return "ok";
}

Row row_of(const State& state, const Neighbour* wanted, const Neighbour* found) {
    const Neighbour& neighbour = wanted != nullptr ? *wanted : *found;
    const FdbEntry* const entry_wanted = entry_of(state.desired.fdb, neighbour.device, neighbour.mac);
    const FdbEntry* const entry_found = entry_of(state.observed.fdb, neighbour.device, neighbour.mac);
    const FdbEntry* const entry = entry_wanted != nullptr ? entry_wanted : entry_found;
    const Family family = neighbour.address.family;
    const auto& nodes = state.cluster.nodes;
    const auto node = std::find_if(nodes.begin(), nodes.end(),
                                   [&](const Node& each) { return each.vxlan(family) == neighbour.address; });
    return {cell(to_string(neighbour.address)),
            cell(to_string(neighbour.mac)),
            entry != nullptr ? cell(to_string(entry->destination)) : Cell{},
            cell(device_name(state, neighbour.device)),
            node != nodes.end() ? cell(node->name) : Cell{},
            cell(state_of(wanted, found, entry_wanted, entry_found))};
}

}  // namespace

Reply show_tunnels(const State& state, bool json) {
    Rows vteps = [&state, last = std::optional<NeighbourKey>()]() mutable -> std::optional<Row> {
        const auto pair =
            next_pair(state.desired.neighbours, state.observed.neighbours, last, neighbour_key, neighbour_key);
        if (!pair) return std::nullopt;
        return row_of(state, pair->wanted, pair->found);
    };
    std::vector<Row> first = devices(state);
    if (first.empty() && state.desired.neighbours.empty() && state.observed.neighbours.empty()) {
        return reply_of({{code::kOk, json ? "" : "This node has no tunnels"}});
    }
    std::vector<Line> lines = lines_of(table(kDevices, std::move(first), json, {code::kRow, ""}));
    if (json) lines.pop_back();  // to people it is the blank line between the tables
    return joined(std::move(lines), table(kVteps, std::move(vteps), json, {code::kOk, ""}));
}

}  // namespace weft
