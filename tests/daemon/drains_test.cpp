#include "daemon/drains.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class DrainsTest : public testing::Test {
  protected:
    std::vector<Device> look(std::chrono::seconds second) {
        return drains_.look(begin_ + second, 30s, 900s, received_);
    }
    void watch(const std::vector<Device>& idle, std::chrono::seconds second) {
        drains_.watch(idle, begin_ + second, received_);
    }

    Drains::Clock::time_point begin_ = Drains::Clock::now();
    std::map<Device, std::uint64_t> packets_;
    Drains::Received received_ = [this](Device role) { return packets_[role]; };
    Drains drains_;
};

TEST_F(DrainsTest, a_device_goes_when_nothing_has_come_in_for_long_enough) {
    EXPECT_THAT(look(0s), IsEmpty());
    watch({Device::ipip}, 0s);
    EXPECT_THAT(drains_.devices(), ElementsAre(Device::ipip));
    EXPECT_THAT(look(29s), IsEmpty());
    EXPECT_THAT(look(30s), ElementsAre(Device::ipip));
    watch({}, 30s);
    EXPECT_THAT(drains_.devices(), IsEmpty());
    EXPECT_THAT(look(60s), IsEmpty());
}

TEST_F(DrainsTest, what_comes_in_last_counts_and_not_what_an_earlier_look_has_seen) {
    watch({Device::old4}, 0s);
    EXPECT_THAT(look(29s), IsEmpty());
    ++packets_[Device::old4];
    EXPECT_THAT(look(30s), IsEmpty());
    EXPECT_THAT(look(59s), IsEmpty());
    EXPECT_THAT(look(60s), ElementsAre(Device::old4));
    // The device could not be removed, and somebody sends that way again meanwhile.
    watch({Device::old4}, 60s);
    ++packets_[Device::old4];
    EXPECT_THAT(look(61s), IsEmpty());
}

TEST_F(DrainsTest, a_device_that_is_never_quiet_goes_all_the_same_in_the_end) {
    watch({Device::vxlan4}, 0s);
    for (auto second = 10s; second < 900s; second += 10s) {
        ++packets_[Device::vxlan4];
        EXPECT_THAT(look(second), IsEmpty());
        watch({Device::vxlan4}, second);
    }
    ++packets_[Device::vxlan4];
    EXPECT_THAT(look(900s), ElementsAre(Device::vxlan4));
}

TEST_F(DrainsTest, one_that_is_used_again_begins_anew) {
    watch({Device::ipip, Device::old4}, 0s);
    watch({Device::old4}, 10s);
    watch({Device::ipip, Device::old4}, 20s);
    EXPECT_THAT(look(30s), ElementsAre(Device::old4));
    EXPECT_THAT(look(50s), ElementsAre(Device::ipip, Device::old4));
}

}  // namespace
}  // namespace weft::test
