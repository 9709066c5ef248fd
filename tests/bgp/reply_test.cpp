#include "bgp/reply.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::vector<BirdReply> replies_in(std::string_view bytes, std::size_t portion = std::string_view::npos) {
    BirdReplyParser parser;
    std::vector<BirdReply> replies;
    while (!bytes.empty()) {
        parser.feed(bytes.substr(0, portion));
        bytes.remove_prefix(std::min(portion, bytes.size()));
        while (auto reply = parser.next()) replies.push_back(*std::move(reply));
    }
    EXPECT_EQ(parser.error(), "");
    return replies;
}

BirdReply reply_in(std::string_view bytes) {
    const auto replies = replies_in(bytes);
    EXPECT_EQ(replies.size(), 1U);
    return replies.empty() ? BirdReply{} : replies.front();
}

constexpr std::string_view kProtocols =
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-weft_device Device     ---        up     1795381899    \n"
    " Mesh_10_0_0_2 BGP        ---        up     1795381900    Established   \n"
    " Mesh_10_0_0_3 BGP        ---        start  1795381899    Active        Socket: Connection refused\n"
    " Global_fd00__1 BGP        ---        down   1795381899  \n"
    "0000 \n";

TEST(BirdReply, LinesTakeTheCodeOfTheLineBefore) {
    const BirdReply reply =
        reply_in("1000-BIRD 2.0.12\n1011-Router ID is 1.2.3.4\n  Hostname is a\n0013 Daemon is up\n");
    const std::vector<BirdReplyLine> expected{
        {1000, "BIRD 2.0.12"}, {1011, "Router ID is 1.2.3.4"}, {1011, " Hostname is a"}, {13, "Daemon is up"}};
    EXPECT_EQ(reply.lines, expected);
    EXPECT_FALSE(reply.failed());
}

TEST(BirdReply, IsTheSameInPortionsOfAnySize) {
    const std::string bytes = "0001 BIRD 2.0.12 ready.\n" + std::string(kProtocols) + "+a log line\n8001 not found\n";
    const auto whole = replies_in(bytes);
    ASSERT_EQ(whole.size(), 3U);
    for (const std::size_t portion : {1U, 2U, 3U, 7U, 64U}) EXPECT_EQ(replies_in(bytes, portion), whole) << portion;
}

TEST(BirdReply, LogLinesComeInBetweenAndAreNobodysReply) {
    const BirdReply reply = reply_in("+first\n1000-one\n+second\n two\n+third\n0000 \n");
    EXPECT_EQ(reply.lines, (std::vector<BirdReplyLine>{{1000, "one"}, {1000, "two"}, {0, ""}}));
}

TEST(BirdReply, AFailureTellsItsOwnWords) {
    const BirdReply reply = reply_in("0002-Reading configuration from F\n8002 F:6:1 syntax error\n");
    EXPECT_TRUE(reply.failed());
    EXPECT_EQ(reply.text(), "F:6:1 syntax error");
    EXPECT_EQ(reply_in("0023 42-9f3c\n").text(), "42-9f3c");
}

TEST(BirdReply, WhatIsNoReplyIsAnErrorAndStaysOne) {
    for (const std::string& bytes :
         {std::string("hello\n"), std::string("12 x\n"), std::string("\n"), std::string(" continues nothing\n"),
          std::string("0000\n"), std::string("00a0 x\n"), std::string("\0\0\0\0\0\n", 6), std::string("\xff\xfe\n"),
          std::string("HTTP/1.1 200\r\n")}) {
        BirdReplyParser parser;
        parser.feed(bytes);
        EXPECT_NE(parser.error(), "") << bytes;
        parser.feed("0000 \n");
        EXPECT_FALSE(parser.next()) << bytes;
    }
}

TEST(BirdReply, ALineWithoutAnEndIsAnErrorBeforeItFillsTheMemory) {
    BirdReplyParser parser;
    for (int i = 0; i < 1000 && parser.error().empty(); ++i) parser.feed(std::string(16, 'x'));
    EXPECT_THAT(parser.error(), HasSubstr("a line of more than"));
}

TEST(BirdReply, AReplyWithoutAnEndIsAnErrorBeforeItFillsTheMemory) {
    BirdReplyParser parser;
    std::size_t fed = 0;
    const std::string line = "1007-\n";
    while (parser.error().empty() && fed < 2 * BirdReplyParser::kLargestReply) {
        parser.feed(line);
        fed += line.size();
    }
    EXPECT_THAT(parser.error(), HasSubstr("a reply of more than"));
    // Its small lines cost more in memory than on the wire; it is the memory that is limited.
    EXPECT_LT(fed, BirdReplyParser::kLargestReply / 2);
}

