// show nodes, show pools, show blocks: the cluster as this node sees it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "daemon/registering.hpp"
#include "daemon/served.hpp"
#include "daemon/show.hpp"
#include "daemon/side_by_side.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

std::string spaced(const std::string& one, const std::string& other) {
    return one.empty() || other.empty() ? one + other : one + " " + other;
}

template <class T>
std::string text(const std::optional<T>& value) {
    return value ? to_string(*value) : std::string{};
}

/// What a node holds, and how its blocks are reached.
struct Use {
    std::size_t blocks = 0;
    std::set<Path> paths;
};

/// For each node. All blocks that one node has of one pool take the same path, so `decide` is asked once for them.
std::vector<Use> uses_of_nodes(const State& state) {
    const Cluster& cluster = state.cluster;
    std::vector<Use> uses(cluster.nodes.size());
    std::set<std::pair<std::uint32_t, const Pool*>> asked;
    const Pool* pool = nullptr;
    for (const Block& block : cluster.blocks) {
        if (pool == nullptr || !pool->cidr.contains(block.cidr)) pool = cluster.pool_of(block.cidr);
        Use& use = uses.at(block.node);
        ++use.blocks;
        if (asked.emplace(block.node, pool).second) use.paths.insert(decide(plan_input(state), block).path);
    }
    return uses;
}

std::string path_of(const std::set<Path>& paths) {
    std::vector<std::string_view> names;
    names.reserve(paths.size());
    for (const Path path : paths) names.push_back(to_string(path));
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string_view name_of(Server server) {
    switch (server) {
        case Server::weft:
            return "weft";
        case Server::bird:
            return "BIRD";
        case Server::nobody:
            break;
    }
    return "nobody";
}

std::string problem_of(const State& state, const std::string& object) {
    for (const Problem& problem : state.problems) {
        if (problem.object == object) return problem.text;
    }
    return {};
}

/// What another node has that is this node's.
std::string conflict_of(const State& state, const Node& node) {
    const Node* const self = state.cluster.find_node(state.node);
    if (self == nullptr || self == &node) return {};
    const auto shared = shared_addresses(*self, node);
    return shared.empty() ? "" : fmt::format("has this node's {}", fmt::join(shared, ", "));
}

Row row_of(const State& state, const Block& block) {
    const Cluster& cluster = state.cluster;
    const Decision decision = decide(plan_input(state), block);
    const Pool* const pool = cluster.pool_of(block.cidr);
    const bool troubled = decision.path == Path::withheld || decision.path == Path::unserved;
    const std::string device = device_name(state, decision.via.device);
    return {cell(to_string(block.cidr)),
            cell(cluster.nodes.at(block.node).name),
            cell(to_string(decision.path)),
            cell(spaced(text(decision.via.gateway), device)),
            cell(troubled ? decision.why : ""),
            cell(decision.why),
            cell(decision.via.gateway),
            cell(device),
            pool != nullptr ? cell(to_string(pool->cidr)) : Cell{}};
}

}  // namespace

PlanInput plan_input(const State& state) {
    return {.cluster = state.cluster, .host = state.host, .node = state.node, .backend = state.backend()};
}

Reply show_nodes(const State& state, bool json) {
    const std::vector<Use> uses = uses_of_nodes(state);
    std::vector<Row> rows;
    for (std::size_t i = 0; i < uses.size(); ++i) {
        const Node& node = state.cluster.nodes[i];
        const bool here = node.name == state.node;
        const std::string path = path_of(uses[i].paths);
        rows.push_back({cell(node.name), cell(node.address4), cell(node.address6), cell(node.vxlan4),
                        cell(uses[i].blocks), cell(here ? "this node" : path), cell(conflict_of(state, node)),
                        cell(path), cell(node.vxlan6), node.vxlan4 ? cell(to_string(node.mac(Family::v4))) : Cell{},
                        node.vxlan6 ? cell(to_string(node.mac(Family::v6))) : Cell{}, cell(node.ipip4),
                        cell(node.as.value_or(state.cluster.bgp.local_as)), cell(node.cluster_id), here});
    }
    return table({{"Node", "node"},
                  {"IPv4", "address4"},
                  {"IPv6", "address6"},
                  {"VTEP", "vxlan4"},
                  {"Blocks", "blocks"},
                  {"Path", "reached"},
                  {"Problem", "problem"},
                  {"", "path"},
                  {"", "vxlan6"},
                  {"", "mac4"},
                  {"", "mac6"},
                  {"", "ipip4"},
                  {"", "as"},
                  {"", "cluster_id"},
                  {"", "this_node"}},
                 std::move(rows), json, {code::kOk, ""});
}

Reply show_pools(const State& state, bool json) {
    const Cluster& cluster = state.cluster;
    std::map<const Pool*, std::size_t> blocks;
    for (const Block& block : cluster.blocks) ++blocks[cluster.pool_of(block.cidr)];
    std::vector<Row> rows;
    for (const Pool& pool : cluster.pools) {
        const std::string cidr = to_string(pool.cidr);
        rows.push_back({cell(cidr), cell(to_string(pool.ipip)), cell(to_string(pool.vxlan)), cell(pool.block_size),
                        cell(blocks[&pool]), pool.nat_outgoing, pool.exported, pool.disabled,
                        cell(name_of(server_of(pool, state.backend()))), cell(problem_of(state, "pool " + cidr))});
    }
    return table({{"Pool", "pool"},
                  {"IPIP", "ipip"},
                  {"VXLAN", "vxlan"},
                  {"Size", "block_size"},
                  {"Blocks", "blocks"},
                  {"NAT", "nat_outgoing"},
                  {"Export", "export"},
                  {"Disabled", "disabled"},
                  {"Served by", "served_by"},
                  {"Problem", "problem"}},
                 std::move(rows), json, {code::kOk, ""});
}

Reply show_blocks(const State& state, bool json) {
    Rows rows = [&state, last = std::optional<Block>()]() mutable -> std::optional<Row> {
        const Block* const block = after(state.cluster.blocks, last, [](const Block& each) { return each; });
        if (block == nullptr) return std::nullopt;
        last = *block;
        return row_of(state, *block);
    };
    return table({{"Block", "block", 19},
                  {"Node", "node", 14},
                  {"Path", "path", 8},
                  {"Through", "through", 34},
                  {"Problem", "problem", 7},
                  {"", "why"},
                  {"", "gateway"},
                  {"", "device"},
                  {"", "pool"}},
                 std::move(rows), json, {code::kOk, ""});
}

}  // namespace weft
