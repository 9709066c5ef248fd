#include "conf/resource_edit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/manifest.hpp"
#include "conf/resource_rules.hpp"
#include "conf/yaml.hpp"

namespace weft {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const Birth kBirth{.uid = "the-uid", .created = "2026-11-25T09:00:00Z"};

/// One document of YAML.
json yaml(const std::string& text) {
    Manifests read = read_yaml(text);
    EXPECT_EQ(read.error, "") << text;
    return read.documents.empty() ? json() : read.documents.front().object;
}

json manifest(const std::string& kind, const std::string& name, const std::string& spec) {
    json made{{"kind", kind}, {"apiVersion", "projectcalico.org/v3"}, {"metadata", {{"name", name}}}};
    made["spec"] = yaml(spec);
    return made;
}

ResourceId id_of(const json& object) {
    auto id = edited_id(object);
    EXPECT_TRUE(id) << object;
    return id ? *std::move(id) : ResourceId{};
}

ResourceEdit edited(const json& wanted, const json* stored = nullptr, const PoolSurroundings& beside = {}) {
    return edit_resource(id_of(wanted), wanted, stored, beside, kBirth);
}

std::string errors_of(const json& wanted, const json* stored = nullptr, const PoolSurroundings& beside = {}) {
    const ResourceEdit edit = edited(wanted, stored, beside);
    return edit.errors.empty() ? "" : validation_words(id_of(wanted), edit.object, edit.errors);
}

TEST(ResourceKinds, go_by_the_names_that_calicoctl_has_for_them) {
    for (const auto& [word, kind] :
         std::map<std::string, ResourceKind>{{"ippool", ResourceKind::ip_pool},
                                             {"IPPool", ResourceKind::ip_pool},
                                             {"pools", ResourceKind::ip_pool},
                                             {"ipp", ResourceKind::ip_pool},
                                             {"no", ResourceKind::node},
                                             {"nodes", ResourceKind::node},
                                             {"bps", ResourceKind::bgp_peer},
                                             {"bgpPeer", ResourceKind::bgp_peer},
                                             {"bgpconfig", ResourceKind::bgp_configuration},
                                             {"bgpConfigurations", ResourceKind::bgp_configuration}}) {
        const auto found = edited_kind(word);
        ASSERT_TRUE(found) << word;
        EXPECT_EQ(*found, kind) << word;
    }
    const auto none = edited_kind("policy");
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, StartsWith("resource type 'policy' is not supported"));
}

TEST(Manifests, of_other_kinds_and_without_a_name_are_refused) {
    struct Case {
        const char* text;
        const char* message;
    };
    for (const Case& c : std::initializer_list<Case>{
             {"{kind: Deployment, apiVersion: apps/v1, metadata: {name: a}}", "Unknown resource type (Deployment)"},
             {"{kind: Node, apiVersion: v1, metadata: {name: a}}", "and/or version (v1)"},
             {"{kind: FelixConfiguration, apiVersion: projectcalico.org/v3, metadata: {name: a}}",
              "weftctl knows IPPool"},
             {"{kind: IPPool, apiVersion: projectcalico.org/v3, spec: {}}", "metadata.name"},
             {"{kind: IPPool, apiVersion: projectcalico.org/v3, metadata: {name: A_b}}", "lower case alphanumeric"},
             {"{kind: Node, apiVersion: projectcalico.org/v3, metadata: {name: 'a/b'}}", "no node name"},
             {"just words", "no resource"}}) {
        const auto id = edited_id(yaml(c.text));
        ASSERT_FALSE(id) << c.text;
        EXPECT_THAT(id.error().message, HasSubstr(c.message)) << c.text;
    }
}

