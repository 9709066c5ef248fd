// Every decision about the kernel, in one pure function: which encapsulation to whom, and why.
//
// No I/O, no clock, no logging. `plan` writes down what the kernel should hold; `decide` tells for one block which path
// it takes and for what reason, in words, and is what `plan` itself asks, so `weftctl explain` can never disagree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/cluster.hpp"
#include "tunnel/desired.hpp"
#include "tunnel/host.hpp"

namespace weft {

/// How a block's packets leave this node.
enum class Path : std::uint8_t {
    local,     ///< the block is this node's own
    vxlan,     ///< through the VXLAN device
    direct,    ///< over the underlay without encapsulation, by weft's own route
    bgp,       ///< whatever BIRD programs: IPIP and unencapsulated pools under calico_backend bird
    withheld,  ///< should be programmed, but something is missing: `why` says what
    unserved,  ///< the mode cannot serve this pool
};
std::string_view to_string(Path path);

struct Decision {
    Path path = Path::withheld;
    Via via;  ///< of vxlan and direct
    /// Why, for people: "c's 198.51.100.13 is not in this node's 192.0.2.0/24, pool says cross subnet".
    std::string why;
};

/// What keeps this node from serving (a part of) the cluster.
struct Problem {
    std::string object;    ///< "pool fd00:65::/48", "node c", "device tunl0"
    std::string text;      ///< what is wrong and what to do
    bool unready = false;  ///< readiness is false while this lasts; else it is a warning

    bool operator==(const Problem&) const = default;
};

struct PlanInput {
    const Cluster& cluster;
    const Host& host;
    std::string_view node;  ///< this node's name
    Backend backend = Backend::bird;
};

struct Plan {
    Desired desired;
    std::vector<Problem> problems;
};

/// O((nodes + blocks) log blocks).
Plan plan(const PlanInput& input);

/// How this node reaches `block`. Cost: O(log pools).
Decision decide(const PlanInput& input, const Block& block);

}  // namespace weft
