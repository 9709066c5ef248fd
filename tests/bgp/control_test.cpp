#include <utility>

#include "bgp/control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>

#include <cstring>
#include <fstream>

#include "fake_bird.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class ControlTest : public testing::Test {
  protected:
    /// Connects; answers what came of it.
    Greeting connect(std::chrono::milliseconds patience = 5s) {
        std::optional<Greeting> greeting;
        control_.connect(path_, patience, [&](const Greeting& got) { greeting = got; });
        EXPECT_TRUE(run_until(io_, [&] { return greeting.has_value(); }));
        return greeting.value_or(Greeting{});
    }

    Result<BirdReply> ask(const std::string& command, std::chrono::milliseconds patience = 5s) {
        std::optional<Result<BirdReply>> answer;
        control_.command(command, patience, [&](Result<BirdReply> got) { answer = std::move(got); });
        EXPECT_TRUE(run_until(io_, [&] { return answer.has_value(); }));
        return answer ? *answer : Result<BirdReply>(Error{"no answer at all"});
    }

    void SetUp() override {
        control_.on_lost([this](const std::string& why) { lost_.push_back(why); });
    }

    TemporaryDirectory directory_;
    std::string path_ = directory_ / "bird.ctl";
    boost::asio::io_context io_;
    BirdControl control_{io_};
    std::vector<std::string> lost_;
};

std::string echo(const std::string& command) {
    return "0023 " + command + "\n";
}

TEST_F(ControlTest, LearnsTheVersionAndGetsAnswersInOrder) {
    FakeBird bird(io_, path_, {.answer = echo});
    EXPECT_EQ(connect().version, "2.0.12");
    std::vector<std::string> answers;
    for (const char* command : {"one", "two", "three"}) {
        control_.command(command, 5s, [&](const Result<BirdReply>& reply) { answers.push_back(reply->text()); });
    }
    EXPECT_TRUE(answers.empty());
    ASSERT_TRUE(run_until(io_, [&] { return answers.size() == 3; }));
    EXPECT_THAT(answers, ElementsAre("one", "two", "three"));
    EXPECT_THAT(bird.commands(), ElementsAre("one", "two", "three"));
    EXPECT_TRUE(lost_.empty());
}

TEST_F(ControlTest, HasOneCommandInFlight) {
    FakeBird bird(io_, path_, {});
    connect();
    control_.command("one", 5s, [](const Result<BirdReply>&) {});
    control_.command("two", 5s, [](const Result<BirdReply>&) {});
    ASSERT_TRUE(run_until(io_, [&] { return !bird.commands().empty(); }));
    EXPECT_FALSE(run_until(
        io_, [&] { return bird.commands().size() > 1; }, 50ms));
    bird.say("0000 \n");
    EXPECT_TRUE(run_until(io_, [&] { return bird.commands().size() == 2; }));
}

TEST_F(ControlTest, TakesRepliesByteByByteAndLogLinesAmongThem) {
    FakeBird bird(io_, path_,
                  {.answer = [](const std::string&) { return "+log\n1000-one\n+log\n two\n0000 \n"; }, .portion = 1});
    EXPECT_EQ(connect().version, "2.0.12");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(ask("x")->lines.size(), 3U);
}

TEST_F(ControlTest, TakesATableOfAHundredThousandLines) {
    std::string table = "1007-first\n";
    for (int i = 0; i < 100'000; ++i) table += " 10.0.0.0/26 via 192.0.2.1 on eth0\n";
    table += "0000 \n";
    FakeBird bird(io_, path_, {.answer = [&](const std::string&) { return table; }});
    connect();
    const auto reply = ask("show route");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->lines.size(), 100'002U);
}

TEST_F(ControlTest, NobodyThereIsToldApartFromSomebodySilent) {
    Greeting greeting = connect();
    EXPECT_TRUE(greeting.nobody);
    EXPECT_THAT(greeting.why, HasSubstr("No such file"));
    std::ofstream(path_) << "no socket";
    EXPECT_TRUE(connect().nobody);
    std::remove(path_.c_str());
    FakeBird bird(io_, path_, {.greeting = "", .answer = {}});
    greeting = connect(50ms);
    EXPECT_FALSE(greeting.nobody);
    EXPECT_THAT(greeting.why, HasSubstr("does not answer"));
    EXPECT_FALSE(control_.connected());
}

TEST_F(ControlTest, ABirdThatTakesNoConnectionsDoesNotHoldUpAnybody) {
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(static_cast<char*>(address.sun_path), path_.data(), path_.size());
    ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);  // NOLINT
    ASSERT_EQ(listen(listener, 1), 0);
    const auto begin = std::chrono::steady_clock::now();
    Greeting greeting;
    for (int i = 0; i < 8; ++i) greeting = connect(10ms);
    EXPECT_THAT(greeting.why, HasSubstr("stuck"));
    EXPECT_FALSE(greeting.nobody);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    close(listener);
}

TEST_F(ControlTest, WhatIsNotBirdIsNotTalkedTo) {
    FakeBird other(io_, path_, {.greeting = "0001 weftd 0.1.0 ready.\n", .answer = echo});
    EXPECT_THAT(connect().why, HasSubstr("is not BIRD"));
    EXPECT_FALSE(control_.connected());
    EXPECT_TRUE(lost_.empty());
}

