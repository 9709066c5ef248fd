#include <utility>

#include "bgp/bird.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "bgp/config_file.hpp"
#include "bgp/process.hpp"
#include "fake_bird.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kRealBird = "/usr/sbin/bird";

/// It touches no route: a configuration without kernel protocol.
BirdConfig config_of(const std::string& generation, const std::string& more = "") {
    return {.text = "define WEFT_GEN = \"" + generation + "\";\nrouter id 192.0.2.1;\nprotocol device { }\n" + more,
            .generation = generation,
            .node_of_peer = {}};
}

class BirdTest : public testing::Test {
  protected:
    BirdTest() { start_weft(); }
    ~BirdTest() override {
        bird_.reset();
        const pid_t process = BirdFiles(state()).process();
        for (const std::string& path : {socket(), directory_ / "moved.ctl"}) {
            if (runs_with(process, path)) kill(process, SIGKILL);
        }
    }

    void start_weft() {
        bird_.emplace(io_,
                      Bird::Surroundings{.changed = [this] { ++changes_; },
                                         .kernel_has_routes = [this] { return kernel_has_routes_; },
                                         .port_owner = [](std::uint16_t) { return std::string("process 7 (x)"); }});
    }

    std::string socket() const { return directory_ / "bird.ctl"; }
    std::string state() const { return directory_ / "state"; }
    BirdSettings settings(const std::string& program = kRealBird) const {
        return {.program = program, .socket = socket(), .state_directory = state(), .spawn = true, .port = 179};
    }
    BirdSettings attached(const std::string& program) const {
        BirdSettings all = settings(program);
        all.spawn = false;
        return all;
    }
    const BgpStatus& status() const { return bird_->status(); }
    bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 15s) {
        return run_until(io_, condition, within);
    }
    bool accepted() {
        return eventually([&] { return status().config_accepted; });
    }
    pid_t process() const { return BirdFiles(state()).process(); }

    /// A program for `bird`: `script` may end it; what goes on says that all is well.
    std::string program(const std::string& script) const {
        std::string path = directory_ / "program";
        std::ofstream(path) << "#!/bin/sh\n"
                            << script << "\n[ \"$1\" = --version ] && echo 'BIRD version 2.0.12'\nexit 0\n";
        EXPECT_EQ(std::system(("chmod +x " + path).c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
        return path;
    }

    TemporaryDirectory directory_;
    boost::asio::io_context io_{1};
    bool kernel_has_routes_ = false;
    int changes_ = 0;
    std::optional<Bird> bird_;
};

/// With the BIRD that is installed here.
class RealBirdTest : public BirdTest {
  protected:
    void SetUp() override {
        if (access(kRealBird, X_OK) != 0) GTEST_SKIP() << kRealBird << " is not installed";
    }
};

TEST_F(RealBirdTest, is_started_where_nobody_answers_and_ended_when_unwanted) {
    bird_->want(settings(), config_of("one"));
    EXPECT_EQ(status().bird, BirdState::starting);
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    EXPECT_EQ(status().bird, BirdState::running);
    EXPECT_THAT(status().version, StartsWith("2."));
    EXPECT_EQ(status().restarts, 0U);
    const pid_t running = process();
    bird_->unwanted(settings(), Goodbye::told);
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::off; }));
    EXPECT_FALSE(runs_with(running, socket()));
    EXPECT_FALSE(BirdFiles(state()).has_live());
}

TEST_F(RealBirdTest, outlives_weft_and_is_adopted_by_the_next_one) {
    bird_->want(settings(), config_of("one"));
    ASSERT_TRUE(accepted());
    const pid_t running = process();
    bird_.reset();
    start_weft();
    bird_->want(settings(), config_of("one"));
    ASSERT_TRUE(accepted());
    EXPECT_EQ(process(), running);
    EXPECT_TRUE(runs_with(running, socket()));
}

TEST_F(RealBirdTest, runs_each_configuration_that_is_wanted_and_keeps_the_last_good_one) {
    bird_->want(settings(), config_of("one"));
    ASSERT_TRUE(accepted());
    const pid_t running = process();
    bird_->want(settings(), config_of("two"));
    EXPECT_FALSE(status().config_accepted);
    ASSERT_TRUE(accepted());
    bird_->want(settings(), config_of("three", "protocol nonsense \"s3cret\"; # password \"s3cret\""));
    ASSERT_TRUE(eventually([&] { return !status().config_error.empty(); }));
    EXPECT_THAT(status().config_error, HasSubstr(":4:"));
    EXPECT_THAT(status().config_error, Not(HasSubstr("s3cret")));
    EXPECT_EQ(status().bird, BirdState::running);
    EXPECT_TRUE(BirdFiles(state()).live_is(config_of("two").text));
    bird_->want(settings(), config_of("four"));
    ASSERT_TRUE(accepted());
    EXPECT_EQ(status().config_error, "");
    EXPECT_EQ(process(), running);
}

