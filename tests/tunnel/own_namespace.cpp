#include "own_namespace.hpp"

#include <poll.h>
#include <sched.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weft::test {

std::string enter_own_namespace() {
    static const std::string why = []() -> std::string {
        if (unshare(CLONE_NEWNET) != 0) {
            return std::string("a network namespace of its own is not permitted here: ") + std::strerror(errno);
        }
        if (!run("ip -V")) return "there is no ip program here";
        return {};
    }();
    return why;
}

bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT: commands of the test's own
}

std::string output_of(const std::string& command) {
    std::string output;
    FILE* const pipe = popen((command + " 2>&1").c_str(), "r");  // NOLINT: commands of the test's own
    if (!pipe) return output;
    std::array<char, 4096> piece{};
    while (const std::size_t got = fread(piece.data(), 1, piece.size(), pipe)) output.append(piece.data(), got);
    pclose(pipe);
    return output;
}

void KernelTest::SetUp() {
    if (const std::string why = enter_own_namespace(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_TRUE(run("ip link set lo up"));
    ASSERT_TRUE(run("ip link add under0 type veth peer name under1"));
    ASSERT_TRUE(run("ip link set under0 up && ip link set under1 up"));
    ASSERT_TRUE(run("ip address add 172.16.0.1/16 dev under0"));
    ASSERT_TRUE(run("ip address add 2001:db8::1/32 dev under0 nodad"));
    open();
}

void KernelTest::TearDown() {
    kernel_.reset();
    run("ip -o link | cut -d: -f2 | cut -d@ -f1 | while read d; do [ $d = lo ] || ip link delete $d; done");
    run("ip route flush table main; ip -6 route flush table main; ip nexthop flush");
}

void KernelTest::open(bool nexthop_objects, int notification_buffer) {
    auto opened = NetlinkKernel::open({.nexthop_objects = nexthop_objects, .notification_buffer = notification_buffer});
    ASSERT_TRUE(opened) << opened.error().message;
    kernel_ = std::move(*opened);
    kernel_->watch([this](const Kernel::Notice& notice) { noticed_.push_back(notice); });
}

std::vector<Change> KernelTest::left_to_do(const Desired& desired) {
    const auto observed = kernel_->observe(scope_);
    if (!observed) {
        ADD_FAILURE() << observed.error().message;
        return {};
    }
    return difference(desired, *observed);
}

void KernelTest::converge(const Desired& desired) {
    const auto changes = left_to_do(desired);
    EXPECT_EQ(text(kernel_->apply(scope_, changes)), "");
    EXPECT_EQ(text(left_to_do(desired)), "");
}

std::vector<Kernel::Notice> KernelTest::pending_notices() {
    noticed_.clear();
    kernel_->read_notifications();
    return noticed_;
}

std::vector<Kernel::Notice> KernelTest::notices() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    while (std::chrono::steady_clock::now() < deadline) {
        pollfd ready{kernel_->notification_fd(), POLLIN, 0};
        poll(&ready, 1, 50);
        if (auto all = pending_notices(); !all.empty()) return all;
    }
    return {};
}

std::string text(const std::vector<Change>& changes) {
    std::string all;
    for (const Change& change : changes) all += to_string(change) + " (" + std::string(change.reason) + ")\n";
    return all;
}

std::string text(const std::vector<Failure>& failures) {
    std::string all;
    for (const Failure& failure : failures) all += failure.message + "\n";
    return all;
}

}  // namespace weft::test
