#include "daemon/kernel_needs.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft {

std::vector<KernelNeed> kernel_needs(const Cluster& cluster, Backend backend) {
    std::vector<KernelNeed> needs;
    const auto first = [&](Encapsulate Pool::*encapsulation, const char* kind) {
        const auto pool = std::ranges::find_if(cluster.pools,
                                               [&](const Pool& at) { return at.*encapsulation != Encapsulate::never; });
        if (pool != cluster.pools.end()) needs.push_back({.kind = kind, .pool = pool->cidr});
    };
    if (backend != Backend::none) first(&Pool::vxlan, "vxlan");
    if (backend == Backend::bird) first(&Pool::ipip, "ipip");
    return needs;
}

std::vector<KernelNeed> new_kernel_needs(const std::vector<KernelNeed>& running, std::vector<KernelNeed> next) {
    std::erase_if(next, [&](const KernelNeed& need) {
        return std::ranges::find(running, need.kind, &KernelNeed::kind) != running.end();
    });
    return next;
}

std::string missing_text(const KernelNeed& need) {
    return fmt::format(
        "this kernel has no {0} module, which pool {1} needs: load it (modprobe {0}), or use another "
        "encapsulation",
        need.kind, to_string(need.pool));
}

}  // namespace weft
