// Against the real kernel, in a network namespace of its own.
#include "own_namespace.hpp"

namespace weft::test {
namespace {

class BothForms : public KernelTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Routes, BothForms, testing::Bool(),
                         [](const auto& info) { return info.param ? "nexthop_objects" : "classic"; });

TEST_P(BothForms, a_whole_cluster_is_written_and_then_nothing_is_left_to_do) {
    open(GetParam());
    const Desired desired = cluster_state(100, 2, GetParam());
    converge(desired);
    const auto observed = kernel_->observe(scope_);
    ASSERT_TRUE(observed);
    EXPECT_EQ(observed->routes.size(), desired.routes.size());
    EXPECT_EQ(observed->neighbours, desired.neighbours);
    EXPECT_EQ(observed->fdb, desired.fdb);
    EXPECT_EQ(observed->nexthops.size(), GetParam() ? 200U : 0U);
    EXPECT_NE(output_of("ip link show vxlan.calico").find("alias weft:vxlan4"), std::string::npos);
}

TEST_F(KernelTest, routes_change_from_one_form_to_the_other_and_back) {
    for (const bool nexthop_objects : {true, false, true}) converge(cluster_state(20, 2, nexthop_objects));
}

TEST_F(KernelTest, wanting_nothing_leaves_nothing_of_ours) {
    converge(cluster_state(20, 2));
    converge(Desired{});
    EXPECT_EQ(output_of("ip nexthop"), "");
    EXPECT_EQ(output_of("ip route show proto 80; ip -6 route show proto 80; ip -o link show type vxlan"), "");
}

}  // namespace
}  // namespace weft::test
