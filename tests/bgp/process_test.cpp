#include <utility>

#include "bgp/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>

#include "bgp/check.hpp"
#include "bgp/config_file.hpp"
#include "fake_bird.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string content(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

Result<Ended> run(const std::vector<std::string>& arguments, std::chrono::milliseconds patience = 5s) {
    boost::asio::io_context io;
    std::optional<Result<Ended>> result;
    run_program(io, arguments, patience, [&](Result<Ended> ended) { result = std::move(ended); });
    EXPECT_FALSE(result);
    EXPECT_TRUE(run_until(io, [&] { return result.has_value(); }));
    return result ? *result : Result<Ended>(Error{"never called back"});
}

TEST(Process, TellsTheStatusAndWhatWasSaid) {
    const auto ended = run({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"});
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(ended->status, 3);
    EXPECT_EQ(ended->output, "out\nerr\n");
    EXPECT_EQ(run({"/bin/sh", "-c", "kill -9 $$"})->status, 128 + 9);
}

TEST(Process, AMissingProgramIsAnError) {
    const auto ended = run({"/nonexistent/bird"});
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().message, HasSubstr("No such file"));
}

TEST(Process, IsEndedAtItsDeadlineWhateverItsChildrenHold) {
    for (const char* script : {"exec sleep 60", "sleep 60 & wait", "exec >&- 2>&-; sleep 60"}) {
        const auto begin = std::chrono::steady_clock::now();
        const auto ended = run({"/bin/sh", "-c", script}, 100ms);
        ASSERT_FALSE(ended) << script;
        EXPECT_THAT(ended.error().message, HasSubstr("did not end"));
        EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s) << script;
    }
}

TEST(Process, KeepsTheFirstOfWhatIsSaidWithoutEnd) {
    const auto ended = run({"/bin/sh", "-c", "head -c 1000000 /dev/zero"});
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->output.size(), 64U * 1024);
}

TEST(Process, DoesNotOutliveTheLoopThatWaitsForIt) {
    TemporaryDirectory directory;
    pid_t process = 0;
    {
        boost::asio::io_context io;
        run_program(io, {"/bin/sh", "-c", "echo $$ >" + (directory / "pid") + "; exec sleep 60"}, 60s,
                    [](const Result<Ended>&) {});
        ASSERT_TRUE(run_until(io, [&] { return content(directory / "pid").ends_with('\n'); }));
        process = std::stoi(content(directory / "pid"));
    }
    EXPECT_EQ(kill(process, 0), -1);
}

TEST(Process, ADetachedOneHasASessionOfItsOwnAndNoneOfOurDescriptors) {
    TemporaryDirectory directory;
    const int ours = fcntl(STDERR_FILENO, F_DUPFD, 20);  // not close-on-exec
    const std::string script =
        fmt::format("[ -e /proc/$$/fd/{} ] && echo leaked; cut -d' ' -f6 /proc/$$/stat; echo said", ours);
    const auto started = start_detached({"/bin/sh", "-c", script}, directory / "log");
    close(ours);
    ASSERT_TRUE(started) << started.error().message;
    boost::asio::io_context io;
    ASSERT_TRUE(run_until(io, [&] { return content(directory / "log").ends_with("said\n"); }));
    EXPECT_THAT(content(directory / "log"), testing::Not(HasSubstr("leaked")));
    EXPECT_THAT(content(directory / "log"), testing::Not(testing::StartsWith(std::to_string(getsid(0)) + "\n")));
    EXPECT_TRUE(run_until(io, [&] { return !runs_with(*started, script); }));
}

TEST(Process, ADetachedOneThatCannotBeStartedIsAnError) {
    TemporaryDirectory directory;
    const auto started = start_detached({"/nonexistent/bird"}, directory / "log");
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("/nonexistent/bird: No such file"));
}

TEST(Process, IsKnownByItsArguments) {
    EXPECT_FALSE(runs_with(0, ""));
    EXPECT_FALSE(runs_with(getpid(), "/no/such/argument"));
    EXPECT_FALSE(runs_with(0x7fffffff, ""));
}

