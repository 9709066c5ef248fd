#include "conf/selector.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

const Labels kLabels{{"kubernetes.io/hostname", "a"}, {"rack", "7"}, {"role", "storage-ssd"}};

struct SelectorCase {
    const char* text;
    bool matches;
};

class SelectorTest : public testing::TestWithParam<SelectorCase> {};

TEST_P(SelectorTest, selects_by_labels) {
    const auto selector = Selector::parse(GetParam().text);
    ASSERT_TRUE(selector) << selector.error().message;
    EXPECT_EQ(selector->matches(kLabels), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    all, SelectorTest,
    testing::Values(SelectorCase{"", true}, SelectorCase{"all()", true}, SelectorCase{" all( ) ", true},
                    SelectorCase{"!all()", false}, SelectorCase{"has(rack)", true}, SelectorCase{"has(row)", false},
                    SelectorCase{"!has(row)", true}, SelectorCase{"rack == '7'", true},
                    SelectorCase{"rack==\"8\"", false}, SelectorCase{"rack != '8'", true},
                    SelectorCase{"row == '7'", false}, SelectorCase{"row != '7'", true},
                    SelectorCase{"rack in {'6', '7'}", true}, SelectorCase{"rack in {}", false},
                    SelectorCase{"rack not in {'7'}", false}, SelectorCase{"row not in {'7'}", true},
                    SelectorCase{"role contains 'age'", true}, SelectorCase{"role starts with 'stor'", true},
                    SelectorCase{"role ends with 'hdd'", false}, SelectorCase{"has(rack) && has(row)", false},
                    SelectorCase{"has(rack) || has(row) && has(row)", true},
                    SelectorCase{"(has(rack) || has(row)) && has(row)", false},
                    SelectorCase{"!(has(row) || rack == '8') && !!has(role)", true},
                    SelectorCase{"kubernetes.io/hostname == 'a'", true}, SelectorCase{"row starts with ''", false},
                    SelectorCase{"has(rack) && role != 'x' && rack in {'7'} && role contains '-'", true}));

TEST(Selectors, tell_what_is_wrong_with_them) {
    const std::string deep(500, '(');
    for (const std::string& text : std::vector<std::string>{"rack",
                                                            "rack =",
                                                            "rack == 7",
                                                            "rack == '7",
                                                            "== '7'",
                                                            "has(",
                                                            "has()",
                                                            "rack in '7'",
                                                            "rack in {'7'",
                                                            "rack not '7'",
                                                            "rack like '7'",
                                                            "has(rack) &&",
                                                            "has(rack) has(row)",
                                                            "(has(rack)",
                                                            "global()",
                                                            "all",
                                                            "!",
                                                            deep,
                                                            std::string(600, '!') + "all()",
                                                            std::string(1025, ' '),
                                                            "rack == '7' ;",
                                                            "\xff\xfe"}) {
        const auto parsed = Selector::parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_FALSE(parsed.error().message.empty());
    }
}

TEST(Selectors, know_the_one_that_selects_everything) {
    EXPECT_TRUE(Selector().is_all());
    EXPECT_TRUE(Selector::parse("all()")->is_all());
    EXPECT_FALSE(Selector::parse("has(a) || all()")->is_all());
}

}  // namespace
}  // namespace weft
