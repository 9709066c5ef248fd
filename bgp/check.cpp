#include <utility>

#include "bgp/check.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "bgp/process.hpp"
#include "bgp/reply.hpp"

namespace weft {
namespace {

constexpr std::chrono::seconds kProgramPatience{10};

/// "BIRD version 2.0.12" -> "2.0.12"
std::string version_in(const std::string& output) {
    constexpr std::string_view kBefore = "version ";
    const std::size_t at = output.find(kBefore);
    if (at == std::string::npos) return {};
    const std::string rest = output.substr(at + kBefore.size());
    return rest.substr(0, rest.find_first_of(" \r\n"));
}

Verdict verdict_of(const std::string& program, const Result<Ended>& ended) {
    if (!ended) return {Verdict::Kind::unable, fmt::format("{} -p: {}", program, ended.error().message)};
    if (ended->status == 0) return {};
    std::string words = ended->output;
    while (!words.empty() && words.back() == '\n') words.pop_back();
    if (words.empty()) words = fmt::format("{} -p ended with status {}", program, ended->status);
    return {Verdict::Kind::refused, std::move(words)};
}

}  // namespace

void check_config(boost::asio::io_context& io, const std::string& program, const std::string& file,
                  std::function<void(Verdict)> done) {
    run_program(io, {program, "--version"}, kProgramPatience,
                [&io, program, file, done = std::move(done)](const Result<Ended>& ended) {
                    if (!ended) {
                        return done({Verdict::Kind::unable,
                                     fmt::format("BIRD cannot be run: {}: {}; install bird2 (2.0.12 or later), or say "
                                                 "where it is with 'bird' in protocol bgp",
                                                 program, ended.error().message)});
                    }
                    if (std::string why = why_not(version_in(ended->output)); !why.empty()) {
                        return done({Verdict::Kind::unable, fmt::format("{}: {}", program, why)});
                    }
                    run_program(io, {program, "-p", "-c", file}, kProgramPatience,
                                [program, done](const Result<Ended>& parsed) { done(verdict_of(program, parsed)); });
                });
}

void stage_and_check(boost::asio::io_context& io, const std::string& program, const BirdFiles& files,
                     const std::string& text, std::function<void(Verdict)> done) {
    if (const auto staged = files.stage(text); !staged) {
        boost::asio::post(io, [done = std::move(done), words = staged.error().message] {
            done({Verdict::Kind::unable, words});
        });
        return;
    }
    check_config(io, program, files.staged(), [text, done = std::move(done)](Verdict verdict) {
        verdict.words = without_passwords(std::move(verdict.words), text);
        done(std::move(verdict));
    });
}

}  // namespace weft
