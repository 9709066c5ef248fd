#include <gmock/gmock.h>

#include "tunnel/kernel.hpp"

namespace weft::test {
namespace {

using testing::ElementsAre;

Failure waiting(std::string device) {
    return {.change = 0, .error = ENODEV, .message = "add route", .waits_for = std::move(device)};
}
Failure refusal(std::string message) {
    return {.change = 0, .error = EEXIST, .message = std::move(message)};
}

TEST(Failures, of_what_waits_for_a_refused_device_only_the_device_is_told) {
    const std::vector<Failure> failures{refusal("device v4: the port is taken"), waiting("device v4"),
                                        waiting("device v4")};
    EXPECT_THAT(messages_of(failures), ElementsAre("device v4: the port is taken"));
}

TEST(Failures, of_what_waits_for_a_device_that_nobody_refused_the_device_and_the_number_are_told) {
    const std::vector<Failure> failures{refusal("route x: exists"), waiting("device v4"), waiting("device v40"),
                                        waiting("device v4")};
    EXPECT_THAT(messages_of(failures),
                ElementsAre("route x: exists", "device v4 is not there, and 2 changes wait for it",
                            "device v40 is not there, and 1 changes wait for it"));
}

TEST(Failures, that_have_nothing_to_do_with_each_other_are_all_told) {
    EXPECT_THAT(messages_of(std::vector<Failure>{}), ElementsAre());
    EXPECT_THAT(messages_of(std::vector{refusal("a"), refusal("b")}), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace weft::test
