#include "daemon/health.hpp"

#include <nlohmann/json.hpp>

#include "daemon/metrics.hpp"
#include "daemon/readiness.hpp"

namespace weft {
namespace {

std::string body_of(const nlohmann::json& json) {
    // Messages can hold what others wrote (BIRD, the kernel): bytes that are no UTF-8 must not throw.
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

HttpResponse readiness_of(const State& state, std::chrono::steady_clock::time_point now) {
    const Readiness found = readiness(state, now);
    nlohmann::json reasons = nlohmann::json::array();
    for (const Reason& reason : found.reasons) {
        reasons.push_back({{"object", reason.object}, {"text", reason.text}, {"blocking", reason.blocking}});
    }
    HttpResponse response;
    response.status = found.ready ? 200 : 503;
    response.body = body_of({{"ready", found.ready},
                             {"phase", to_string(found.phase)},
                             {"node", state.node},
                             {"calico_backend", to_string(state.backend())},
                             {"reasons", reasons}});
    return response;
}

}  // namespace

HttpResponse answer(const State& state, const std::string& path, std::chrono::steady_clock::time_point now) {
    HttpResponse response;
    if (path == "/readiness") return readiness_of(state, now);
    if (path == "/liveness") {
        response.body = body_of({{"live", true}, {"phase", to_string(state.phase)}});
    } else if (path == "/metrics") {
        response.content_type = "text/plain; version=0.0.4";
        response.body = render_metrics(state, now);
    } else {
        response.status = 404;
        response.body = body_of({{"error", "there are /readiness, /liveness and /metrics"}});
    }
    return response;
}

}  // namespace weft
