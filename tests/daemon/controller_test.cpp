#include <utility>

#include "daemon/controller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/daemon/simulated_kernel.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kTwoNodes = R"(
log stderr { error };
hostname "a";
calico_backend vxlan;
pool 10.65.0.0/16 { vxlan always; }
node "a" { address 192.0.2.11/24; block 10.65.0.0/26; }
node "b" { address 192.0.2.12/24; block 10.65.1.0/26; }
)";
constexpr const char* kThirdNode = R"(node "c" { address 198.51.100.13/24; block 10.65.2.0/26; })";

/// A controller with its file in a directory of its own.
class ControllerTest : public testing::Test {
  protected:
    ControllerTest() { write(kTwoNodes); }

    void write(const std::string& text) const {
        std::ofstream(file()) << text << "\nstate directory \"" << directory_ << "/state\";\n";
    }
    std::string file() const { return directory_ + "/weft.conf"; }

    /// Turns the loop until `condition` holds.
    bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 3s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(50ms);
        }
        return condition();
    }
    bool converged() const { return controller_.state().kernel_synced; }
    bool has_route(const char* destination) const {
        return std::any_of(
            kernel_.observed.routes.begin(), kernel_.observed.routes.end(),
            [&](const ObservedRoute& route) { return to_string(route.route.destination) == destination; });
    }

    /// Removed after the controller has gone, which may be writing its state there.
    struct Directory {
        Directory() {
            std::string pattern = (std::filesystem::temp_directory_path() / "weft-controller-XXXXXX").string();
            path = mkdtemp(pattern.data());
        }
        ~Directory() { std::filesystem::remove_all(path); }
        Directory(const Directory&) = delete;
        Directory& operator=(const Directory&) = delete;
        std::string path;
    };

    const Directory kept_;
    const std::string& directory_ = kept_.path;
    boost::asio::io_context io_{1};
    SimulatedKernel kernel_;
    Controller controller_{io_,
                           {.config_file = file(),
                            .control_socket = directory_ + "/weft.ctl",
                            .environment = [](const char*) { return std::nullopt; }},
                           kernel_};
};

TEST_F(ControllerTest, brings_the_kernel_to_the_configuration_at_start) {
    ASSERT_TRUE(controller_.start());
    EXPECT_TRUE(converged());
    EXPECT_TRUE(has_route("10.65.1.0/26"));
    EXPECT_EQ(kernel_.observed.fdb.size(), 1U);
}

TEST_F(ControllerTest, writes_nothing_to_a_kernel_that_is_already_right) {
    ASSERT_TRUE(controller_.start());
    const std::size_t before = kernel_.applied;
    Controller second(io_,
                      {.config_file = file(),
                       .control_socket = directory_ + "/second.ctl",
                       .environment = [](const char*) { return std::nullopt; }},
                      kernel_);
    ASSERT_TRUE(second.start());
    EXPECT_EQ(kernel_.applied, before);
}

TEST_F(ControllerTest, refuses_to_start_with_a_broken_file_and_touches_nothing) {
    write("pool 10.65.0.1/16 { }");
    const auto started = controller_.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("weft.conf:1:6"));
    EXPECT_EQ(kernel_.applied, 0U);
}

TEST_F(ControllerTest, follows_a_changed_file_with_few_writes_and_drops_what_is_gone) {
    ASSERT_TRUE(controller_.start());
    const std::size_t before = kernel_.applied;
    write(std::string(kTwoNodes) + kThirdNode);
    ASSERT_TRUE(controller_.configure({}, {}));
    EXPECT_TRUE(has_route("10.65.2.0/26"));
    EXPECT_LE(kernel_.applied - before, 4U);
    write(kTwoNodes);
    ASSERT_TRUE(controller_.configure({}, {}));
    EXPECT_FALSE(has_route("10.65.2.0/26"));
    EXPECT_EQ(kernel_.observed.fdb.size(), 1U);
    EXPECT_EQ(kernel_.observed.nexthops.size(), 1U);
}

TEST_F(ControllerTest, keeps_the_running_state_when_a_reload_fails) {
    ASSERT_TRUE(controller_.start());
    const std::size_t before = kernel_.applied;
    write("nonsense");
    EXPECT_FALSE(controller_.configure({}, {}));
    EXPECT_EQ(kernel_.applied, before);
    EXPECT_TRUE(converged());
    EXPECT_EQ(controller_.state().cluster.nodes.size(), 2U);
    EXPECT_EQ(controller_.state().counters.reloads_failed, 1U);
}

TEST_F(ControllerTest, refuses_a_file_that_needs_what_the_kernel_lacks) {
    ASSERT_TRUE(controller_.start());
    const std::size_t before = kernel_.applied;
    kernel_.lacks = "ipip";
    write(std::string("pool 10.66.0.0/16 { ipip always; }\n") + kTwoNodes);
    // Under calico_backend vxlan nothing makes an IPIP device.
    ASSERT_TRUE(controller_.configure({}, {}));
    std::string text = std::string("pool 10.66.0.0/16 { ipip always; }\n") + kTwoNodes;
    text.replace(text.find("calico_backend vxlan"), 20, "calico_backend bird");
    write(text);
    for (const std::string& message :
         {controller_.configure({}, {}).error().message, controller_.preview({}).error().message}) {
        EXPECT_THAT(message, HasSubstr("no ipip module, which pool 10.66.0.0/16 needs"));
    }
    EXPECT_EQ(kernel_.applied, before);
    EXPECT_EQ(controller_.state().backend(), Backend::vxlan);
    EXPECT_EQ(controller_.state().counters.reloads_failed, 1U);
}

