#include "bgp/dialogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace weft {
namespace {

/// BIRD answers between two events of its own, of which reading a large configuration is the longest.
constexpr std::chrono::seconds kReplyPatience{10};
constexpr int kEvaluated = 23;

void ask(BirdControl& control, std::string command, std::function<void(BirdReply)> done) {
    control.command(std::move(command), kReplyPatience, [done = std::move(done)](Result<BirdReply> reply) {
        if (reply) done(*std::move(reply));
    });
}

/// "Reading configuration from /var/lib/weft/bird.conf"
std::string file_in(const BirdReply& reply) {
    constexpr std::string_view kBefore = "Reading configuration from ";
    const auto reading =
        std::ranges::find_if(reply.lines, [&](const BirdReplyLine& line) { return line.text.starts_with(kBefore); });
    return reading == reply.lines.end() ? std::string{} : reading->text.substr(kBefore.size());
}

}  // namespace

void ask_generation(BirdControl& control, std::function<void(std::string)> done) {
    ask(control, "eval WEFT_GEN",
        [done = std::move(done)](const BirdReply& reply) { done(reply.code() == kEvaluated ? reply.text() : ""); });
}

void ask_config_file(BirdControl& control, std::function<void(std::string)> done) {
    ask(control, "configure check", [done = std::move(done)](const BirdReply& reply) { done(file_in(reply)); });
}

void configure(BirdControl& control, const std::string& file, std::function<void(Configured)> done) {
    ask(control, file.empty() ? "configure" : fmt::format("configure \"{}\"", file),
        [done = std::move(done)](const BirdReply& reply) {
            constexpr int kReconfigured = 3;
            done({.refused = reply.failed(),
                  .in_progress = !reply.failed() && reply.code() != kReconfigured,
                  .file = file_in(reply),
                  .words = reply.text()});
        });
}

void ask_state(BirdControl& control, const std::map<std::string, std::string>& node_of_peer,
               std::function<void(BirdReport)> done) {
    ask(control, "show protocols", [&control, &node_of_peer, done = std::move(done)](const BirdReply& protocols) {
        BirdReport report{.sessions = sessions_of(protocols, node_of_peer), .graceful_restart = false};
        ask(control, "show status", [done, report = std::move(report)](const BirdReply& status) mutable {
            report.graceful_restart = in_graceful_restart(status);
            done(std::move(report));
        });
    });
}

void reload_exports(BirdControl& control, std::string_view version, std::string_view protocol) {
    const char* const words = version.starts_with("2.") ? "reload" : "reload filters";
    ask(control, fmt::format("{} out {}", words, protocol), [](const BirdReply&) {});
}

void send_away(BirdControl& control, Goodbye goodbye) {
    ask(control, goodbye == Goodbye::told ? "down" : "graceful restart", [](const BirdReply&) {});
}

}  // namespace weft
