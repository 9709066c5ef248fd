// What the HTTP endpoint answers, from the state.
#pragma once

#include <chrono>
#include <string>

#include "daemon/http.hpp"
#include "daemon/state.hpp"

namespace weft {

/// /readiness and /liveness as JSON (200 or 503), /metrics as Prometheus text, else 404.
///
/// Liveness is 200 whenever it is asked: that an answer comes at all shows that the event loop turns, and nothing else
/// is a reason to kill this process. A loop that hangs is the service manager's watchdog's to find.
HttpResponse answer(const State& state, const std::string& path, std::chrono::steady_clock::time_point now);

}  // namespace weft