TEST(BirdReply, SurvivesRandomBytes) {
    std::mt19937 random(3);
    for (int round = 0; round < 2000; ++round) {
        std::string bytes(kProtocols);
        for (int i = 0; i < 5; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        BirdReplyParser parser;
        parser.feed(bytes);
        while (const auto reply = parser.next()) {
            (void)sessions_of(*reply, {});
            (void)in_graceful_restart(*reply);
            (void)version_of(*reply);
        }
    }
}

TEST(BirdReply, QuietIsWhenNothingOfAReplyIsThere) {
    BirdReplyParser parser;
    EXPECT_TRUE(parser.quiet());
    parser.feed("+log");
    EXPECT_TRUE(parser.quiet());
    parser.feed(" line\n00");
    EXPECT_FALSE(parser.quiet());
    parser.feed("00 \n");
    EXPECT_FALSE(parser.quiet());
    EXPECT_TRUE(parser.next());
    EXPECT_TRUE(parser.quiet());
    parser.feed("1000-x\n");
    EXPECT_FALSE(parser.quiet());
}

TEST(BirdSessions, AreReadFromTheTableOfBird2) {
    const auto sessions = sessions_of(reply_in(kProtocols), {{"10.0.0.2", "b"}});
    ASSERT_EQ(sessions.size(), 3U);
    EXPECT_EQ(sessions[0].protocol, "Global_fd00__1");
    EXPECT_EQ(sessions[0].peer, "fd00::1");
    EXPECT_EQ(sessions[0].state, "down");
    EXPECT_EQ(sessions[0].info, "");
    EXPECT_EQ(sessions[1].peer, "10.0.0.2");
    EXPECT_EQ(sessions[1].node, "b");
    EXPECT_TRUE(sessions[1].established);
    EXPECT_EQ(sessions[1].since, std::chrono::system_clock::time_point(std::chrono::seconds(1795381900)));
    EXPECT_FALSE(sessions[2].established);
    EXPECT_EQ(sessions[2].info, "Active Socket: Connection refused");
    EXPECT_EQ(sessions[2].node, "");
}

TEST(BirdSessions, AreReadWhateverTheTimeFormatAndOrder) {
    for (const char* time : {"1795381900", "1795381900.123", "10:21:33.123", "2026-11-24", "2026-11-24 10:21:33"}) {
        const auto sessions = sessions_of(
            reply_in(fmt::format("2002-Name Proto Table State Since Info\n1002-Mesh_10_0_0_2\tBGP --- up {}  "
                                 "Established  \n weft_krt4 Kernel master4 up {}  \n0000 \n",
                                 time, time)),
            {});
        ASSERT_EQ(sessions.size(), 1U) << time;
        EXPECT_TRUE(sessions[0].established) << time;
        EXPECT_EQ(sessions[0].info, "Established") << time;
    }
}

TEST(BirdSessions, ATimeBeyondTheClocksEndIsNone) {
    for (const char* time : {"41795381900", "9223372037", "99999999999999999999"}) {
        const auto sessions =
            sessions_of(reply_in(fmt::format("1002-Mesh_10_0_0_2 BGP --- up {} Established\n0000 \n", time)), {});
        ASSERT_EQ(sessions.size(), 1U) << time;
        EXPECT_EQ(sessions[0].since, std::chrono::system_clock::time_point{}) << time;
    }
}

TEST(BirdSessions, OfNamesThatWeftDoesNotGiveAreNobodysBusiness) {
    const auto sessions = sessions_of(reply_in("1002-uplink1 BGP --- up 1795381900 Established\n"
                                               " my_peer BGP --- up 1795381900 Established\n"
                                               " Mesh_ BGP --- up 1795381900 Established\n"
                                               " Mesh_1__2_3 BGP --- up 1795381900 Established\n"
                                               " Mesh_10_0_0_2 BGP\n"
                                               " \n"
                                               "0000 \n"),
                                      {});
    ASSERT_EQ(sessions.size(), 1U);
    EXPECT_EQ(sessions[0].peer, "1::2:3");
}

TEST(BirdStatus, TellsOfGracefulRestart) {
    EXPECT_FALSE(in_graceful_restart(reply_in("1000-BIRD 2.0.12\n0013 Daemon is up and running\n")));
    EXPECT_TRUE(
        in_graceful_restart(reply_in("1000-BIRD 2.0.12\n0024-Graceful restart recovery in progress\n"
                                     "   Waiting for 1 channels to recover\n0013 Daemon is up\n")));
}

TEST(BirdVersion, IsInTheGreeting) {
    EXPECT_EQ(version_of(reply_in("0001 BIRD 2.0.12 ready.\n")), "2.0.12");
    EXPECT_EQ(version_of(reply_in("0001 weftd 0.1.0 ready.\n")), "");
    EXPECT_EQ(version_of(reply_in("0013 BIRD 2.0.12 ready.\n")), "");
}

TEST(BirdVersion, MustKnowOnlinkGateways) {
    for (const char* good : {"2.0.12", "2.0.12-7", "2.0.13", "2.14", "2.19.2", "3.2.0", "3.3.2", "4.0"}) {
        EXPECT_THAT(why_not(good), IsEmpty()) << good;
    }
    for (const char* bad : {"1.6.8", "2.0.7", "2.0.11", "3.0.1", "3.1.4", "", "x"}) {
        EXPECT_THAT(why_not(bad), HasSubstr("2.0.12")) << bad;
    }
}

}  // namespace
}  // namespace weft::test
