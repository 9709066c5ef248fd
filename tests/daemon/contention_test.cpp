#include "daemon/contention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Change route(const char* destination, Device through = Device::vxlan4, std::uint32_t nexthop = 0,
             Verb verb = Verb::add) {
    return {
        verb,
        ObservedRoute{.route = {.destination = *parse_prefix(destination), .via = {.device = through, .gateway = {}}},
                      .nexthop_id = nexthop},
        "missing"};
}

Change nexthop(std::uint32_t id, Verb verb = Verb::add) {
    return {verb, Nexthop{.id = id, .family = Family::v4, .via = {.device = Device::vxlan4, .gateway = {}}}, "missing"};
}

class ContentionTest : public testing::Test {
  protected:
    /// What of `changes` may be made now.
    std::vector<Change> allowed(std::vector<Change> changes, bool drift = true) {
        contention_.hold_back(changes, drift, now_);
        return changes;
    }
    /// How many of so many repairs, one each 100 ms, are made at once.
    unsigned repairs_of(const char* destination, unsigned times) {
        unsigned made = 0;
        for (unsigned i = 0; i < times; ++i, now_ += 100ms) {
            made += static_cast<unsigned>(allowed({route(destination)}).size());
        }
        return made;
    }

    Contention contention_;
    Contention::Clock::time_point now_ = Contention::Clock::now();
};

TEST_F(ContentionTest, a_few_repairs_are_made_at_once) {
    EXPECT_EQ(repairs_of("10.65.1.0/26", 6), 6U);
    EXPECT_THAT(contention_.problems(), IsEmpty());
}

TEST_F(ContentionTest, an_object_that_is_fought_over_is_repaired_ever_more_rarely_and_said_so) {
    EXPECT_EQ(repairs_of("10.65.1.0/26", 100), 9U) << "at once six times, then after 1, 2 and 4 s";
    ASSERT_THAT(contention_.problems(), SizeIs(1));
    EXPECT_EQ(contention_.problems()[0].object, "route 10.65.1.0/26");
    EXPECT_FALSE(contention_.problems()[0].unready);
    ASSERT_TRUE(contention_.next());
    now_ = *contention_.next();
    EXPECT_THAT(allowed({route("10.65.1.0/26")}, false), SizeIs(1));
}

TEST_F(ContentionTest, other_objects_are_repaired_meanwhile) {
    repairs_of("10.65.1.0/26", 7);
    const auto made = allowed({route("10.65.1.0/26"), route("10.65.2.0/26")});
    ASSERT_THAT(made, SizeIs(1));
    EXPECT_EQ(object_name(made[0].object), "route 10.65.2.0/26");
}

TEST_F(ContentionTest, what_is_on_a_device_that_is_held_back_is_held_back_with_it) {
    const Change device{Verb::add, VxlanDevice(), "missing"};
    for (int i = 0; i < 7; ++i, now_ += 10ms) allowed({device});
    EXPECT_THAT(allowed({device, route("10.65.2.0/26")}), IsEmpty());
}

TEST_F(ContentionTest, a_device_that_is_made_anew_again_and_again_is_a_fight) {
    const Change removed{Verb::remove, VxlanDevice(), "differs: vni"};
    const Change added{Verb::add, VxlanDevice(), "differs: vni"};
    for (int i = 0; i < 7; ++i, now_ += 10ms) allowed({removed, added});
    EXPECT_THAT(allowed({removed, added}), IsEmpty());
}

TEST_F(ContentionTest, the_routes_of_a_nexthop_that_is_held_back_are_held_back_with_it) {
    for (int i = 0; i < 7; ++i, now_ += 10ms) allowed({nexthop(7)});
    const auto made = allowed({nexthop(7), route("10.65.1.0/26", Device::vxlan4, 7), route("10.65.2.0/26")});
    ASSERT_THAT(made, SizeIs(1));
    EXPECT_EQ(object_name(made[0].object), "route 10.65.2.0/26");
}

TEST_F(ContentionTest, nothing_goes_that_a_route_which_is_held_back_may_stand_on) {
    const Change moved = route("10.65.1.0/26", Device::vxlan4, 7, Verb::replace);
    for (int i = 0; i < 7; ++i, now_ += 10ms) allowed({moved});
    const Change device{Verb::remove, IpipDevice(), "not wanted"};
    EXPECT_THAT(allowed({moved, nexthop(8, Verb::remove), device}), IsEmpty());
    now_ = *contention_.next();
    EXPECT_THAT(allowed({moved, nexthop(8, Verb::remove), device}, false), SizeIs(3));
}

TEST_F(ContentionTest, what_is_to_be_something_else_each_time_is_no_fight) {
    for (int i = 0; i < 20; ++i, now_ += 100ms) {
        const Device through = i % 2 == 0 ? Device::vxlan4 : Device::ipip;
        EXPECT_THAT(allowed({route("10.65.1.0/26", through)}), SizeIs(1));
    }
    EXPECT_THAT(contention_.problems(), IsEmpty());
    repairs_of("10.65.1.0/26", 7);
    EXPECT_THAT(contention_.problems(), SizeIs(1));
    EXPECT_THAT(allowed({route("10.65.1.0/26", Device::ipip)}, false), SizeIs(1)) << "wanted elsewhere: at once";
}

TEST_F(ContentionTest, changes_of_the_configuration_are_no_repairs) {
    for (int i = 0; i < 20; ++i) EXPECT_THAT(allowed({route("10.65.1.0/26")}, false), SizeIs(1));
}

TEST_F(ContentionTest, peace_is_noticed) {
    repairs_of("10.65.1.0/26", 10);
    now_ += 2min;
    EXPECT_THAT(allowed({}), IsEmpty());
    EXPECT_THAT(contention_.problems(), IsEmpty());
    EXPECT_EQ(repairs_of("10.65.1.0/26", 4), 4U);
}

TEST_F(ContentionTest, the_culprit_is_named_by_its_process) {
    contention_.heard("route 10.65.1.0/26 deleted", static_cast<std::uint32_t>(getpid()));
    contention_.heard("route 10.65.2.0/26 deleted", 0);
    repairs_of("10.65.1.0/26", 8);
    ASSERT_THAT(contention_.problems(), SizeIs(1));
    EXPECT_THAT(contention_.problems()[0].text, HasSubstr("process " + std::to_string(getpid()) + " (test_daemon)"));
}

}  // namespace
}  // namespace weft
