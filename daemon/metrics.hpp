// The state in Prometheus' text format: names and units as its users expect them (seconds, bytes, _total).
#pragma once

#include <chrono>
#include <string>

#include "daemon/state.hpp"

namespace weft {

/// text/plain; version=0.0.4. Cost: O(nodes of the session list), nothing per route.
std::string render_metrics(const State& state, std::chrono::steady_clock::time_point now);

}  // namespace weft