TEST_F(RealBirdTest, is_started_again_when_it_dies) {
    bird_->want(settings(), config_of("one"));
    ASSERT_TRUE(accepted());
    const pid_t first = process();
    kill(first, SIGKILL);
    ASSERT_TRUE(eventually([&] { return status().restarts == 1 && status().config_accepted; })) << status().reason;
    EXPECT_NE(process(), first);
}

TEST_F(RealBirdTest, is_started_anew_for_a_configuration_that_replaces_its_sessions) {
    const auto with_session = [](const std::string& generation, const std::string& option) {
        BirdConfig config = config_of(generation,
                                      "\nprotocol bgp Mesh {\n    local 127.0.0.1 port 11790 as 1;\n"
                                      "    neighbor 127.0.0.9 port 11790 as 1;\n    multihop;\n" +
                                          option + "    ipv4 {\n    };\n}\n");
        config.node_of_peer = {{"127.0.0.9", "b"}};
        return config;
    };
    bird_->want(settings(), with_session("one", ""));
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    const pid_t first = process();
    bird_->want(settings(), with_session("two", "    rr client;\n"));
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    const pid_t second = process();
    EXPECT_NE(second, first);
    EXPECT_FALSE(runs_with(first, socket()));
    EXPECT_EQ(status().restarts, 0U) << "not by itself";
    bird_->want(settings(), with_session("three", "    rr client;\n    description \"b\";\n"));
    ASSERT_TRUE(accepted());
    EXPECT_EQ(process(), second);
}

TEST_F(RealBirdTest, moves_to_another_socket_without_a_second_one) {
    bird_->want(settings(), config_of("one"));
    ASSERT_TRUE(accepted());
    const pid_t first = process();
    BirdSettings moved = settings();
    moved.socket = directory_ / "moved.ctl";
    bird_->want(moved, config_of("one"));
    bird_->want(moved, config_of("two"));
    ASSERT_TRUE(eventually([&] { return status().config_accepted && process() != first; }));
    EXPECT_FALSE(runs_with(first, socket()));
    bird_->unwanted(moved, Goodbye::quiet);
    EXPECT_TRUE(eventually([&] { return status().bird == BirdState::off; }));
}

TEST_F(RealBirdTest, of_somebody_else_whose_only_configuration_is_wefts_goes_on_with_an_empty_one) {
    const std::string own = directory_ / "own.conf";
    std::ofstream(own) << "include \"" << BirdFiles(state()).live() << "\";\n";
    bird_->want(attached(kRealBird), config_of("one"));
    ASSERT_TRUE(eventually([&] { return BirdFiles(state()).has_live(); }));
    const auto started = start_detached({kRealBird, "-f", "-c", own, "-s", socket(), "-P", BirdFiles(state()).pid()},
                                        BirdFiles(state()).log());
    ASSERT_TRUE(started);
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    bird_->unwanted(attached(kRealBird), Goodbye::quiet);
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::off; })) << status().reason;
    EXPECT_TRUE(runs_with(*started, socket()));
    bird_->want(attached(kRealBird), config_of("two"));
    EXPECT_TRUE(accepted()) << status().reason << status().config_error;
    EXPECT_EQ(process(), *started);
}

TEST_F(BirdTest, is_checked_again_before_it_is_started_again) {
    const std::string path = program("[ \"$1\" = -f ] && exit 1");
    bird_->want(settings(path), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().reason.find("ended as soon as") != std::string::npos; }));
    program("echo 'BIRD version 1.6.8'; exit 1");
    ASSERT_TRUE(eventually([&] { return status().reason.find("BIRD 1.6.8 will not do") != std::string::npos; }));
    unlink(path.c_str());
    EXPECT_TRUE(eventually([&] { return status().reason.find("install bird2") != std::string::npos; }));
}

TEST_F(BirdTest, recovery_is_asked_for_only_where_there_are_routes_to_recover) {
    const std::string said = program("[ \"$1\" = -f ] && echo \"$@\" >>" + (directory_ / "arguments"));
    const auto arguments = [&] {
        std::ifstream in(directory_ / "arguments");
        return std::string{std::istreambuf_iterator<char>(in), {}};
    };
    bird_->want(settings(said), config_of("one"));
    ASSERT_TRUE(eventually([&] { return arguments().ends_with('\n'); }));
    EXPECT_THAT(arguments(), Not(HasSubstr("-R")));
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::failed; }));
    EXPECT_THAT(status().reason, HasSubstr("ended as soon as it was started"));
    kernel_has_routes_ = true;
    EXPECT_TRUE(eventually([&] { return arguments().ends_with("-R\n"); }));
}