TEST(AppliedPools, are_refused_in_the_words_of_calico) {
    struct Case {
        const char* spec;
        const char* message;
    };
    for (const Case& c : std::initializer_list<Case>{
             {"{}", "spec.cidr"},
             {"{cidr: 10.65.0.1/16}",
              "error with field IPPool.spec.cidr = '10.65.0.1/16' (IPPool CIDR must be strictly masked)"},
             {"{cidr: 169.254.4.0/24}", "IPPool CIDR overlaps with IPv4 link local range 169.254.0.0/16"},
             {"{cidr: 10.65.0.0/16, ipipMode: Always, vxlanMode: Always}",
              "ipipMode and vxlanMode cannot both be enabled"},
             {"{cidr: 'fd00:65::/48', ipipMode: CrossSubnet}", "IPIP is not supported on IPv6 pools"},
             {"{cidr: 10.65.0.0/28}", "IP pool size is too small for use with Calico IPAM"},
             {"{cidr: 10.65.0.0/16, blockSize: 19}", "blockSize must be between 20 and 32"},
             {"{cidr: 10.65.0.0/16, vxlanMode: always}", "Unsupported value: \"always\""},
             {"{cidr: 10.65.0.0/16, ipipmode: Always}", "unknown field \"spec.ipipmode\": it is written ipipMode"},
             {"{cidr: 10.65.0.0/16, colour: red}", "unknown field \"spec.colour\""},
             {"{cidr: 10.65.0.0/16, nodeSelector: 'global()'}",
              "global() selector is not valid for IPPool nodeSelector"},
             {"{cidr: 10.65.0.0/16, nodeSelector: 'has(('}", "spec.nodeSelector"},
             {"{cidr: 10.65.0.0/16, allowedUses: [Workload, Party]}", "IPPool.spec.allowedUses[1] = 'Party'"},
             {"{cidr: 10.65.0.0/16, allowedUses: [LoadBalancer, Tunnel]}", "LoadBalancer cannot be combined"},
             {"{cidr: 10.65.64.0/24}", "IPPool(p) CIDR overlaps with IPPool(other) CIDR 10.65.64.0/20"},
             {"{cidr: 10.66.0.0/16, blockSize: 27}",
              "IPPool blocksSize conflicts with existing allocations that use a different blockSize"}}) {
        const PoolSurroundings beside{.pools = {{"other", *parse_prefix("10.65.64.0/20")}},
                                      .blocks = {*parse_prefix("10.66.1.0/26")}};
        EXPECT_THAT(errors_of(manifest("IPPool", "p", c.spec), nullptr, beside), HasSubstr(c.message)) << c.spec;
    }
}

TEST(AppliedPools, keep_their_prefix_and_block_size_for_life) {
    const json stored = manifest("IPPool", "p", "{cidr: 10.65.0.0/16, allowedUses: [LoadBalancer]}");
    EXPECT_THAT(errors_of(manifest("IPPool", "p", "{cidr: 10.66.0.0/16, allowedUses: [LoadBalancer]}"), &stored),
                HasSubstr("IPPool CIDR cannot be modified"));
    EXPECT_THAT(
        errors_of(manifest("IPPool", "p", "{cidr: 10.65.0.0/16, blockSize: 27, allowedUses: [LoadBalancer]}"), &stored),
        HasSubstr("IPPool BlockSize cannot be modified"));
    EXPECT_THAT(errors_of(manifest("IPPool", "p", "{cidr: 10.65.0.0/16}"), &stored),
                HasSubstr("IPPool allowed use cannot be changed from LoadBalancer"));
    EXPECT_EQ(
        errors_of(manifest("IPPool", "p", "{cidr: 10.65.0.0/16, blockSize: 26, allowedUses: [LoadBalancer]}"), &stored),
        "");
}

