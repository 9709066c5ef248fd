// show bgp, show protocols: BIRD and its sessions, as BIRD told them last.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "daemon/readiness.hpp"
#include "daemon/show.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

using std::chrono::system_clock;

/// One sentence about BIRD itself, and what is wrong with it.
std::vector<std::string> about_bird(const State& state) {
    const BgpStatus& bgp = state.bgp;
    if (state.backend() != Backend::bird) {
        return {fmt::format("No BGP on this node: calico_backend {} ({})", to_string(state.backend()),
                            to_string(state.config.backend.origin))};
    }
    std::vector<std::string> lines;
    const std::string version = bgp.version.empty() ? "" : " " + bgp.version;
    lines.push_back(fmt::format("BIRD{} is {}, started again {} times{}", version, to_string(bgp.bird), bgp.restarts,
                                bgp.graceful_restart ? ", graceful restart in progress" : ""));
    if (!bgp.reason.empty()) lines.push_back(bgp.reason);
    if (!bgp.config_error.empty()) {
        lines.push_back("BIRD rejects its configuration: " + bgp.config_error);
    } else if (bgp.bird == BirdState::running) {
        lines.emplace_back(bgp.config_accepted ? "It runs the configuration that weft rendered last"
                                               : "It does not run the configuration that weft rendered last yet");
    }
    return lines;
}

Line json_about_bird(const State& state) {
    using json = nlohmann::ordered_json;
    const BgpStatus& bgp = state.bgp;
    const json bird = {{"kind", "bird"},
                       {"wanted", bgp_is_wanted(state)},
                       {"state", to_string(bgp.bird)},
                       {"version", bgp.version},
                       {"reason", bgp.reason},
                       {"config_accepted", bgp.config_accepted},
                       {"config_error", bgp.config_error},
                       {"graceful_restart", bgp.graceful_restart},
                       {"restarts", bgp.restarts}};
    return {code::kJson, bird.dump(-1, ' ', false, json::error_handler_t::replace)};
}

/// BIRD's default form: the time of a change of today's, the date of an older one.
std::string since_text(system_clock::time_point at, system_clock::time_point now) {
    if (at == system_clock::time_point{}) return "-";
    const auto local = fmt::localtime(system_clock::to_time_t(at));
    if (now - at >= std::chrono::hours(20)) return fmt::format("{:%Y-%m-%d}", local);
    const auto part = std::chrono::floor<std::chrono::milliseconds>(at) - std::chrono::floor<std::chrono::seconds>(at);
    return fmt::format("{:%H:%M:%S}.{:03}", local, part.count());
}

struct Protocol {
    std::string name, kind, table, state;
    system_clock::time_point since;
    std::string info;
};

/// What weft does itself stands before the sessions, as BIRD's own device and kernel protocols do.
std::vector<Protocol> protocols_of(const State& state) {
    std::vector<Protocol> all;
    all.push_back({"kernel", "Kernel", "main", state.kernel_synced ? "up" : "start", state.started_wall,
                   fmt::format("{} of {} routes", state.observed.routes.size(), state.desired.routes.size())});
    for (const VxlanDevice& device : state.desired.vxlan) {
        const auto& found = state.observed.vxlan;
        const bool up = std::any_of(found.begin(), found.end(), [&](const ObservedVxlan& have) {
            return have.device.name == device.name && have.device.up;
        });
        const auto vteps = std::count_if(state.observed.fdb.begin(), state.observed.fdb.end(),
                                         [&](const FdbEntry& entry) { return entry.device == device.role; });
        all.push_back(
            {device.name, "VXLAN", "---", up ? "up" : "down", state.started_wall, fmt::format("{} VTEPs", vteps)});
    }
    if (state.desired.ipip) {
        const auto& found = state.observed.ipip;
        all.push_back({state.desired.ipip->name, "IPIP", "---", found && found->device.up ? "up" : "down",
                       state.started_wall, ""});
    }
    for (const Session& session : state.bgp.sessions) {
        all.push_back({session.protocol, "BGP", "---", session.state, session.since, session.info});
    }
    return all;
}

}  // namespace

Reply show_bgp(const State& state, bool json) {
    std::vector<Line> lines;
    if (json) {
        lines.push_back(json_about_bird(state));
    } else {
        for (const std::string& text : about_bird(state)) {
            for (std::string& line : wrap(text, 4)) lines.push_back({code::kRow, std::move(line)});
        }
    }
    if (state.bgp.sessions.empty()) {
        lines.push_back({code::kOk, ""});
        return reply_of(std::move(lines));
    }
    std::vector<Row> rows;
    for (const Session& session : state.bgp.sessions) {
        rows.push_back({cell(session.peer), cell(session.node), cell(session.state),
                        cell(json ? iso_text(session.since) : time_text(session.since)), cell(session.info),
                        cell(session.protocol), session.established});
    }
    return joined(std::move(lines), table({{"Peer", "peer"},
                                           {"Node", "node"},
                                           {"State", "state"},
                                           {"Since", "since"},
                                           {"Info", "info"},
                                           {"", "protocol"},
                                           {"", "established"}},
                                          std::move(rows), json, {code::kOk, ""}));
}

Reply show_protocols(const State& state, system_clock::time_point now, bool json) {
    std::vector<Line> lines;
    const auto say = [&](unsigned code, std::string_view name, std::string_view kind, std::string_view table,
                         std::string_view at, std::string_view since, std::string_view info) {
        // proto_cmd_show in BIRD's nest/proto.c
        lines.push_back(
            {code, fmt::format("{:<10} {:<10} {:<10} {:<6} {:<12}  {}", name, kind, table, at, since, info)});
    };
    if (!json) say(code::kProtocolHeading, "Name", "Proto", "Table", "State", "Since", "Info");
    for (const Protocol& each : protocols_of(state)) {
        if (json) {
            const std::vector<Column> columns{{"", "name"},  {"", "proto"}, {"", "table"},
                                              {"", "state"}, {"", "since"}, {"", "info"}};
            lines.push_back(
                {code::kJson, json_of(columns, {cell(each.name), cell(each.kind), cell(each.table), cell(each.state),
                                                cell(iso_text(each.since)), cell(each.info)})});
        } else {
            say(code::kProtocol, each.name, each.kind, each.table, each.state, since_text(each.since, now), each.info);
        }
    }
    lines.push_back({code::kOk, ""});
    return reply_of(std::move(lines));
}

}  // namespace weft
