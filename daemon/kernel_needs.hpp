// What a configuration needs of the kernel that not every kernel has. Pure.
#pragma once

#include <string>
#include <vector>

#include "conf/cluster.hpp"

namespace weft {

/// A kind of device, and the first pool that needs it.
struct KernelNeed {
    std::string kind;  ///< "vxlan", "ipip"
    Prefix pool;
    bool operator==(const KernelNeed&) const = default;
};

/// One for each kind. O(pools).
std::vector<KernelNeed> kernel_needs(const Cluster& cluster, Backend backend);

/// Those of `next` that `running` does not have: what a change of configuration may be refused for.
std::vector<KernelNeed> new_kernel_needs(const std::vector<KernelNeed>& running, std::vector<KernelNeed> next);

/// "this kernel has no ipip module, which pool 10.65.0.0/16 needs: load it (modprobe ipip), or use another
/// encapsulation"
std::string missing_text(const KernelNeed& need);

}  // namespace weft
