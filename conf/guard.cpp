#include "conf/guard.hpp"

#include <fmt/format.h>

namespace weft {
namespace {

/// How many of the sorted `before` are missing in the sorted `now`.
template <class T, class Key>
std::size_t missing(const std::vector<T>& before, const std::vector<T>& now, Key key) {
    std::size_t count = 0;
    auto at = now.begin();
    for (const T& each : before) {
        // Nearly all are where they were.
        if (at != now.end() && key(*at) == key(each)) {
            ++at;
            continue;
        }
        while (at != now.end() && key(*at) < key(each)) ++at;
        if (at == now.end() || key(*at) != key(each)) ++count;
    }
    return count;
}

std::string gone(const Cluster& before, const Cluster& now, bool most) {
    std::string text;
    const auto judge = [&](std::size_t count, std::size_t of, const char* what) {
        if (count == 0 || (most && count * 2 <= of)) return;
        text +=
            fmt::format("{}{} of {} {} {} gone", text.empty() ? "" : ", ", count, of, what, count == 1 ? "is" : "are");
    };
    judge(missing(before.nodes, now.nodes, [](const Node& node) -> const std::string& { return node.name; }),
          before.nodes.size(), "nodes");
    judge(missing(before.pools, now.pools, [](const Pool& pool) -> const Prefix& { return pool.cidr; }),
          before.pools.size(), "pools");
    judge(missing(before.blocks, now.blocks, [](const Block& block) -> const Prefix& { return block.cidr; }),
          before.blocks.size(), "blocks");
    return text;
}

}  // namespace

std::string mass_withdrawal(const Cluster& before, const Cluster& now) {
    return gone(before, now, true);
}

std::string withdrawal(const Cluster& before, const Cluster& now) {
    return gone(before, now, false);
}

}  // namespace weft
