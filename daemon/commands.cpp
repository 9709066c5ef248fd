#include "daemon/commands.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

#include "daemon/commands_grammar.hpp"
#include "daemon/explain.hpp"
#include "daemon/readiness.hpp"
#include "daemon/show.hpp"
#include "daemon/table.hpp"

namespace weft {
namespace {

using std::chrono::steady_clock;

/// As BIRD's `configure timeout` without a number.
constexpr std::chrono::seconds kConfirmWithin{300};

Reply answer(unsigned code, std::string text) {
    return reply_of({{code, std::move(text)}});
}

/// An error's text of several lines (a file's diagnostics): all of them, the last as the final line.
Reply failed(unsigned code, const Error& error) {
    const std::size_t end = error.message.find_last_of('\n');
    if (end == std::string::npos) return answer(code, error.message);
    return reply_of(code, std::string_view(error.message).substr(0, end), {code, error.message.substr(end + 1)});
}

Reply done(const Result<Done>& result, unsigned code, std::string text, unsigned failure) {
    return result ? answer(code, std::move(text)) : failed(failure, result.error());
}

std::optional<std::string> file_of(const Command& command) {
    if (command.file.empty()) return std::nullopt;
    return command.file;
}

Reply configure_now(Actions& actions, const Command& command) {
    std::optional<std::chrono::seconds> timeout;
    if (command.id == CommandId::configure_timeout) {
        timeout = kConfirmWithin;
        unsigned number = 0;
        const char* const begin = command.seconds.data();
        if (std::from_chars(begin, begin + command.seconds.size(), number).ec == std::errc{}) {
            timeout = std::chrono::seconds(number);
        }
    }
    return done(
        actions.configure(file_of(command), timeout), code::kReconfigured,
        timeout ? fmt::format("Reconfigured, undone in {} s unless confirmed", timeout->count()) : "Reconfigured",
        code::kConfigError);
}

Reply check(Actions& actions, const Command& command) {
    const auto warnings = actions.check(file_of(command));
    if (!warnings) return failed(code::kConfigError, warnings.error());
    return reply_of(code::kRow, *warnings, {code::kConfigOk, "Configuration OK"});
}

Reply plan_preview(Actions& actions, const Command& command) {
    const auto preview = actions.preview(file_of(command));
    if (!preview) return failed(code::kConfigError, preview.error());
    std::vector<Line> lines;
    std::size_t interrupting = 0;
    for (const Change& change : preview->kernel) {
        interrupting += change.may_interrupt ? 1U : 0U;
        const std::string text = to_string(change);
        if (command.json) {
            const std::vector<Column> columns{{"", "kind"}, {"", "change"}, {"", "reason"}, {"", "may_interrupt"}};
            lines.push_back({code::kJson, json_of(columns, {cell(object_kind(change.object)), cell(text),
                                                            cell(change.reason), change.may_interrupt})});
            continue;
        }
        const std::string marked =
            fmt::format("{} ({}){}", text, change.reason, change.may_interrupt ? "  [may interrupt traffic]" : "");
        for (std::string& line : wrap(marked, 4)) lines.push_back({code::kRow, std::move(line)});
    }
    std::vector<Line> bird;
    append_lines(bird, code::kRow, preview->bird);
    for (Line& line : bird) {
        if (command.json)
            line = {code::kJson, json_of({{"", "kind"}, {"", "change"}}, {cell("bird"), cell(line.text)})};
        lines.push_back(std::move(line));
    }
    if (lines.empty()) return answer(code::kNothingToDo, "Nothing to do");
    lines.push_back({code::kChanges, fmt::format("{} changes in the kernel ({} may interrupt traffic), {} lines of "
                                                 "BIRD's configuration",
                                                 preview->kernel.size(), interrupting, bird.size())});
    return reply_of(std::move(lines));
}

/// One line, for exec probes: it is what an orchestrator keeps of a probe that failed.
Reply ready(const State& state, const Command& command) {
    std::optional<bool> bgp;
    if (command.id != CommandId::ready) bgp = command.id == CommandId::ready_bgp;
    const Readiness now = readiness(state, steady_clock::now(), bgp);
    const unsigned outcome = now.ready ? code::kReady : code::kNotReady;
    if (command.json) {
        nlohmann::ordered_json reasons = nlohmann::ordered_json::array();
        for (const Reason& reason : now.reasons) {
            reasons.push_back({{"object", reason.object}, {"text", reason.text}, {"blocking", reason.blocking}});
        }
        const nlohmann::ordered_json object = {
            {"ready", now.ready}, {"phase", to_string(now.phase)}, {"reasons", reasons}};
        return reply_of({{code::kJson, object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)},
                         {outcome, ""}});
    }
    std::string text = fmt::format("{} (phase {})", now.ready ? "Ready" : "Not ready", to_string(now.phase));
    const char* separator = ": ";
    std::vector<Reason> reasons = now.reasons;
    std::stable_partition(reasons.begin(), reasons.end(), [](const Reason& reason) { return reason.blocking; });
    for (const Reason& reason : reasons) {
        text += fmt::format("{}{}{}: {}", std::exchange(separator, "; "), reason.blocking ? "" : "(warning) ",
                            reason.object, reason.text);
    }
    return answer(outcome, std::move(text));
}

Reply help() {
    std::vector<Line> lines;
    for (const Usage& usage : usages()) {
        lines.push_back({code::kRow, fmt::format("{:<32}{}", usage.pattern, usage.help)});
    }
    lines.push_back(
        {code::kRow, "Words can be cut short; `show`, `plan`, `explain` and `ready` take a last word `json`."});
    lines.push_back({code::kOk, ""});
    return reply_of(std::move(lines));
}

/// `show routes for` and `explain`.
Reply about_address(const State& state, Actions& actions, const Command& command) {
    const auto address = parse_address(command.address);
    if (!address) {
        return answer(code::kNotUnderstood, fmt::format("'{}' is no IPv4 or IPv6 address", command.address));
    }
    if (command.id == CommandId::show_routes) return show_routes(state, address, command.json);
    return show_explanation(explain(state, *address, actions.lookup(*address)), *address, command.json);
}

Reply dispatch(const State& state, Actions& actions, const Command& command) {
    switch (command.id) {
        case CommandId::show_status:
            return show_status(state, steady_clock::now(), command.json);
        case CommandId::show_nodes:
            return show_nodes(state, command.json);
        case CommandId::show_pools:
            return show_pools(state, command.json);
        case CommandId::show_blocks:
            return show_blocks(state, command.json);
        case CommandId::show_tunnels:
            return show_tunnels(state, command.json);
        case CommandId::show_routes:
            return command.address.empty() ? show_routes(state, std::nullopt, command.json)
                                           : about_address(state, actions, command);
        case CommandId::show_bgp:
            return show_bgp(state, command.json);
        case CommandId::show_protocols:
            return show_protocols(state, std::chrono::system_clock::now(), command.json);
        case CommandId::show_config:
            return show_config(state, command.json);
        case CommandId::show_events:
            return show_events(state, command.json);
        case CommandId::configure:
        case CommandId::configure_timeout:
            return configure_now(actions, command);
        case CommandId::configure_check:
            return check(actions, command);
        case CommandId::configure_confirm:
            return done(actions.confirm(), code::kConfirmed, "Reconfiguration confirmed", code::kFailed);
        case CommandId::configure_undo:
            return done(actions.undo(), code::kReconfigured, "Reconfigured, back to the one before", code::kFailed);
        case CommandId::node_remove:
            return done(actions.remove_node(command.node), code::kOk,
                        fmt::format("Removing node {}: `weftctl show events` tells how it goes", command.node),
                        code::kFailed);
        case CommandId::source_accept:
            return done(actions.accept_source(), code::kOk, "Accepted: the source is followed", code::kFailed);
        case CommandId::plan:
            return plan_preview(actions, command);
        case CommandId::ready:
        case CommandId::ready_bgp:
        case CommandId::ready_no_bgp:
            return ready(state, command);
        case CommandId::explain:
            return about_address(state, actions, command);
        case CommandId::help:
            break;
    }
    return help();
}

}  // namespace

Reply execute(const State& state, Actions& actions, std::string_view line) {
    const auto command = parse_command(line);
    if (!command) return answer(code::kNotUnderstood, command.error().message);
    return dispatch(state, actions, *command);
}

}  // namespace weft
