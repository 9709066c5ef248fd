// show status, show events.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "daemon/readiness.hpp"
#include "daemon/show.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

std::size_t established(const BgpStatus& bgp) {
    std::size_t count = 0;
    for (const Session& session : bgp.sessions) count += session.established ? 1U : 0U;
    return count;
}

nlohmann::ordered_json source_json(const State& state) {
    using json = nlohmann::ordered_json;
    const SourceState& source = state.source;
    json objects = json::array();
    for (const ObjectTrouble& trouble : source.status.objects) {
        objects.push_back({{"object", trouble.object},
                           {"place", trouble.place},
                           {"field", trouble.field},
                           {"message", trouble.message},
                           {"error", trouble.error},
                           {"last_valid_used", trouble.last_used}});
    }
    return {{"name", source.status.name},
            {"synced", state.source_synced},
            {"trouble", source.status.trouble},
            {"held", source.held},
            {"last_known_since", source.last_known ? iso_text(*source.last_known) : ""},
            {"configuration", source.configuration},
            {"revision", source.status.revision},
            {"objects", source.status.held},
            {"invalid", source.status.invalid},
            {"updated", iso_text(source.status.updated)},
            {"troubles", objects}};
}

/// So many objects' troubles are shown; `json` has all.
constexpr std::size_t kShownTroubles = 20;

void say_source(const SourceState& source, const auto& say) {
    if (source.status.held == 0 && source.status.objects.empty()) {
        say(fmt::format("Source {}", source.status.name));
        return;
    }
    say(fmt::format("Source {}: {} objects, {} in error, revision {}, last change {}", source.status.name,
                    source.status.held, source.status.invalid, source.status.revision,
                    time_text(source.status.updated)));
    std::size_t shown = 0;
    for (const ObjectTrouble& trouble : source.status.objects) {
        if (++shown > kShownTroubles) break;
        say(fmt::format("  {}{}", trouble.error ? "" : "(warning) ", to_string(trouble)), 6);
    }
    if (shown > kShownTroubles) say(fmt::format("  and {} more", source.status.objects.size() - kShownTroubles));
}

void say_registration(const RegistrationState& registration, const auto& say) {
    if (!registration.active) return;
    say(fmt::format("Registration: {}", registration.settled ? "all that can be had is in the store" : "under way"));
    if (!registration.address4.empty()) say(fmt::format("  IPv4: {}", registration.address4), 6);
    if (!registration.address6.empty()) say(fmt::format("  IPv6: {}", registration.address6), 6);
}

Reply status_json(const State& state, const Readiness& ready) {
    using json = nlohmann::ordered_json;
    json reasons = json::array();
    for (const Reason& reason : ready.reasons) {
        reasons.push_back({{"object", reason.object}, {"text", reason.text}, {"blocking", reason.blocking}});
    }
    const json status = {{"version", WEFT_VERSION},
                         {"node", state.node},
                         {"backend", to_string(state.backend())},
                         {"phase", to_string(ready.phase)},
                         {"ready", ready.ready},
                         {"reasons", reasons},
                         {"config_file", state.config_file},
                         {"started", iso_text(state.started_wall)},
                         {"last_reload", iso_text(state.last_reload)},
                         {"last_reload_result", state.last_reload_result},
                         {"nodes", state.cluster.nodes.size()},
                         {"pools", state.cluster.pools.size()},
                         {"blocks", state.cluster.blocks.size()},
                         {"routes_wanted", state.desired.routes.size()},
                         {"routes_in_kernel", state.observed.routes.size()},
                         {"vteps_wanted", state.desired.fdb.size()},
                         {"vteps_in_kernel", state.observed.fdb.size()},
                         {"source", source_json(state)},
                         {"registration",
                          {{"active", state.registration.active},
                           {"settled", state.registration.settled},
                           {"address4", state.registration.address4},
                           {"address6", state.registration.address6},
                           {"troubles", state.registration.troubles}}},
                         {"bird", to_string(state.bgp.bird)},
                         {"bird_version", state.bgp.version},
                         {"sessions", state.bgp.sessions.size()},
                         {"sessions_established", established(state.bgp)}};
    return reply_of({{code::kJson, status.dump(-1, ' ', false, json::error_handler_t::replace)}, {code::kStatus, ""}});
}

}  // namespace

std::string time_text(std::chrono::system_clock::time_point at) {
    if (at == std::chrono::system_clock::time_point{}) return "-";
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::chrono::system_clock::to_time_t(at)));
}

std::string iso_text(std::chrono::system_clock::time_point at) {
    if (at == std::chrono::system_clock::time_point{}) return {};
    const auto whole = std::chrono::floor<std::chrono::seconds>(at);
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)));
}

Reply show_status(const State& state, std::chrono::steady_clock::time_point now, bool json) {
    const Readiness ready = readiness(state, now);
    if (json) return status_json(state, ready);
    std::vector<Line> lines;
    const auto say = [&](std::string_view text, std::size_t indent = 4) {
        for (std::string& line : wrap(text, indent)) lines.push_back({code::kUptime, std::move(line)});
    };
    lines.push_back({code::kVersion, "weft " WEFT_VERSION});
    say(fmt::format("Node {}, calico_backend {} ({})", state.node, to_string(state.backend()),
                    to_string(state.config.backend.origin)));
    say(fmt::format("Configuration {}", state.config_file));
    say(fmt::format("Started {}", time_text(state.started_wall)));
    const bool several = state.last_reload_result.find('\n') != std::string::npos;
    say(fmt::format("Last read {}: {}", time_text(state.last_reload), several ? "" : state.last_reload_result));
    if (several) append_lines(lines, code::kUptime, state.last_reload_result);
    say_source(state.source, say);
    say_registration(state.registration, say);
    say(fmt::format("Cluster: {} nodes, {} pools, {} blocks", state.cluster.nodes.size(), state.cluster.pools.size(),
                    state.cluster.blocks.size()));
    say(fmt::format("Kernel: {} of {} routes, {} of {} VTEPs", state.observed.routes.size(),
                    state.desired.routes.size(), state.observed.fdb.size(), state.desired.fdb.size()));
    if (state.backend() == Backend::bird) {
        say(fmt::format("BIRD {}: {}, {} of {} sessions established", state.bgp.version, to_string(state.bgp.bird),
                        established(state.bgp), state.bgp.sessions.size()));
    }
    say(fmt::format("Phase {}: {}", to_string(ready.phase), ready.ready ? "ready" : "not ready, because"));
    for (const Reason& reason : ready.reasons) {
        say(fmt::format("  {}{}: {}", reason.blocking ? "" : "(warning) ", reason.object, reason.text), 6);
    }
    for (const Diagnostic& warning : state.config_warnings) append_lines(lines, code::kUptime, to_string(warning));
    lines.push_back({code::kStatus, "Daemon is up and running"});
    return reply_of(std::move(lines));
}

Reply show_events(const State& state, bool json) {
    std::vector<Row> rows;
    for (const Event& event : state.events) {
        rows.push_back(
            {json ? cell(iso_text(event.at)) : cell(time_text(event.at)), cell(event.what), cell(event.why)});
    }
    return table({{"When", "at"}, {"What", "what", 50}, {"Why", "why"}}, std::move(rows), json, {code::kOk, ""});
}

}  // namespace weft
