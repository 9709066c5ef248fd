#include <utility>

#include "daemon/bgp_side.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/daemon/simulated_kernel.hpp"

namespace weft {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Difference {
    const char* before;
    const char* after;
    const char* lines;
};

TEST(LineDifference, is_the_shortest_that_leads_from_one_text_to_the_other) {
    const Difference all[] = {
        {"", "", ""},
        {"a\nb\n", "a\nb\n", ""},
        {"", "a\nb\n", "+a\n+b"},
        {"a\nb\n", "", "-a\n-b"},
        {"a\nb\nc\n", "a\nc\n", "-b"},
        {"a\nc\n", "a\nb\nc\n", "+b"},
        {"a\nb\nc\n", "a\nx\nc\n", "-b\n+x"},
        {"a\nb\nc\nd\n", "x\nb\nc\ny\n", "-a\n+x\n-d\n+y"},
        {"{\n1\n}\n{\n2\n}\n", "{\n1\n}\n{\n3\n}\n{\n2\n}\n", "+}\n+{\n+3"},
    };
    for (const auto& [before, after, lines] : all) EXPECT_EQ(line_difference(before, after), lines) << before << after;
}

TEST(LineDifference, of_texts_that_have_little_in_common_is_counted_not_searched) {
    std::string before;
    std::string after;
    for (int line = 0; line < 20'000; ++line) {
        before += "a" + std::to_string(line) + "\n";
        after += "b" + std::to_string(line) + "\n";
    }
    EXPECT_EQ(line_difference(before, after), "-20000 lines\n+20000 lines");
}

ObservedRoute route_of(std::uint8_t protocol, const char* destination) {
    return {.route = {.destination = *parse_prefix(destination),
                      .metric = 1024,
                      .type = RouteType::unicast,
                      .via = {},
                      .protocol = protocol},
            .nexthop_id = 0};
}

TEST(BirdsRoutes, are_removed_in_the_pools_and_nowhere_else) {
    SimulatedKernel kernel;
    kernel.foreign_routes = {route_of(kBirdProtocol, "10.65.1.0/26"), route_of(kBirdProtocol, "203.0.113.0/24"),
                             route_of(4, "10.65.2.0/26")};
    Pool pool;
    pool.cidr = *parse_prefix("10.65.0.0/16");
    const auto changes = removal_of_birds_routes(kernel, {pool});
    ASSERT_TRUE(changes);
    ASSERT_EQ(changes->size(), 1U);
    EXPECT_EQ(changes->front().verb, Verb::remove);
    EXPECT_TRUE(kernel.apply({}, *changes).empty());
    EXPECT_EQ(kernel.foreign_routes.size(), 2U);
}

class BirdDifference : public testing::Test {
  protected:
    BirdDifference() {
        std::string pattern = (std::filesystem::temp_directory_path() / "weft-bird-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
    }
    ~BirdDifference() override { std::filesystem::remove_all(directory_); }

    Loaded load(const std::string& backend, const std::string& password) const {
        return load_config_text("hostname \"a\"; calico_backend " + backend + "; state directory \"" + directory_ +
                                    "\"; protocol bgp { password \"" + password +
                                    "\"; } pool 10.65.0.0/16 { }\n"
                                    "node \"a\" { address 192.0.2.11/24; } node \"b\" { address 192.0.2.12/24; }",
                                "test", [](const char*) { return std::nullopt; });
    }
    std::string difference(const Loaded& loaded) const {
        EXPECT_TRUE(loaded.ok());
        return bird_difference(loaded.config, cluster_of(loaded.config));
    }
    std::string directory_;
};

TEST_F(BirdDifference, tells_what_would_change_without_the_passwords) {
    const Loaded first = load("bird", "first-secret");
    EXPECT_THAT(difference(first), HasSubstr("BIRD starts"));
    std::ofstream(directory_ + "/bird.conf") << bird_config(first.config, cluster_of(first.config)).text;
    EXPECT_EQ(difference(first), "");
    const std::string changed = difference(load("bird", "second-secret"));
    EXPECT_THAT(changed, HasSubstr("-    password \"***\";\n+    password \"***\";"));
    EXPECT_THAT(changed, Not(HasSubstr("secret")));
    EXPECT_THAT(difference(load("vxlan", "x")), HasSubstr("BIRD ends"));
}

}  // namespace
}  // namespace weft