/// A program that says and does what BIRD would.
std::string program(const TemporaryDirectory& directory, const std::string& script) {
    std::string path = directory / "bird";
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    EXPECT_EQ(std::system(("chmod +x " + path).c_str()), 0);
    return path;
}

Verdict check(const std::string& program) {
    boost::asio::io_context io;
    std::optional<Verdict> verdict;
    check_config(io, program, "/some/bird.conf", [&](Verdict given) { verdict = std::move(given); });
    EXPECT_TRUE(run_until(io, [&] { return verdict.has_value(); }));
    return verdict.value_or(Verdict{});
}

TEST(Check, ReportsBirdsOwnWords) {
    TemporaryDirectory directory;
    const Verdict verdict = check(program(directory,
                                          "[ $1 = -p ] || { echo 'BIRD version 2.0.12'; exit; }\n"
                                          "echo \"bird: $3:7:1 syntax error\"; exit 1"));
    EXPECT_EQ(verdict.kind, Verdict::Kind::refused);
    EXPECT_EQ(verdict.words, "bird: /some/bird.conf:7:1 syntax error");
}

TEST(Check, AMissingBirdAndAnOldOneAreToldWithWhatToDo) {
    TemporaryDirectory directory;
    Verdict verdict = check(directory / "missing");
    EXPECT_EQ(verdict.kind, Verdict::Kind::unable);
    EXPECT_THAT(verdict.words, HasSubstr("missing: No such file"));
    EXPECT_THAT(verdict.words, HasSubstr("install bird2"));
    verdict = check(program(directory, "echo 'BIRD version 2.0.10' >&2"));
    EXPECT_EQ(verdict.kind, Verdict::Kind::unable);
    EXPECT_THAT(verdict.words, HasSubstr("BIRD 2.0.10 will not do: weft needs 2.0.12"));
    verdict = check(program(directory, "echo 'a parrot'"));
    EXPECT_THAT(verdict.words, HasSubstr("unknown version"));
}

TEST(Files, TheOneBeforeStaysUntilTheNewOneIsConfirmed) {
    TemporaryDirectory directory;
    const BirdFiles files(directory / "state");
    ASSERT_TRUE(files.stage("one"));
    ASSERT_TRUE(files.place());
    files.confirm();
    ASSERT_TRUE(files.stage("two"));
    EXPECT_TRUE(files.live_is("one"));
    ASSERT_TRUE(files.place());
    EXPECT_TRUE(files.live_is("two"));
    ASSERT_TRUE(files.stage("three"));
    ASSERT_TRUE(files.place());
    EXPECT_TRUE(files.restore());
    EXPECT_TRUE(files.live_is("one"));
    EXPECT_FALSE(files.restore());
    EXPECT_FALSE(files.has_live());
}

TEST(Files, HoldPasswordsFromTheWorld) {
    TemporaryDirectory directory;
    const BirdFiles files(directory / "state");
    const mode_t before = umask(0);
    ASSERT_TRUE(files.stage("password \"secret\";"));
    ASSERT_TRUE(files.place());
    umask(before);
    struct stat about {};
    ASSERT_EQ(stat(files.live().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777U, 0640U);
    ASSERT_EQ(stat(directory.path().c_str(), &about), 0);
    files.forget();
    EXPECT_FALSE(files.has_live());
}

TEST(Files, AnUnwritableDirectoryIsNamed) {
    const auto staged = BirdFiles("/proc/nowhere").stage("x");
    ASSERT_FALSE(staged);
    EXPECT_THAT(staged.error().message, HasSubstr("/proc/nowhere"));
}

TEST(Files, PasswordsAreStarredOutOfWhatBirdSays) {
    const std::string text = "protocol bgp a { password \"se(ret\"; }\nprotocol bgp b { password \"x1\"; }";
    EXPECT_EQ(without_passwords("bird: unexpected se(ret near x1, se(ret", text), "bird: unexpected *** near ***, ***");
    EXPECT_EQ(without_passwords("nothing", ""), "nothing");
    EXPECT_EQ(without_passwords("open", "password \"open"), "***");
}

}  // namespace
}  // namespace weft::test
