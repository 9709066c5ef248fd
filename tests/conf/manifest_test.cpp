#include "conf/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(Yaml, becomes_json_with_the_types_that_kubernetes_sees) {
    const Manifests read = read_yaml(R"(# a comment
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p, creationTimestamp: 2026-01-02T03:04:05Z}
spec:
  cidr: 10.65.0.0/16
  blockSize: 26
  natOutgoing: true
  disabled: False
  note: "26"
  nothing: ~
  empty:
  negative: -7
  hex: 0x10
  real: 1.5
  list: [Workload, Tunnel]
  text: |
    two
    lines
)");
    ASSERT_EQ(read.error, "");
    ASSERT_EQ(read.documents.size(), 1U);
    const json& spec = read.documents[0].object["spec"];
    EXPECT_EQ(read.documents[0].object["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    EXPECT_EQ(spec["cidr"], "10.65.0.0/16");
    EXPECT_TRUE(spec["blockSize"].is_number_unsigned());
    EXPECT_EQ(spec["natOutgoing"], true);
    EXPECT_EQ(spec["disabled"], false);
    EXPECT_EQ(spec["note"], "26");
    EXPECT_TRUE(spec["nothing"].is_null());
    EXPECT_TRUE(spec["empty"].is_null());
    EXPECT_EQ(spec["negative"], -7);
    EXPECT_EQ(spec["hex"], 16);
    EXPECT_EQ(spec["real"], 1.5);
    EXPECT_EQ(spec["list"], json({"Workload", "Tunnel"}));
    EXPECT_EQ(spec["text"], "two\nlines\n");
}

TEST(Yaml, of_several_documents_knows_the_line_of_each_field) {
    const Manifests read = read_yaml("---\na: 1\n---\n---\nspec:\n  b:\n  - x\n  - y: 2\n");
    ASSERT_EQ(read.documents.size(), 2U);
    EXPECT_EQ(read.documents[0].line_of("a"), 2U);
    EXPECT_EQ(read.documents[1].line_of("spec.b[1].y"), 8U);
    EXPECT_EQ(read.documents[1].line_of("spec.missing.deeper"), 5U);
    EXPECT_EQ(read.documents[1].line_of(""), 5U);
}

TEST(Yaml, lists_are_taken_apart) {
    const Manifests read = read_yaml(R"(apiVersion: projectcalico.org/v3
kind: IPPoolList
items:
- metadata: {name: p}
- metadata: {name: q}
  kind: IPPool
)");
    ASSERT_EQ(read.documents.size(), 2U);
    EXPECT_EQ(read.documents[0].object["kind"], "IPPool");
    EXPECT_EQ(read.documents[0].object["apiVersion"], "projectcalico.org/v3");
    EXPECT_EQ(read.documents[1].line_of("metadata.name"), 5U);
}

TEST(Yaml, aliases_and_merges_are_followed) {
    const Manifests read = read_yaml("base: &b {a: 1, c: 2}\nmore:\n  <<: *b\n  a: 3\nagain: *b\n");
    ASSERT_EQ(read.error, "");
    EXPECT_EQ(read.documents[0].object["more"]["c"], 2);
    EXPECT_EQ(read.documents[0].object["again"]["a"], 1);
}

TEST(Yaml, that_is_hostile_or_broken_is_refused_with_a_line) {
    std::string laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
    for (char c = 'b'; c < 'k'; ++c) {
        laughs += std::string(1, c) + ": &" + c + " [";
        for (int i = 0; i < 10; ++i) laughs += std::string(i == 0 ? "*" : ",*") + static_cast<char>(c - 1);
        laughs += "]\n";
    }
    const std::vector<std::pair<std::string, const char*>> cases{
        {"a: 1\na: 2\n", "a second 'a'"},
        {"a:\n  - b\n c: d\n", "no YAML"},
        {"a: [1, 2\n", "no YAML"},
        {"a: *nobody\n", "no YAML"},
        {"a: &a [*a]\n", "an alias of the value that it stands in"},
        {"? [a]\n: b\n", "a key has to be a word"},
        {std::string(100, '[') + std::string(100, ']'), "nested more than 64 deep"},
        {std::string(100'000, '['), "e"},
        {laughs, "too"},
        {"a: b: c\n", "no YAML"},
        {"%YAML 9.9\n---\na: 1\n", ""},
        {"\t\ta: 1\n", ""},
        {std::string("a: \0b\n", 6), ""},
        {"\xff\xfe\xfd", ""},
        {"a: \xc3\x28\n", ""},
    };
    for (const auto& [text, message] : cases) {
        const Manifests read = read_yaml(text);
        if (*message != 0) {
            EXPECT_THAT(read.error, HasSubstr(message)) << text.substr(0, 40);
            EXPECT_GE(read.error_line, 1U);
            EXPECT_TRUE(read.documents.empty());
        }
    }
    EXPECT_EQ(read_yaml("a: 1\na: 2\n").error_line, 2U);
}

TEST(Yaml, truncated_anywhere_never_ends_in_more_than_an_error) {
    const std::string text =
        "apiVersion: v3\nkind: \"IPPool\"\nspec: {cidr: 10.65.0.0/16, list: [a, &x b, *x]}\n---\nk: |\n  t\n";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const Manifests read = read_yaml(text.substr(0, size));
        EXPECT_TRUE(read.error.empty() || read.documents.empty());
    }
}

TEST(Json, manifests_have_lines_too) {
    const Manifests read = read_json("{\n  \"kind\": \"IPPool\",\n  \"spec\": {\n    \"cidr\": \"x\"\n  }\n}\n");
    ASSERT_EQ(read.documents.size(), 1U);
    EXPECT_EQ(read.documents[0].line_of("spec.cidr"), 4U);
    EXPECT_THAT(read_json("{\"a\":").error, HasSubstr("no JSON"));
}

}  // namespace
}  // namespace weft