TEST_F(ControllerTest, goes_on_with_a_file_whose_needs_are_no_new_ones) {
    ASSERT_TRUE(controller_.start());
    kernel_.lacks = "vxlan";
    write(std::string(kTwoNodes) + kThirdNode);
    EXPECT_TRUE(controller_.configure({}, {}));
}

TEST_F(ControllerTest, repairs_what_somebody_else_removed_and_counts_it) {
    ASSERT_TRUE(controller_.start());
    kernel_.meddle([](Observed& observed) { observed.routes.clear(); }, "route 10.65.1.0/26 deleted");
    EXPECT_TRUE(eventually([&] { return has_route("10.65.1.0/26"); }));
    EXPECT_EQ(controller_.state().counters.drift_repaired.at("route"), 2U);
}

TEST_F(ControllerTest, repairs_once_after_a_burst_of_changes_and_now_and_then_in_one_that_does_not_end) {
    ASSERT_TRUE(controller_.start());
    const auto before = controller_.state().counters.reconciles;
    auto told = std::chrono::steady_clock::now();
    const auto end = told + 300ms;
    std::size_t pauses = 0;  // on a busy machine the burst is none
    while (told < end) {
        kernel_.meddle([](Observed& observed) { observed.routes.clear(); }, "route 10.65.1.0/26 deleted");
        io_.restart();
        io_.run_one_for(1ms);
        const auto now = std::chrono::steady_clock::now();
        if (now - told >= 4ms) ++pauses;
        told = now;
    }
    const auto made = controller_.state().counters.reconciles - before;
    EXPECT_GE(made, 1U);
    EXPECT_LE(made, 11U + pauses) << "one each 30 ms";
    EXPECT_TRUE(eventually([&] { return has_route("10.65.1.0/26"); }, 15s));
}

TEST_F(ControllerTest, tries_a_refused_change_again_and_does_not_let_it_stop_the_rest) {
    kernel_.refuse = "route 10.65.1.0/26";
    ASSERT_TRUE(controller_.start());
    EXPECT_FALSE(converged());
    EXPECT_TRUE(has_route("10.65.0.0/26"));
    ASSERT_EQ(controller_.state().kernel_failures.size(), 1U);
    kernel_.refuse.clear();
    EXPECT_TRUE(eventually([&] { return converged(); }));
    EXPECT_TRUE(has_route("10.65.1.0/26"));
}

TEST_F(ControllerTest, goes_back_by_itself_when_a_configuration_is_not_confirmed) {
    ASSERT_TRUE(controller_.start());
    write(std::string(kTwoNodes) + kThirdNode);
    ASSERT_TRUE(controller_.configure({}, 1s));
    EXPECT_TRUE(has_route("10.65.2.0/26"));
    EXPECT_TRUE(eventually([&] { return !has_route("10.65.2.0/26"); }));
}

TEST_F(ControllerTest, keeps_a_confirmed_configuration_and_can_still_undo_it) {
    ASSERT_TRUE(controller_.start());
    EXPECT_FALSE(controller_.confirm());
    write(std::string(kTwoNodes) + kThirdNode);
    ASSERT_TRUE(controller_.configure({}, 60s));
    ASSERT_TRUE(controller_.confirm());
    EXPECT_TRUE(has_route("10.65.2.0/26"));
    ASSERT_TRUE(controller_.undo());
    EXPECT_FALSE(has_route("10.65.2.0/26"));
}

TEST_F(ControllerTest, previews_what_a_file_would_change_without_changing_it) {
    ASSERT_TRUE(controller_.start());
    const std::size_t before = kernel_.applied;
    const std::string other = directory_ + "/other.conf";
    std::ofstream(other) << kTwoNodes << kThirdNode;
    const auto preview = controller_.preview(other);
    ASSERT_TRUE(preview);
    EXPECT_FALSE(preview->kernel.empty());
    EXPECT_EQ(kernel_.applied, before);
    EXPECT_TRUE(controller_.preview({})->kernel.empty());
}

TEST_F(ControllerTest, previews_no_rename_that_waits_for_the_next_boot) {
    const auto renames = [&] {
        const auto preview = controller_.preview({});
        return preview && std::ranges::any_of(preview->kernel, [](const Change& change) {
                   return std::holds_alternative<VxlanDevice>(change.object);
               });
    };
    ASSERT_TRUE(controller_.start());
    kernel_.observed.vxlan.at(0).device.name = "weft4.4096";
    EXPECT_FALSE(renames());
    kernel_.host_facts.kernel = {.major = 6, .minor = 2, .patch = 0};
    EXPECT_TRUE(renames());
}

}  // namespace
}  // namespace weft