/// With one session, to a peer that is not there.
BirdConfig peered_config_of(const std::string& generation, const std::string& option) {
    BirdConfig config = config_of(generation,
                                  "\nprotocol bgp Mesh {\n"
                                  "    local 127.0.0.1 port 31790 as 64512;\n"
                                  "    neighbor 127.0.0.2 port 31790 as 64512;\n"
                                  "    multihop;\n    passive on;\n" +
                                      option + "    ipv4 {\n        import none;\n        export none;\n    };\n}\n");
    config.node_of_peer.emplace("127.0.0.2", "b");
    return config;
}

TEST_F(RealBirdTest, whose_sessions_are_replaced_comes_back_with_recovery_even_without_routes) {
    const auto arguments = [&] {
        std::ifstream in("/proc/" + std::to_string(process()) + "/cmdline");
        const std::string all{std::istreambuf_iterator<char>(in), {}};
        return all.substr(0, all.size() - std::min<std::size_t>(all.size(), 1));
    };
    bird_->want(settings(), peered_config_of("one", ""));
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    EXPECT_FALSE(arguments().ends_with("-R"));
    const pid_t first = process();
    bird_->want(settings(), peered_config_of("two", "    rr client;\n"));
    ASSERT_TRUE(accepted()) << status().reason << status().config_error;
    EXPECT_NE(process(), first);
    EXPECT_TRUE(arguments().ends_with("-R"));
    EXPECT_EQ(status().restarts, 0U);
}

TEST_F(BirdTest, that_ends_at_once_is_told_with_its_last_words) {
    bird_->want(settings(program("[ \"$1\" = -f ] && { echo 'bird: no memory'; exit 1; }")), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::failed; }));
    EXPECT_THAT(status().reason, HasSubstr("no memory"));
}

TEST_F(BirdTest, that_is_missing_or_too_old_is_told_with_what_to_do) {
    bird_->want(settings(directory_ / "missing"), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::failed; }));
    EXPECT_THAT(status().reason, HasSubstr("install bird2"));
    bird_->want(settings(program("echo 'BIRD version 1.6.8'; exit 0")), config_of("one"));
    EXPECT_TRUE(eventually([&] { return status().reason.find("BIRD 1.6.8 will not do") != std::string::npos; }));
}

/// Answers as a BIRD that runs `generation` from `file`, with the sessions' table lines.
FakeBird::Script running(std::string& generation, const std::string& next, const std::string& file,
                         const std::string& sessions = "") {
    FakeBird::Script script;
    script.answer = [&generation, next, file, sessions](const std::string& command) -> std::string {
        if (command == "eval WEFT_GEN") {
            return generation.empty() ? "9001 syntax error, unexpected CF_SYM_UNDEFINED\n"
                                      : "0023 " + generation + "\n";
        }
        if (command == "configure check")
            return "0002-Reading configuration from " + file + "\n0020 Configuration OK\n";
        if (command.starts_with("configure")) {
            generation = next;
            return "0002-Reading configuration from " + file + "\n0003 Reconfigured\n";
        }
        if (command == "show protocols") return "2002-Name Proto Table State Since Info\n" + sessions + "0000 \n";
        return "0013 Daemon is up and running\n";
    };
    return script;
}

TEST_F(BirdTest, that_runs_the_wanted_configuration_is_told_nothing) {
    std::string live = "one";
    const FakeBird fake(io_, socket(), running(live, "one", "x"));
    bird_->want(settings(directory_ / "missing"), config_of("one"));
    ASSERT_TRUE(accepted());
    ASSERT_TRUE(eventually([&] { return fake.commands().size() > 3; }));
    EXPECT_THAT(fake.commands(), Not(Contains(StartsWith("configure"))));
    EXPECT_TRUE(BirdFiles(state()).live_is(config_of("one").text));
}

TEST_F(BirdTest, of_somebody_else_is_waited_for_and_the_file_is_there_for_it) {
    const std::string good = program("");
    bird_->want(attached(good), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().reason.find("nobody answers") != std::string::npos; }));
    EXPECT_TRUE(BirdFiles(state()).live_is(config_of("one").text));
    EXPECT_EQ(process(), 0);
    std::string live;
    const FakeBird fake(io_, socket(), running(live, "one", "/etc/bird/bird.conf"));
    ASSERT_TRUE(accepted());
    EXPECT_THAT(fake.commands(), Contains("configure"));
    EXPECT_EQ(status().reason, "");
}

