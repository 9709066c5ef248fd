// What others have on the same host: never touched, and named when it is in the way.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "own_namespace.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Conflict : public KernelTest {
  protected:
    /// Applies what is missing and answers the messages of what the kernel refused.
    std::string refused(const Desired& desired) { return text(kernel_->apply(scope_, left_to_do(desired))); }
};

TEST_F(Conflict, what_is_foreign_survives_everything_that_weft_does) {
    ASSERT_TRUE(run("ip route add 10.0.3.0/26 via 172.16.9.9 metric 50"));
    ASSERT_TRUE(run("ip -6 route add fd00:0:0:3::/64 via 2001:db8::99 metric 50"));
    ASSERT_TRUE(run("ip link add foreign type vxlan id 99 dstport 9999 local 172.16.0.1"));
    ASSERT_TRUE(run("ip link set foreign up"));
    ASSERT_TRUE(run("ip nexthop add id 5 via 172.16.9.9 dev under0"));
    ASSERT_TRUE(run("ip nexthop add id 2003173380 via 172.16.9.8 dev under0"));
    ASSERT_TRUE(run("ip route add 10.99.0.0/24 nhid 5"));
    const auto foreign = [] {
        return output_of(
            "ip nexthop show id 5; ip nexthop show id 2003173380;"
            "ip route show 10.99.0.0/24; ip route show 10.0.3.0/26 metric 50;"
            "ip -6 route show fd00:0:0:3::/64 metric 50; ip -d link show foreign | grep vxlan");
    };
    const std::string before = foreign();
    ASSERT_THAT(before, HasSubstr("id 5"));
    converge(cluster_state(10, 2));
    EXPECT_EQ(foreign(), before);
    converge(cluster_state(5, 2, false));
    EXPECT_EQ(foreign(), before);
    converge(Desired{});
    EXPECT_EQ(foreign(), before);
}

TEST_F(Conflict, a_foreign_route_with_the_same_key_is_left_alone_and_named) {
    ASSERT_TRUE(run("ip route add 10.0.0.128/26 via 172.16.9.9"));
    ASSERT_TRUE(run("ip -6 route add fd00:0:0:3::/64 via 2001:db8::99 metric 1024"));
    const std::string message = refused(cluster_state(10, 1));
    EXPECT_THAT(message, HasSubstr("EEXIST"));
    EXPECT_THAT(message, HasSubstr("unicast 10.0.0.128/26 via 172.16.9.9 dev under0 proto 3 has the same destination"));
    EXPECT_THAT(message, HasSubstr("via 2001:db8::99 dev under0"));
    EXPECT_THAT(output_of("ip route show 10.0.0.128/26"), HasSubstr("via 172.16.9.9"));
    EXPECT_EQ(left_to_do(cluster_state(10, 1)).size(), 2U);
    ASSERT_TRUE(run("ip route del 10.0.0.128/26 via 172.16.9.9"));
    ASSERT_TRUE(run("ip -6 route del fd00:0:0:3::/64 via 2001:db8::99"));
    converge(cluster_state(10, 1));
}

TEST_F(Conflict, a_foreign_device_with_our_vni_and_port_is_named_and_nothing_is_sent_that_needs_ours) {
    ASSERT_TRUE(run("ip link add foreign type vxlan id 4096 dstport 4789 local 172.16.0.1"));
    ASSERT_TRUE(run("ip link set foreign up"));
    const std::string message = refused(cluster_state(5, 1));
    EXPECT_THAT(message, HasSubstr("VNI 4096 on UDP port 4789 belongs to device foreign (vxlan id 4096 port 4789)"));
    EXPECT_THAT(message, HasSubstr("waits for device vxlan.calico"));
    EXPECT_THAT(message, Not(HasSubstr("EINVAL")));
    EXPECT_EQ(messages_of(kernel_->apply(scope_, left_to_do(cluster_state(5, 1)))).size(), 1U) << "one clear error";
    EXPECT_EQ(output_of("bridge fdb show dev foreign"), "");
}

TEST_F(Conflict, a_device_of_another_kind_with_our_name_is_left_alone) {
    ASSERT_TRUE(run("ip link add vxlan.calico type bridge"));
    EXPECT_THAT(refused(cluster_state(2, 1)), HasSubstr("a device of kind 'bridge'"));
    EXPECT_TRUE(kernel_->apply(scope_, difference(Desired{}, *kernel_->observe(scope_))).empty());
    EXPECT_THAT(output_of("ip link show vxlan.calico"), HasSubstr("vxlan.calico"));
}

TEST_F(Conflict, the_process_that_holds_our_port_is_named) {
    const int holder = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(4789);
    ASSERT_EQ(bind(holder, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    const std::string message = refused(cluster_state(2, 1));
    EXPECT_THAT(message, HasSubstr("UDP port 4789 belongs to process " + std::to_string(getpid())));
    close(holder);
    converge(cluster_state(2, 1));
}

TEST_F(Conflict, an_underlay_that_is_not_there_is_named) {
    ASSERT_TRUE(run("ip address del 172.16.0.1/16 dev under0"));
    EXPECT_THAT(refused(cluster_state(2, 1)), HasSubstr("no network device carries this node's address 172.16.0.1"));
}

TEST_F(Conflict, a_kernel_without_ipip_is_told_and_remembered) {
    if (run("ip link show tunl0") || run("ip link add tunl0 type ipip")) GTEST_SKIP() << "this kernel has ipip";
    Desired desired = cluster_state(2, 1);
    desired.ipip = IpipDevice{"tunl0", 1480, true, address("10.0.0.1")};
    EXPECT_TRUE(kernel_->host(scope_)->can.ipip);
    EXPECT_THAT(refused(desired), HasSubstr("this kernel has no ipip module; VXLAN needs none"));
    EXPECT_FALSE(kernel_->host(scope_)->can.ipip);
    EXPECT_EQ(left_to_do(desired).size(), 1U);
}

TEST_F(Conflict, without_the_right_to_change_anything_there_is_one_clear_error) {
    // A namespace that belongs to another user namespace than the one we then are in.
    const pid_t child = fork();
    if (child == 0) {
        auto kernel = unshare(CLONE_NEWUSER) == 0 ? NetlinkKernel::open({}) : Error{"no user namespace"};
        if (!kernel) _exit(2);
        const auto observed = (*kernel)->observe(scope_);
        if (!observed) _exit(3);
        Desired desired = cluster_state(50, 1);
        desired.sysctls.clear();
        const auto failures = (*kernel)->apply(scope_, difference(desired, *observed));
        const bool clear = failures.size() == 1 && failures[0].message.find("CAP_NET_ADMIN") != std::string::npos;
        _exit(clear ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "no user namespaces here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace weft::test
