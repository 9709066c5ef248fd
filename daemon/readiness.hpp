// Whether this node serves its traffic, and if not, why: in words, with the object each reason is about.
//
// Pure over State. Liveness is another matter (daemon/http.hpp): it is about this process alone, never about peers.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemon/state.hpp"

namespace weft {

/// Calico's threshold-time: so long after the start all sessions are waited for, afterwards for one.
inline constexpr std::chrono::seconds kAllSessions{30};

struct Reason {
    std::string object;
    std::string text;
    bool blocking = false;  ///< false: said, but the node is ready all the same
    bool operator==(const Reason&) const = default;
};

struct Readiness {
    bool ready = false;
    Phase phase = Phase::starting;
    std::vector<Reason> reasons;
};

/// Configuration loaded, source synced once, the kernel as it should be and, only under calico_backend bird, BGP:
/// BIRD answers, runs the last configuration, and Calico's rule on sessions (facts of node/pkg/health/bird): within 30
/// s of the start all are established and graceful restart is over, afterwards one is enough. No peers is fine.
/// `ask_bgp`: whether to ask about BGP, whatever the mode says.
Readiness readiness(const State& state, std::chrono::steady_clock::time_point now, std::optional<bool> ask_bgp = {});

/// Whether BGP belongs to this node's readiness: the mode says so, and the node is in the cluster.
bool bgp_is_wanted(const State& state);

}  // namespace weft