TEST_F(BirdTest, of_somebody_else_that_does_not_include_wefts_file_is_told_so) {
    std::string live;
    const FakeBird fake(io_, socket(), running(live, "", "/etc/bird/bird.conf"));
    bird_->want(attached(program("")), config_of("one"));
    ASSERT_TRUE(eventually([&] { return !status().config_error.empty(); }));
    EXPECT_THAT(status().config_error, HasSubstr("/etc/bird/bird.conf"));
    EXPECT_THAT(status().config_error, HasSubstr("include"));
    EXPECT_FALSE(status().config_accepted);
}

TEST_F(BirdTest, of_somebody_else_that_includes_wefts_file_is_not_ended_but_given_an_empty_one) {
    std::string live = "one";
    const FakeBird fake(io_, socket(), running(live, "off", "/etc/bird/bird.conf"));
    bird_->unwanted(attached(program("")), Goodbye::told);
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::off && live == "off"; }));
    EXPECT_THAT(fake.commands(), Not(Contains("down")));
    EXPECT_TRUE(BirdFiles(state()).has_live());
}

TEST_F(BirdTest, without_wefts_configuration_is_left_alone_when_bgp_is_off) {
    std::string live;
    const FakeBird fake(io_, socket(), running(live, "", "/etc/bird/bird.conf"));
    bird_->unwanted(settings(), Goodbye::told);
    ASSERT_TRUE(eventually([&] { return !fake.commands().empty() && status().bird == BirdState::off; }));
    EXPECT_THAT(fake.commands(), testing::ElementsAre("eval WEFT_GEN"));
}

TEST_F(BirdTest, tells_of_a_port_that_another_process_has_and_tries_again) {
    std::string live = "one";
    const FakeBird fake(
        io_, socket(),
        running(live, "one", "x", "1002-Mesh_192_0_2_12 BGP --- down 1795381899 Error: No listening socket\n"));
    bird_->want(settings(program("")), config_of("one"));
    ASSERT_TRUE(eventually([&] { return !status().reason.empty(); }));
    EXPECT_THAT(status().reason, HasSubstr("BGP port 179: process 7 (x) has it"));
    EXPECT_EQ(status().bird, BirdState::running);
    EXPECT_TRUE(eventually([&] {
        return std::ranges::any_of(fake.commands(),
                                   [](const std::string& command) { return command.starts_with("configure"); });
    }));
}

TEST_F(BirdTest, is_told_of_the_tunnel_device_that_came_back_in_its_own_words) {
    struct Words {
        const char* version;
        const char* command;
    };
    for (const Words words :
         {Words{"2.0.12", "reload out weft_krt4"}, Words{"3.2.0", "reload filters out weft_krt4"}}) {
        std::string live = "one";
        auto script = running(live, "one", "x");
        script.greeting = std::string("0001 BIRD ") + words.version + " ready.\n";
        unlink(socket().c_str());
        const FakeBird fake(io_, socket(), std::move(script));
        start_weft();
        bird_->want(settings(program("")), config_of("one"));
        bird_->ipip_device_appeared();  // before there is anybody to tell
        EXPECT_TRUE(eventually([&] { return std::ranges::count(fake.commands(), words.command) == 1; }))
            << words.version;
        bird_->ipip_device_appeared();
        EXPECT_TRUE(eventually([&] { return std::ranges::count(fake.commands(), words.command) == 2; }))
            << words.version;
    }
}

struct Bad {
    const char* name;
    FakeBird::Script script;
    const char* reason;
};

/// The longest time that the loop was busy with one thing.
class Responsiveness {
  public:
    explicit Responsiveness(boost::asio::io_context& io) : timer_(io) { tick(); }
    std::chrono::milliseconds longest() const { return longest_; }

  private:
    void tick() {
        timer_.expires_after(5ms);
        timer_.async_wait(
            [this, due = std::chrono::steady_clock::now() + 5ms](const boost::system::error_code& stopped) {
                if (stopped) return;
                longest_ = std::max(longest_, std::chrono::duration_cast<std::chrono::milliseconds>(
                                                  std::chrono::steady_clock::now() - due));
                tick();
            });
    }
    boost::asio::steady_timer timer_;
    std::chrono::milliseconds longest_{0};
};

