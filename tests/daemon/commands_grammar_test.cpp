#include "daemon/commands_grammar.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <sstream>

namespace weft {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

struct Typed {
    const char* line;
    const char* full;
};

TEST(Commands, are_understood_in_full_and_cut_short) {
    for (const Typed& said : std::initializer_list<Typed>{
             {"show status", "show status"},
             {"sh st", "show status"},
             {"  sho\tprotocols   all ", "show protocols"},
             {"show routes for 10.65.0.1", "show routes for 10.65.0.1"},
             {"s r f fd00::1 json", "show routes for fd00::1 json"},
             {"e 10.65.0.1", "explain 10.65.0.1"},
             {"conf", "configure"},
             {"conf \"a b.conf\"", "configure \"a b.conf\""},
             {"configure check ./x", "configure check \"./x\""},
             {"conf t 30", "configure timeout 30"},
             {"configure new.conf timeout 5", "configure \"new.conf\" timeout 5"},
             {"configure conf", "configure confirm"},
             {"ready --no-bgp json", "ready --no-bgp json"},
             {"?", "help"},
             {"n r node-1.example", "node remove node-1.example"},
         }) {
        const auto command = parse_command(said.line);
        ASSERT_TRUE(command) << said.line << ": " << command.error().message;
        EXPECT_EQ(to_string(*command), said.full) << said.line;
    }
}

TEST(Commands, that_are_wrong_are_answered_with_what_may_stand_there) {
    for (const Typed& wrong : std::initializer_list<Typed>{
             {"", "incomplete command"},
             {"show", "incomplete command: expected status | nodes"},
             {"show p", "'p' is ambiguous: pools, protocols"},
             {"shove", "'shove' is not understood: expected show"},
             {"show status now", "nothing more may stand here"},
             {"configure soft", "'soft' is not understood"},
             {"configure c", "ambiguous: check, confirm"},
             {"explain host", "expected ADDRESS"},
             {"node remove a/b", "expected NAME"},
             {"configure \"x", "closing"},
             {"configure json", "has no JSON form"},
         }) {
        const auto command = parse_command(wrong.line);
        ASSERT_FALSE(command) << wrong.line;
        EXPECT_THAT(command.error().message, HasSubstr(wrong.full)) << wrong.line;
    }
}

TEST(Completion, offers_the_keywords_that_may_follow) {
    EXPECT_THAT(completions(""),
                ElementsAre("?", "accept", "configure", "explain", "help", "node", "plan", "ready", "show"));
    EXPECT_THAT(completions("sh"), ElementsAre("show"));
    EXPECT_THAT(completions("show p"), ElementsAre("pools", "protocols"));
    EXPECT_THAT(completions("sh r "), ElementsAre("for"));
    EXPECT_THAT(completions("conf c"), ElementsAre("check", "confirm"));
    EXPECT_THAT(completions("ready --"), ElementsAre("--bgp", "--no-bgp"));
    EXPECT_THAT(completions("show status "), IsEmpty());
    EXPECT_THAT(completions("nonsense "), IsEmpty());
    EXPECT_THAT(completions("configure \"a"), IsEmpty());
}

TEST(QuestionMark, shows_the_commands_that_a_line_may_become) {
    EXPECT_THAT(usages_of("show ro"),
                ElementsAre(Field(&Usage::pattern, "show routes"), Field(&Usage::pattern, "show routes for ADDRESS")));
    EXPECT_THAT(usages_of("show routes "),
                ElementsAre(Field(&Usage::pattern, "show routes"), Field(&Usage::pattern, "show routes for ADDRESS")));
    EXPECT_THAT(usages_of(""), Contains(Field(&Usage::pattern, "explain ADDRESS")));
    EXPECT_EQ(usages_of("").size(), usages().size());
    EXPECT_THAT(usages_of("nonsense "), IsEmpty());
}

TEST(ShellCompletion, knows_every_keyword_that_the_daemon_knows) {
    for (const char* file : {"weftctl.bash", "_weftctl"}) {
        std::ifstream in(std::string(WEFT_TEST_DATA "/../../packaging/completion/") + file);
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        for (const Usage& usage : usages()) {
            std::istringstream words{std::string(usage.pattern)};
            for (std::string word; words >> word;) {
                if (std::islower(word.front()) == 0) continue;
                EXPECT_THAT(text, HasSubstr(word)) << file;
            }
        }
    }
}

}  // namespace
}  // namespace weft