TEST_F(ControlTest, ALateAnswerEndsTheConnectionAndWhatWasQueued) {
    FakeBird bird(io_, path_, {});
    connect();
    int failed = 0;
    control_.command("one", 50ms, [&](const Result<BirdReply>& reply) { failed += reply ? 0 : 1; });
    control_.command("two", 50ms, [&](const Result<BirdReply>& reply) { failed += reply ? 0 : 1; });
    ASSERT_TRUE(run_until(io_, [&] { return failed == 2; }));
    ASSERT_EQ(lost_.size(), 1U);
    EXPECT_THAT(lost_.front(), HasSubstr("does not answer"));
    EXPECT_FALSE(control_.connected());
}

struct BadPeer {
    const char* name;
    FakeBird::Script script;
    const char* why;
    std::chrono::milliseconds patience = 10s;  ///< short where nothing but its end ends the wait
};

TEST_F(ControlTest, BadAnswersEndTheConnectionAndTheNextOneIsFresh) {
    const auto says = [](const std::string& text) { return [text](const std::string&) { return text; }; };
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "1007-x\n";
    const std::vector<BadPeer> all{
        {"truncated", {.answer = says("1000-one\n two"), .hang_up = true}, "closed the connection"},
        {"truncated and silent", {.answer = says("1000-one\n two")}, "does not answer", 300ms},
        {"binary", {.answer = says(std::string("\0\1\2\xff\n", 5))}, "no reply of BIRD's"},
        {"a line without end", {.answer = says(std::string(100'000, 'x'))}, "a line of more than"},
        {"lines without end", {.answer = says(many), .endless = true}, "a reply of more than"},
        {"log lines without end", {.answer = says("+x\n"), .endless = true}, "does not answer", 300ms},
        {"two replies", {.answer = says("0000 \n0000 \n")}, "more than it was asked for"},
        {"a reply and a half", {.answer = says("0000 \n0000")}, "more than it was asked for"},
        {"nothing, and gone", {.answer = says("\n"), .hang_up = true}, "no reply of BIRD's"},
    };
    for (const BadPeer& bad : all) {
        SCOPED_TRACE(bad.name);
        lost_.clear();
        {
            FakeBird bird(io_, path_, bad.script);
            ASSERT_EQ(connect().version, "2.0.12");
            (void)ask("show status", bad.patience);
            ASSERT_TRUE(run_until(io_, [&] { return !lost_.empty(); }));
            EXPECT_THAT(lost_.front(), HasSubstr(bad.why));
            EXPECT_EQ(lost_.size(), 1U);
        }
        std::remove(path_.c_str());
        FakeBird good(io_, path_, {.answer = echo});
        ASSERT_EQ(connect().version, "2.0.12");
        EXPECT_EQ(ask("hello")->text(), "hello");
        control_.close();
        std::remove(path_.c_str());
    }
}

TEST_F(ControlTest, UnaskedRepliesAreNobodysAnswer) {
    FakeBird bird(io_, path_, {.answer = echo});
    connect();
    bird.say("0023 wrong\n");
    ASSERT_TRUE(run_until(io_, [&] { return !lost_.empty(); }));
    EXPECT_THAT(lost_.front(), HasSubstr("more than it was asked for"));
}

TEST_F(ControlTest, TheOtherEndGoingIsNoticedWithoutAsking) {
    FakeBird bird(io_, path_, {.answer = echo});
    connect();
    bird.hang_up();
    ASSERT_TRUE(run_until(
        io_, [&] { return !lost_.empty(); }, 1s));
    EXPECT_FALSE(control_.connected());
    EXPECT_FALSE(ask("x"));
}

TEST_F(ControlTest, ACallbackMayConnectAnewOrCloseAtOnce) {
    FakeBird bird(io_, path_, {.answer = echo});
    connect();
    bool again = false;
    control_.command("x", 5s, [&](const Result<BirdReply>&) {
        control_.connect(path_, 5s, [&](const Greeting& greeting) { again = !greeting.version.empty(); });
    });
    ASSERT_TRUE(run_until(io_, [&] { return again; }));
    EXPECT_EQ(ask("y")->text(), "y");
    bool closed = false;
    control_.command("z", 5s, [&](const Result<BirdReply>&) {
        control_.close();
        closed = true;
    });
    ASSERT_TRUE(run_until(io_, [&] { return closed; }));
    EXPECT_TRUE(lost_.empty());
}

TEST_F(ControlTest, MayGoWhileACommandIsInFlight) {
    FakeBird bird(io_, path_, {.answer = echo});
    auto control = std::make_unique<BirdControl>(io_);
    bool connected = false;
    control->connect(path_, 5s, [&](const Greeting&) { connected = true; });
    ASSERT_TRUE(run_until(io_, [&] { return connected; }));
    bool answered = false;
    control->command("x", 5s, [&](const Result<BirdReply>&) { answered = true; });
    control.reset();
    EXPECT_FALSE(run_until(
        io_, [&] { return answered; }, 50ms));
}

TEST_F(ControlTest, APathThatIsTooLongIsToldAsSuch) {
    path_ = directory_ / std::string(200, 'x');
    EXPECT_THAT(connect().why, HasSubstr("too long"));
}

}  // namespace
}  // namespace weft::test
