#include "daemon/readiness.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/show.hpp"

namespace weft {
namespace {

bool runs_on_last_known(const State& state) {
    return state.cluster_known && state.source.last_known.has_value();
}

void judge_unread_source(const State& state, std::vector<Reason>& reasons) {
    const std::string& trouble = state.source.status.trouble;
    std::string text = trouble.empty() ? "not read yet" : fmt::format("not read yet: {}", trouble);
    const bool runs = runs_on_last_known(state);
    if (runs) text += fmt::format("; running on the cluster known since {}", time_text(*state.source.last_known));
    reasons.push_back({.object = "source", .text = std::move(text), .blocking = !runs});
}

/// Said, but no reason against traffic: it goes on as it did.
void judge_source(const SourceState& source, std::chrono::steady_clock::time_point now, std::vector<Reason>& reasons) {
    const auto note = [&](const char* object, std::string text) {
        reasons.push_back({.object = object, .text = std::move(text), .blocking = false});
    };
    if (!source.configuration.empty()) note("configuration", source.configuration);
    if (source.status.synced && !source.status.trouble.empty()) note("source", source.status.trouble);
    if (!source.held.empty()) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(source.held_until.value_or(now) - now).count();
        note("source",
             fmt::format("{}; the cluster from before stays {}: `weftctl accept source` follows the source at once",
                         source.held,
                         source.held_until ? fmt::format("for another {} s", left) : "until that is put right"));
    }
    if (source.status.invalid > 0) {
        note("source", fmt::format("{} objects are in error, see `weftctl show status`", source.status.invalid));
    }
    if (!source.disk.empty()) note("state directory", source.disk);
}

void judge_bird(const State& state, std::vector<Reason>& reasons) {
    const BgpStatus& bgp = state.bgp;
    if (bgp.bird != BirdState::running) {
        std::string text = bgp.reason.empty() ? fmt::format("BIRD is {}", to_string(bgp.bird)) : bgp.reason;
        reasons.push_back({.object = "bird", .text = std::move(text), .blocking = true});
    } else if (!bgp.config_accepted) {
        std::string text = bgp.config_error.empty()
                               ? std::string("BIRD does not run the last configuration yet")
                               : fmt::format("BIRD rejects its configuration: {}", bgp.config_error);
        reasons.push_back({.object = "bird", .text = std::move(text), .blocking = true});
    } else if (!bgp.reason.empty()) {
        reasons.push_back({.object = "bird", .text = bgp.reason, .blocking = true});
    }
}

void judge_sessions(const State& state, std::chrono::steady_clock::time_point now, std::vector<Reason>& reasons) {
    const BgpStatus& bgp = state.bgp;
    const bool early = now < bgp.started + kAllSessions;
    const auto up = std::count_if(bgp.sessions.begin(), bgp.sessions.end(),
                                  [](const Session& session) { return session.established; });
    for (const Session& session : bgp.sessions) {
        if (session.established) continue;
        const std::string node = session.node.empty() ? "" : fmt::format(" (node {})", session.node);
        reasons.push_back({.object = fmt::format("bgp {}{}", session.peer, node),
                           .text = fmt::format("the session is not established: {} {}", session.state, session.info),
                           .blocking = early || up == 0});
    }
    if (bgp.graceful_restart) {
        reasons.push_back({.object = "bird", .text = "graceful restart in progress", .blocking = early});
    }
}

/// How far a node got that is not ready: the step before the first one that is missing.
Phase phase_of(const State& state, bool bgp, bool configured, bool converged) {
    if (!state.config_loaded) return Phase::starting;
    if (!state.source_synced) return Phase::config_loaded;
    if (!state.kernel_synced) return Phase::source_synced;
    if (bgp && !configured) return Phase::kernel_synced;
    if (bgp && !converged) return Phase::bgp_configured;
    return bgp ? Phase::bgp_converged : Phase::kernel_synced;
}

bool any_blocking(const std::vector<Reason>& reasons) {
    return std::any_of(reasons.begin(), reasons.end(), [](const Reason& reason) { return reason.blocking; });
}

}  // namespace

bool bgp_is_wanted(const State& state) {
    return state.backend() == Backend::bird && state.cluster.find_node(state.node) != nullptr;
}

Readiness readiness(const State& state, std::chrono::steady_clock::time_point now, std::optional<bool> ask_bgp) {
    std::vector<Reason> reasons;
    if (!state.config_loaded) {
        reasons.push_back({.object = "configuration", .text = "not loaded yet", .blocking = true});
    } else {
        const bool runs = state.source_synced || runs_on_last_known(state);
        if (!state.source_synced) judge_unread_source(state, reasons);
        if (runs && !state.kernel_synced) {
            reasons.push_back({.object = "kernel",
                               .text = "not as it should be yet; what is missing is being written",
                               .blocking = true});
        }
    }
    judge_source(state.source, now, reasons);
    for (const std::string& trouble : state.registration.troubles) {
        const char* const about = state.registration.active ? "registration" : "node";
        reasons.push_back({.object = about, .text = trouble, .blocking = false});
    }
    for (const std::string& failure : state.kernel_failures) {
        reasons.push_back({.object = "kernel", .text = failure, .blocking = true});
    }
    for (const Problem& problem : state.problems) {
        reasons.push_back({.object = problem.object, .text = problem.text, .blocking = problem.unready});
    }
    const bool bgp = ask_bgp.value_or(bgp_is_wanted(state));
    bool configured = true;
    bool converged = true;
    if (bgp) {
        std::vector<Reason> bird;
        judge_bird(state, bird);
        configured = !any_blocking(bird);
        // What sessions BIRD had before it stopped answering says nothing about now.
        if (configured) judge_sessions(state, now, bird);
        converged = !any_blocking(bird);
        std::move(bird.begin(), bird.end(), std::back_inserter(reasons));
    }
    const bool ready = !any_blocking(reasons);
    return {.ready = ready,
            .phase = ready ? Phase::ready : phase_of(state, bgp, configured, converged),
            .reasons = std::move(reasons)};
}

}  // namespace weft