TEST_F(BirdTest, that_talks_nonsense_is_named_while_the_loop_goes_on) {
    const auto always = [](const std::string& text) { return [text](const std::string&) { return text; }; };
    FakeBird::Script endless{.greeting = "0001 BIRD 2.0.12 ready.\n", .answer = always("1002-x\n"), .endless = true};
    const std::vector<Bad> all{
        {"silent", {.greeting = "", .answer = always("")}, "does not answer"},
        {"half a greeting", {.greeting = "0001 BI", .answer = always("")}, "does not answer"},
        {"another program", {.greeting = "0220 mail ready\n", .answer = always("")}, "is not BIRD"},
        {"too old", {.greeting = "0001 BIRD 2.0.7 ready.\n", .answer = always("")}, "2.0.7 will not do"},
        {"binary",
         {.greeting = "0001 BIRD 2.0.12 ready.\n", .answer = always(std::string(500, '\1') + "\n")},
         "no reply"},
        {"hangs up", {.greeting = "0001 BIRD 2.0.12 ready.\n", .answer = always("0023-o"), .hang_up = true}, "closed"},
        {"endless", endless, "more than 16 MiB"},
    };
    for (const Bad& bad : all) {
        unlink(socket().c_str());
        const FakeBird fake(io_, socket(), bad.script);
        start_weft();
        const Responsiveness loop(io_);
        bird_->want(settings(program("")), config_of("one"));
        EXPECT_TRUE(eventually([&] { return status().bird == BirdState::failed; }, 20s)) << bad.name;
        EXPECT_THAT(status().reason, HasSubstr(bad.reason)) << bad.name;
        EXPECT_LT(loop.longest(), 2s) << bad.name;
        EXPECT_EQ(process(), 0) << bad.name << ": a second BIRD was started";
        bird_.reset();
    }
}

TEST_F(BirdTest, that_answers_slowly_but_in_time_is_waited_for) {
    std::string live;
    FakeBird::Script script = running(live, "one", BirdFiles(state()).live());
    script.delay = [] { return 300ms; };
    const FakeBird fake(io_, socket(), std::move(script));
    const Responsiveness loop(io_);
    bird_->want(settings(program("")), config_of("one"));
    ASSERT_TRUE(accepted()) << status().reason;
    EXPECT_EQ(status().reason, "");
    EXPECT_LT(loop.longest(), 2s);
    EXPECT_EQ(std::ranges::count_if(fake.commands(), [](const auto& said) { return said.starts_with("configure \""); }),
              1);
}

TEST_F(BirdTest, whose_answer_comes_too_late_is_told_so_and_the_answer_is_taken_for_no_other) {
    std::string live = "one";
    FakeBird::Script script = running(live, "one", "x");
    bool late = true;
    script.delay = [&late] { return std::chrono::milliseconds(std::exchange(late, false) ? 11'000 : 0); };
    const FakeBird fake(io_, socket(), std::move(script));
    const Responsiveness loop(io_);
    bird_->want(settings(program("")), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().bird == BirdState::failed; }));
    EXPECT_THAT(status().reason, HasSubstr("BIRD does not answer"));
    EXPECT_TRUE(status().sessions.empty());
    ASSERT_TRUE(accepted()) << status().reason;
    EXPECT_EQ(status().reason, "");
    EXPECT_LT(loop.longest(), 2s);
    EXPECT_EQ(process(), 0) << "a second BIRD was started";
}

TEST_F(BirdTest, that_stops_answering_loses_its_sessions_until_it_answers_again) {
    std::string live = "one";
    FakeBird::Script script = running(live, "one", "x", "1002-Mesh_192_0_2_12 BGP --- up 1795381899 Established\n");
    bool stuck = false;
    script.delay = [&stuck] { return std::chrono::milliseconds(stuck ? 60'000 : 0); };
    const FakeBird fake(io_, socket(), std::move(script));
    bird_->want(settings(program("")), config_of("one"));
    ASSERT_TRUE(eventually([&] { return status().sessions.size() == 1; }));
    stuck = true;
    ASSERT_TRUE(eventually([&] { return !status().reason.empty(); }, 30s));
    EXPECT_THAT(status().reason, HasSubstr("BIRD does not answer"));
    EXPECT_NE(status().bird, BirdState::running);
    EXPECT_TRUE(status().sessions.empty());
    stuck = false;
    ASSERT_TRUE(eventually([&] { return status().sessions.size() == 1; }, 30s));
    EXPECT_EQ(status().bird, BirdState::running);
    EXPECT_EQ(status().reason, "");
}

}  // namespace
}  // namespace weft::test
