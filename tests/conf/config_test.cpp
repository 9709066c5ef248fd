// The language, by data files: each in hostile/ has the messages it must end in beside it (NAME.expected), each in
// good/ reads back equal after printing.
#include "conf/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace weft {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

Environment environment_of(std::map<std::string, std::string> variables = {{"NODENAME", "host"}}) {
    return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
        const auto at = variables.find(name);
        return at == variables.end() ? std::nullopt : std::optional(at->second);
    };
}

std::string slurp(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

std::vector<std::string> files(const char* folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(fs::path(WEFT_TEST_DATA) / folder)) {
        if (entry.path().extension() == ".conf") names.push_back(entry.path().stem().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

fs::path file(const char* folder, const std::string& name) {
    return fs::path(WEFT_TEST_DATA) / folder / (name + ".conf");
}

/// The messages as a user sees them, without the directory.
std::string messages(const std::vector<Diagnostic>& diagnostics) {
    const std::string directory = std::string(WEFT_TEST_DATA) + "/hostile/";
    std::string text;
    for (const Diagnostic& diagnostic : diagnostics) text += to_string(diagnostic) + "\n";
    for (std::size_t at = 0; (at = text.find(directory)) != std::string::npos;) text.erase(at, directory.size());
    return text;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

class Hostile : public testing::TestWithParam<std::string> {};

TEST_P(Hostile, file_ends_in_exactly_the_expected_messages) {
    const Loaded loaded = load_config(file("hostile", GetParam()).string(), environment_of());
    EXPECT_EQ(messages(loaded.diagnostics), slurp(fs::path(WEFT_TEST_DATA) / "hostile" / (GetParam() + ".expected")));
    EXPECT_EQ(loaded.ok(), GetParam().starts_with("warn-"));
}

INSTANTIATE_TEST_SUITE_P(Each, Hostile, testing::ValuesIn(files("hostile")), test_name);

class Good : public testing::TestWithParam<std::string> {};

TEST_P(Good, file_reads_back_equal_after_printing) {
    const Loaded loaded = load_config(file("good", GetParam()).string(), environment_of());
    ASSERT_TRUE(loaded.ok()) << messages(loaded.diagnostics);
    const std::string printed = print(loaded.config);
    const Loaded again = load_config_text(printed, "printed", environment_of());
    EXPECT_TRUE(again.ok()) << messages(again.diagnostics) << printed;
    EXPECT_EQ(again.config, loaded.config) << printed;
    EXPECT_EQ(print(again.config), printed);
}

INSTANTIATE_TEST_SUITE_P(Each, Good, testing::ValuesIn(files("good")), test_name);

TEST(Config, remembers_where_each_value_came_from) {
    const Loaded loaded = load_config_text("calico_backend vxlan;\n", "weft.conf", environment_of());
    EXPECT_EQ(to_string(loaded.config.backend.origin), "weft.conf:1");
    EXPECT_EQ(to_string(loaded.config.hostname.origin), "environment NODENAME");
    EXPECT_EQ(to_string(loaded.config.vni.origin), "default");
}

struct FromEnvironment {
    const char* name;
    std::map<std::string, std::string> variables;
    const char* text;
    const char* message;  ///< of an error; empty: the environment is good
    std::function<bool(const Config&)> holds;
};

class EnvironmentTable : public testing::TestWithParam<FromEnvironment> {};

TEST_P(EnvironmentTable, fills_in_what_the_file_leaves_open_as_calico_does) {
    const FromEnvironment& row = GetParam();
    const Loaded loaded = load_config_text(row.text, "weft.conf", environment_of(row.variables));
    const std::string said = messages(loaded.diagnostics);
    if (*row.message == '\0') {
        EXPECT_EQ(said, "");
    } else {
        EXPECT_THAT(said, HasSubstr(row.message));
    }
    EXPECT_TRUE(row.holds(loaded.config));
}

constexpr const char* kNode = "node \"a\" { }\n";

/// The variables by which a node that registers in etcd finds its address, and what they make of it.
struct AddressVariables {
    std::map<std::string, std::string> variables;
    const char* statement;  ///< in `source etcd`
    const char* method4;    ///< as weft.conf would say it; null: an error
    const char* method6;
    const char* message;
};

TEST(ConfigEnvironment, tells_how_a_node_that_registers_finds_its_address_as_calico_does) {
    const std::vector<AddressVariables> all{
        {{}, "", "auto", "auto", ""},
        {{{"IP", "autodetect"}}, "", "auto", "auto", ""},
        {{{"IP_AUTODETECTION_METHOD", "first-found"}}, "", "auto", "auto", ""},
        {{{"IP_AUTODETECTION_METHOD", "interface=eth.*,ens[0-9]+"}},
         "",
         "interface \"eth.*\", \"ens[0-9]+\"",
         "auto",
         ""},
        {{{"IP6_AUTODETECTION_METHOD", "skip-interface=docker.*"}}, "", "auto", "skip interface \"docker.*\"", ""},
        {{{"IP_AUTODETECTION_METHOD", "can-reach=192.0.2.1"}}, "", "can reach 192.0.2.1", "auto", ""},
        {{{"IP_AUTODETECTION_METHOD", "cidr=192.0.2.0/24,198.51.100.0/24"}},
         "",
         "cidr 192.0.2.0/24, 198.51.100.0/24",
         "auto",
         ""},
        {{{"IP", "192.0.2.9/24"}, {"IP_AUTODETECTION_METHOD", "interface=x"}}, "", "192.0.2.9/24", "auto", ""},
        {{{"IP", "192.0.2.9"}}, "", "192.0.2.9/32", "auto", ""},
        {{{"IP", "none"}, {"IP6", "none"}}, "", "as it is in the store", "as it is in the store", ""},
        {{{"IP", "192.0.2.9/24"}}, "address interface \"eth0\";", "interface \"eth0\"", "interface \"eth0\"", ""},
        {{}, "address 192.0.2.7/24;", "192.0.2.7/24", "auto", ""},
        {{{"IP_AUTODETECTION_METHOD", "interface=("}}, "", nullptr, nullptr, "is no regular expression"},
        {{{"IP_AUTODETECTION_METHOD", "kubernetes-internal-ip"}}, "", nullptr, nullptr, "is none of first-found"},
        {{{"IP_AUTODETECTION_METHOD", "can-reach=example.org"}}, "", nullptr, nullptr, "is none of first-found"},
        {{{"IP_AUTODETECTION_METHOD", "cidr=192.0.2.1/24"}}, "", nullptr, nullptr, "is no prefix"},
        {{{"IP", "192.0.2"}}, "", nullptr, nullptr, "is no IPv4 address"}};
    for (const AddressVariables& one : all) {
        SCOPED_TRACE(testing::PrintToString(one.variables));
        const std::string text =
            "source etcd { endpoint \"http://127.0.0.1:2379\"; register yes; " + std::string(one.statement) + " }";
        auto variables = one.variables;
        variables["NODENAME"] = "host";
        const Loaded loaded = load_config_text(text, "weft.conf", environment_of(variables));
        EXPECT_THAT(messages(loaded.diagnostics), HasSubstr(one.message));
        EXPECT_EQ(loaded.ok(), one.method4 != nullptr);
        if (!loaded.ok()) continue;
        const auto& etcd = std::get<EtcdSource>(loaded.config.source.value);
        EXPECT_EQ(to_string(etcd.method(Family::v4)), one.method4);
        EXPECT_EQ(to_string(etcd.method(Family::v6)), one.method6);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Each, EnvironmentTable,
    testing::Values(
        FromEnvironment{"backend",
                        {{"CALICO_NETWORKING_BACKEND", "vxlan"}},
                        "",
                        "",
                        [](const Config& c) { return c.backend.value == Backend::vxlan; }},
        FromEnvironment{"the_file_wins",
                        {{"CALICO_NETWORKING_BACKEND", "vxlan"}},
                        "calico_backend none;",
                        "",
                        [](const Config& c) { return c.backend.value == Backend::none; }},
        FromEnvironment{"misspelt_backend_is_bird",
                        {{"CALICO_NETWORKING_BACKEND", "vxlann"}},
                        "",
                        "warning: 'vxlann' is none of",
                        [](const Config& c) { return c.backend.value == Backend::bird; }},
        FromEnvironment{
            "node_name", {{"NODENAME", "n1"}}, "", "", [](const Config& c) { return c.hostname.value == "n1"; }},
        FromEnvironment{"router_id_hash",
                        {{"CALICO_ROUTER_ID", "hash"}},
                        "",
                        "",
                        [](const Config& c) { return std::holds_alternative<RouterIdHash>(c.router_id.value); }},
        FromEnvironment{"router_id_bad",
                        {{"CALICO_ROUTER_ID", "x"}},
                        "",
                        "environment CALICO_ROUTER_ID",
                        [](const Config&) { return true; }},
        FromEnvironment{"own_as",
                        {{"NODENAME", "a"}, {"AS", "64999"}},
                        kNode,
                        "",
                        [](const Config& c) { return c.nodes[0].value.node.as == 64999U; }},
        FromEnvironment{"own_as_bad",
                        {{"NODENAME", "a"}, {"AS", "64999x"}},
                        kNode,
                        "is no AS number",
                        [](const Config&) { return true; }},
        FromEnvironment{"own_address",
                        {{"NODENAME", "a"}, {"IP", "192.0.2.9/24"}, {"IP6", "autodetect"}},
                        kNode,
                        "",
                        [](const Config& c) { return to_string(*c.nodes[0].value.node.address4) == "192.0.2.9/24"; }},
        FromEnvironment{"default_pool",
                        {{"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"}, {"CALICO_IPV4POOL_IPIP", "Always"}},
                        "",
                        "",
                        [](const Config& c) {
                            return c.pools.size() == 1 && c.pools[0].value.ipip == Encapsulate::always &&
                                   c.pools[0].value.nat_outgoing;
                        }},
        FromEnvironment{"default_pool_ipv6",
                        {{"CALICO_IPV6POOL_CIDR", "fd00:7::/48"}, {"CALICO_IPV6POOL_VXLAN", "CrossSubnet"}},
                        "",
                        "",
                        [](const Config& c) {
                            return c.pools.size() == 1 && c.pools[0].value.vxlan == Encapsulate::cross_subnet &&
                                   !c.pools[0].value.nat_outgoing;
                        }},
        FromEnvironment{"no_default_pool_beside_a_stated_one",
                        {{"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"}},
                        "pool 10.65.0.0/16 { }",
                        "",
                        [](const Config& c) { return c.pools.size() == 1; }},
        FromEnvironment{"default_pool_none",
                        {{"CALICO_IPV4POOL_CIDR", "none"}},
                        "",
                        "",
                        [](const Config& c) { return c.pools.empty(); }},
        FromEnvironment{"no_default_pools",
                        {{"NO_DEFAULT_POOLS", "true"}, {"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"}},
                        "",
                        "NO_DEFAULT_POOLS",
                        [](const Config& c) { return c.pools.empty(); }},
        FromEnvironment{"both_encapsulations",
                        {{"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"},
                         {"CALICO_IPV4POOL_IPIP", "Always"},
                         {"CALICO_IPV4POOL_VXLAN", "Always"}},
                        "",
                        "ipipMode and vxlanMode cannot both be enabled",
                        [](const Config&) { return true; }},
        FromEnvironment{"bad_mode",
                        {{"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"}, {"CALICO_IPV4POOL_IPIP", "sometimes"}},
                        "",
                        "environment CALICO_IPV4POOL_IPIP",
                        [](const Config&) { return true; }},
        FromEnvironment{"bad_block_size",
                        {{"CALICO_IPV4POOL_CIDR", "10.70.0.0/16"}, {"CALICO_IPV4POOL_BLOCK_SIZE", "12"}},
                        "",
                        "blockSize must be between",
                        [](const Config&) { return true; }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Config, of_twenty_thousand_blocks_is_read_well_under_a_second) {
    std::string text = "hostname \"node0\";\npool 10.0.0.0/8 { vxlan always; }\n";
    for (int node = 0; node < 5000; ++node) {
        text += "node \"node" + std::to_string(node) + "\" { address 172.16." + std::to_string(node / 250) + "." +
                std::to_string(node % 250 + 1) + "/16;";
        for (int block = 0; block < 4; ++block) {
            const int at = node * 4 + block;
            text += " block 10." + std::to_string(at / 1024) + "." + std::to_string(at / 4 % 256) + "." +
                    std::to_string(at % 4 * 64) + "/26;";
        }
        text += " }\n";
    }
    const Loaded loaded = load_config_text(text, "big.conf", environment_of());
    EXPECT_TRUE(loaded.ok()) << messages(loaded.diagnostics);
    EXPECT_EQ(cluster_of(loaded.config).blocks.size(), 20000U);
}

TEST(Config, survives_any_damage_to_a_good_file) {
    std::mt19937 random(20261124);  // NOLINT: the same damage in every run
    for (const std::string& name : files("good")) {
        const std::string whole = slurp(file("good", name));
        for (int round = 0; round < 200 && !whole.empty(); ++round) {
            std::string text = whole;
            for (int damage = 0; damage < 3 && !text.empty(); ++damage) {
                const std::size_t at = random() % text.size();
                switch (random() % 4) {
                    case 0:
                        text.erase(at, random() % 20);
                        break;
                    case 1:
                        text[at] = static_cast<char>(random());
                        break;
                    case 2:
                        text.insert(at, text.substr(random() % text.size(), random() % 30));
                        break;
                    default:
                        text.insert(at, 1, "{};\"#,/*="[random() % 9]);
                        break;
                }
            }
            const Loaded loaded = load_config_text(text, "damaged.conf", environment_of());
            for (const Diagnostic& diagnostic : loaded.diagnostics) EXPECT_FALSE(diagnostic.message.empty());
        }
    }
}

TEST(Config, that_is_a_directory_or_missing_is_said_plainly) {
    EXPECT_THAT(messages(load_config(WEFT_TEST_DATA, environment_of()).diagnostics), HasSubstr("is a directory"));
    EXPECT_THAT(messages(load_config("/nonexistent.conf", environment_of()).diagnostics), HasSubstr("no such file"));
}

TEST(WorkloadInterfaces, are_shell_patterns) {
    EXPECT_TRUE(matches_any({"cali*", "tap[0-9]"}, "tap5"));
    EXPECT_TRUE(matches_any({"cali*"}, "cali1234"));
    EXPECT_FALSE(matches_any({"cali*", "tap[0-9]"}, "eth0"));
}

}  // namespace
}  // namespace weft