TEST(AppliedPools, state_what_calico_assumes) {
    const ResourceEdit edit = edited(manifest("IPPool", "p", "{cidr: 'fd00:65:0::/48', vxlanMode: Always}"));
    ASSERT_THAT(edit.errors, IsEmpty());
    EXPECT_TRUE(edit.changed);
    EXPECT_EQ(edit.object, yaml(R"(
        apiVersion: projectcalico.org/v3
        kind: IPPool
        metadata: {name: p, uid: the-uid, creationTimestamp: "2026-11-25T09:00:00Z"}
        spec: {cidr: 'fd00:65::/48', vxlanMode: Always, ipipMode: Never, blockSize: 122, nodeSelector: all(),
               allowedUses: [Workload, Tunnel], assignmentMode: Automatic})"));
}

TEST(AppliedResources, replace_the_spec_and_keep_what_others_own) {
    const json stored = yaml(R"(
        apiVersion: projectcalico.org/v3
        kind: IPPool
        metadata: {name: p, uid: first, creationTimestamp: "2020-01-01T00:00:00Z", generation: 4,
                   labels: {a: "1", b: "2"}, ownerReferences: [{uid: x}]}
        spec: {cidr: 10.65.0.0/16, ipipMode: Never, vxlanMode: Always, natOutgoing: true, fromTheFuture: {a: 1},
               blockSize: 26, nodeSelector: all(), allowedUses: [Workload, Tunnel], assignmentMode: Automatic}
        status: {conditions: [{type: Allocatable}]})");
    json wanted = manifest("IPPool", "p", "{cidr: 10.65.0.0/16, ipipMode: Always}");
    wanted["metadata"] = yaml("{name: p, uid: forged, resourceVersion: '12', labels: {b: '3', a: null, c: '4'}}");
    wanted["status"] = "nonsense";
    const ResourceEdit edit = edited(wanted, &stored);
    ASSERT_THAT(edit.errors, IsEmpty());
    EXPECT_EQ(edit.object, yaml(R"(
        apiVersion: projectcalico.org/v3
        kind: IPPool
        metadata: {name: p, uid: first, creationTimestamp: "2020-01-01T00:00:00Z", generation: 4,
                   labels: {b: "3", c: "4"}, ownerReferences: [{uid: x}]}
        spec: {cidr: 10.65.0.0/16, ipipMode: Always, vxlanMode: Never, fromTheFuture: {a: 1},
               blockSize: 26, nodeSelector: all(), allowedUses: [Workload, Tunnel], assignmentMode: Automatic}
        status: {conditions: [{type: Allocatable}]})"));
    EXPECT_FALSE(edited(edit.object, &edit.object).changed) << "what was got can be applied, and changes nothing";
    json without = edit.object;
    without["spec"]["fromTheFuture"] = nullptr;
    EXPECT_FALSE(edited(without, &stored).object["spec"].contains("fromTheFuture")) << "null removes";
}

TEST(AppliedNodes, keep_what_the_node_itself_has_registered) {
    const json stored = yaml(R"(
        apiVersion: projectcalico.org/v3
        kind: Node
        metadata: {name: a, labels: {rack: one}}
        spec: {bgp: {ipv4Address: 192.0.2.1/24, ipv4IPIPTunnelAddr: 10.65.0.0, asNumber: 64500,
                     routeReflectorClusterID: 1.1.1.1},
               ipv4VXLANTunnelAddr: 10.65.0.1, orchRefs: [{nodeName: a, orchestrator: k8s}]}
        status: {podCIDRs: []})");
    const ResourceEdit edit = edited(manifest("Node", "a", "{bgp: {asNumber: 64513}}"), &stored);
    ASSERT_THAT(edit.errors, IsEmpty());
    EXPECT_EQ(edit.object["spec"], yaml(R"(
        {bgp: {ipv4Address: 192.0.2.1/24, ipv4IPIPTunnelAddr: 10.65.0.0, asNumber: 64513},
         ipv4VXLANTunnelAddr: 10.65.0.1, orchRefs: [{nodeName: a, orchestrator: k8s}]})"));
    EXPECT_EQ(edit.object["status"], stored["status"]);
    const ResourceEdit stated =
        edited(manifest("Node", "a", "{bgp: {ipv4Address: 192.0.2.9/24}, ipv4VXLANTunnelAddr: null}"), &stored);
    EXPECT_EQ(stated.object["spec"]["bgp"]["ipv4Address"], "192.0.2.9/24");
    EXPECT_FALSE(stated.object["spec"].contains("ipv4VXLANTunnelAddr"));
    EXPECT_THAT(errors_of(manifest("Node", "b", "{bgp: {}}")), HasSubstr("Spec.BGP should not be empty"));
    EXPECT_THAT(errors_of(manifest("Node", "b", "{bgp: {ipv4Adress: 192.0.2.9/24}}")),
                HasSubstr("unknown field \"spec.bgp.ipv4Adress\""));
}

TEST(AppliedPeersAndConfigurations, follow_calicos_rules_and_tell_what_weft_does_not_do) {
    struct Case {
        const char* kind;
        const char* name;
        const char* spec;
        const char* message;
    };
    for (const Case& c : std::initializer_list<Case>{
             {"BGPPeer", "p", "{peerIP: 192.0.2.1, asNumber: 64512}", ""},
             {"BGPPeer", "p", "{node: a, nodeSelector: all(), peerIP: 192.0.2.1}",
              "Node field must be empty when NodeSelector is specified"},
             {"BGPPeer", "p", "{peerIP: 192.0.2.1, peerSelector: all()}",
              "PeerIP field must be empty when PeerSelector is specified"},
             {"BGPPeer", "p", "{peerSelector: all(), asNumber: 64512}",
              "ASNumber field must be empty when PeerSelector is specified"},
             {"BGPPeer", "p", "{peerIP: nowhere}", "BGPPeer.spec.peerIP = 'nowhere'"},
             {"BGPConfiguration", "default", "{asNumber: 64513, nodeToNodeMeshEnabled: false}", ""},
             {"BGPConfiguration", "default", "{logSeverityScreen: Loud}", "Unsupported value: \"Loud\""},
             {"BGPConfiguration", "default", "{communities: [{name: a, value: '1:2'}]}",
              "communities are defined but not used"},
             {"BGPConfiguration", "node.a", "{asNumber: 64513}",
              "Cannot set asNumber on a non default BGP Configuration."},
             {"BGPConfiguration", "node.a", "{listenPort: 1179}", ""}}) {
        const std::string errors = errors_of(manifest(c.kind, c.name, c.spec));
        EXPECT_THAT(errors, HasSubstr(c.message)) << c.spec;
        EXPECT_EQ(errors.empty(), std::string(c.message).empty()) << errors;
    }
    const ResourceEdit filtered =
        edited(manifest("BGPPeer", "p", "{peerIP: 192.0.2.1, filters: [f], maxRestartTime: 2m}"));
    EXPECT_THAT(filtered.errors, IsEmpty());
    ASSERT_EQ(filtered.warnings.size(), 2U);
    EXPECT_EQ(filtered.warnings.front().field, "spec.filters");
}

TEST(ValidationErrors, of_several_fields_are_listed) {
    EXPECT_THAT(errors_of(manifest("IPPool", "p", "{cidr: 10.65.0.1/16, a: 1, b: 2}")),
                AllOf(StartsWith("error with the following fields:\n-  IPPool.spec.a"), HasSubstr("\n-  IPPool.spec.b"),
                      HasSubstr("\n-  IPPool.spec.cidr = '10.65.0.1/16' (")));
}

TEST(Yaml, is_printed_as_kubectl_does_and_reads_back_the_same) {
    const json value = json::parse(R"j({
        "kind": "IPPool", "list": [{"b": 1, "a": "x"}, [1, [2]], "text", [], {}],
        "spec": {"cidr": "10.65.0.0/16", "six": "fd00:65::/48", "address": "192.0.2.1", "selector": "all()",
                 "truth": true, "none": null, "number": 1.5, "empty": {}},
        "words": ["true", "No", "on", "~", "", " a", "a ", "1.10", "0x10", "12:30:45", "1:2", "2026-11-25", "- a", "a: b",
                  "a:", "#", "a #b", "'", "\"", "{a}", "[a]", "a,b", "&a", "*a", "!a", "|", "%", "@a", "`", "line\nline",
                  "null", "-1", "+1", ".5", "1e3", "host:a", "has(rack) && zone in {\"a\"}"],
        "odd keys": {
    "true" : 1, "1" : 2, "a: b" : 3, "projectcalico.org/x" : 4
}
})j");
    const std::string text = to_yaml(value);
    Manifests again = read_yaml(text);
    ASSERT_EQ(again.error, "") << text;
    EXPECT_EQ(again.documents.front().object, value) << text;
    EXPECT_EQ(to_yaml(json::parse(R"({"spec":{"cidr":"10.65.0.0/16","allowedUses":["Workload","Tunnel"],
                                      "natOutgoing":true},"metadata":{"resourceVersion":"12"}})")),
              "metadata:\n"
              "  resourceVersion: \"12\"\n"
              "spec:\n"
              "  allowedUses:\n"
              "  - Workload\n"
              "  - Tunnel\n"
              "  cidr: 10.65.0.0/16\n"
              "  natOutgoing: true\n");
}

}  // namespace
}  // namespace weft
