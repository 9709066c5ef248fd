// How this node reaches a workload address, why so, and what is wrong where something is. Pure.
//
// Three answers are held against each other: the plan's (`decide`, which is what `plan` itself asks), what weft last
// saw in the kernel, and the kernel's own route lookup. Where they differ, somebody else's route is in the way or
// something is missing, and that is named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/result.hpp"
#include "daemon/control_protocol.hpp"
#include "daemon/state.hpp"
#include "daemon/table.hpp"

namespace weft {

struct Fact {
    std::string_view title;  ///< for people
    std::string_view key;    ///< in JSON
    Cell value;
};

struct Explanation {
    std::vector<Fact> facts;            ///< in the order of a packet's way
    std::vector<std::string> problems;  ///< each with what to do; empty: packets go as they should
};

/// `kernel`: what its lookup said. Cost: O(routes), no allocation for each.
Explanation explain(const State& state, const Address& address, const Result<Lookup>& kernel);

/// The explanation as a reply that ends with kAllRight or kSomethingWrong.
Reply show_explanation(const Explanation& explanation, const Address& address, bool json);

/// "static", "kernel", "bird", "weft" and so on, as /etc/iproute2/rt_protos names them; else the number.
std::string route_protocol_name(std::uint8_t protocol);

}  // namespace weft
