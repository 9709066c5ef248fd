#include "daemon/state.hpp"

namespace weft {

std::string_view to_string(Phase phase) {
    switch (phase) {
        case Phase::starting:
            return "starting";
        case Phase::config_loaded:
            return "config-loaded";
        case Phase::source_synced:
            return "source-synced";
        case Phase::kernel_synced:
            return "kernel-synced";
        case Phase::bgp_configured:
            return "bgp-configured";
        case Phase::bgp_converged:
            return "bgp-converged";
        case Phase::ready:
            break;
    }
    return "ready";
}

void State::note(std::string what, std::string why) {
    if (events.size() == kEvents) events.pop_front();
    events.push_back({.at = std::chrono::system_clock::now(), .what = std::move(what), .why = std::move(why)});
}

}  // namespace weft
