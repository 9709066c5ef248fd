// A network namespace for the whole test program, with an underlay: veth "under0" (up, with a peer) that carries
// 172.16.0.1/16 and 2001:db8::1/32.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "cluster_state.hpp"
#include "tunnel/netlink_kernel.hpp"

namespace weft::test {

/// Enters the namespace; answers why it cannot, empty when it did. Done once.
std::string enter_own_namespace();

/// Runs `ip ARGUMENTS`, `bridge ...`; answers whether it succeeded.
bool run(const std::string& command);
std::string output_of(const std::string& command);

/// A kernel in a namespace as it was made, whatever the test before did.
class KernelTest : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    void open(bool nexthop_objects = true, int notification_buffer = 0);
    /// Applies what is missing; expects no failure.
    void converge(const Desired& desired);
    std::vector<Change> left_to_do(const Desired& desired);
    /// Reads notifications until one comes or half a second has passed; then all that are there.
    std::vector<Kernel::Notice> notices();
    std::vector<Kernel::Notice> pending_notices();

    Scope scope_{.vxlan_device4 = "vxlan.calico",
                 .vxlan_device6 = "vxlan-v6.calico",
                 .ipip_device = "tunl0",
                 .own4 = address("172.16.0.1"),
                 .own6 = address("2001:db8::1"),
                 .peer4 = address("172.16.0.2"),
                 .peer6 = address("2001:db8::2")};
    std::unique_ptr<NetlinkKernel> kernel_;
    std::vector<Kernel::Notice> noticed_;
};

std::string text(const std::vector<Change>& changes);
std::string text(const std::vector<Failure>& failures);

}  // namespace weft::test
