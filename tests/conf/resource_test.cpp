#include "conf/resource.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"

namespace weft {
namespace {

using nlohmann::json;
using testing::HasSubstr;

template <class T>
std::string texts(const Decoded<T>& decoded) {
    std::string all;
    for (const FieldTrouble& finding : decoded.errors) all += to_string(finding) + "\n";
    return all;
}

json pool_of(const std::string& spec) {
    return {{"kind", "IPPool"},
            {"apiVersion", "projectcalico.org/v3"},
            {"metadata", {{"name", "p"}, {"creationTimestamp", "2026-01-02T03:04:05Z"}}},
            {"spec", json::parse("{" + spec + "}")}};
}

TEST(IpPools, are_read_as_calicoctl_writes_them) {
    const auto decoded = decode_ip_pool(pool_of(
        R"j("cidr":"10.65.0.0/16","vxlanMode":"CrossSubnet","ipipMode":"Never","natOutgoing":true,"disabled":false,
           "nodeSelector":"all()","blockSize":26,"disableBGPExport":true,"allowedUses":["Workload","Tunnel"],
           "assignmentMode":"Automatic")j"));
    ASSERT_TRUE(decoded.ok()) << texts(decoded);
    const Pool wanted{.cidr = *parse_prefix("10.65.0.0/16"),
                      .ipip = Encapsulate::never,
                      .vxlan = Encapsulate::cross_subnet,
                      .block_size = 26,
                      .nat_outgoing = true,
                      .exported = false,
                      .disabled = false};
    EXPECT_EQ(decoded.value.pool, wanted);
    EXPECT_TRUE(decoded.value.nodes.is_all());
    EXPECT_EQ(decoded.value.created, "2026-01-02T03:04:05Z");
}

TEST(IpPools, have_the_defaults_of_calico) {
    const auto four = decode_ip_pool(pool_of(R"("cidr":"10.65.0.0/16","blockSize":0,"vxlanMode":"")"));
    ASSERT_TRUE(four.ok()) << texts(four);
    EXPECT_EQ(four.value.pool.block_size, 26);
    EXPECT_FALSE(four.value.pool.nat_outgoing);
    EXPECT_TRUE(four.value.pool.exported);
    const auto six = decode_ip_pool(pool_of(R"("cidr":"fd00:65::/48","vxlanMode":"Always")"));
    EXPECT_EQ(six.value.pool.block_size, 122);
    EXPECT_EQ(six.value.pool.vxlan, Encapsulate::always);
}

struct Bad {
    const char* spec;
    const char* field;
    const char* message;
};

class BadPool : public testing::TestWithParam<Bad> {};

TEST_P(BadPool, is_reported_with_field_and_reason) {
    const auto decoded = decode_ip_pool(pool_of(GetParam().spec));
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.errors.front().field, GetParam().field);
    EXPECT_THAT(decoded.errors.front().message, HasSubstr(GetParam().message));
}

constexpr const char* kSmall = "IP pool size is too small for use with Calico IPAM";
INSTANTIATE_TEST_SUITE_P(
    all, BadPool,
    testing::Values(
        Bad{"", "spec.cidr", "a pool needs its prefix"}, Bad{R"("cidr":7)", "spec.cidr", "expected a string"},
        Bad{R"("cidr":"10.65.0.1/16")", "spec.cidr", "IPPool CIDR must be strictly masked"},
        Bad{R"("cidr":"10.65.0.0")", "spec.cidr", "is no prefix"},
        Bad{R"("cidr":"10.65.0.0/33")", "spec.cidr", "is no prefix"},
        Bad{R"("cidr":"169.254.0.0/20")", "spec.cidr", "IPv4 link local range 169.254.0.0/16"},
        Bad{R"("cidr":"fe80::/64","blockSize":122)", "spec.cidr", "IPv6 link local range fe80::/10"},
        Bad{R"("cidr":"10.65.0.0/16","ipipMode":"always")", "spec.ipipMode", "Unsupported value: \"always\""},
        Bad{R"("cidr":"10.65.0.0/16","ipipMode":true)", "spec.ipipMode", "expected a string, this is true or false"},
        Bad{R"("cidr":"10.65.0.0/16","ipipMode":"Always","vxlanMode":"CrossSubnet")", "spec.ipipMode",
            "ipipMode and vxlanMode cannot both be enabled"},
        Bad{R"("cidr":"fd00::/48","ipipMode":"Always")", "spec.ipipMode", "IPIP is not supported on IPv6 pools"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":33)", "spec.blockSize", "blockSize must be between 20 and 32"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":19)", "spec.blockSize", "blockSize must be between 20 and 32"},
        Bad{R"("cidr":"fd00::/48","blockSize":26)", "spec.blockSize", "between 116 and 128 for IPv6 pools"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":26.5)", "spec.blockSize", "expected a whole number"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":-1)", "spec.blockSize", "-1 is not between"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":18446744073709551615)", "spec.blockSize", "is not between"},
        Bad{R"("cidr":"10.65.0.0/16","blockSize":1e300)", "spec.blockSize", "expected a whole number"},
        Bad{R"("cidr":"10.65.0.0/28")", "spec.blockSize", kSmall},
        Bad{R"("cidr":"10.65.0.0/16","natOutgoing":"yes")", "spec.natOutgoing", "expected true or false"},
        Bad{R"("cidr":"10.65.0.0/16","nodeSelector":"rack ==")", "spec.nodeSelector", "no selector"},
        Bad{R"("cidr":"10.65.0.0/16","allowedUses":["Workload","Food"])", "spec.allowedUses[1]", "Unsupported value"},
        Bad{R"("cidr":"10.65.0.0/16","allowedUses":"Workload")", "spec.allowedUses", "expected a list"},
        Bad{R"("cidr":"10.65.0.0/16","allowedUses":["LoadBalancer","Tunnel"])", "spec.allowedUses",
            "LoadBalancer cannot be combined with Workload or Tunnel allowed uses"},
        Bad{R"("cidr":"10.65.0.0/16","allowedUses":["LoadBalancer"],"vxlanMode":"Always")", "spec.allowedUses",
            "LoadBalancer IP pool cannot have IPIP or VXLAN enabled"},
        Bad{R"j("cidr":"10.65.0.0/16","allowedUses":["LoadBalancer"],"nodeSelector":"has(a)")j", "spec.nodeSelector",
            "must have nodeSelector set to all()"},
        Bad{R"j("cidr":"10.65.0.0/16","allowedUses":["Tunnel"],"namespaceSelector":"has(a)")j",
            "spec.namespaceSelector", "IP Pool with AllowedUse Tunnel cannot have namespaceSelector"}));

TEST(IpPools, say_all_that_is_wrong_at_once) {
    const auto decoded = decode_ip_pool(pool_of(R"("cidr":"10.65.0.0/16","blockSize":"big","natOutgoing":3)"));
    EXPECT_EQ(decoded.errors.size(), 2U);
}

TEST(Nodes, are_read_as_calico_node_writes_them) {
    const auto decoded = decode_node("a", json::parse(R"({
        "kind":"Node","apiVersion":"projectcalico.org/v3",
        "metadata":{"name":"a","uid":"u","labels":{"rack":"7","beta.kubernetes.io/os":"linux"}},
        "spec":{"addresses":[{"address":"192.0.2.11/24","type":"CalicoNodeIP"}],
          "bgp":{"asNumber":64513,"ipv4Address":"192.0.2.11/24","ipv6Address":"2001:db8::11/64",
                 "ipv4IPIPTunnelAddr":"10.65.0.1","routeReflectorClusterID":"1.0.0.1"},
          "ipv4VXLANTunnelAddr":"10.65.0.0","vxlanTunnelMACAddr":"66:01:02:03:04:05","ipv6VXLANTunnelAddr":"fd00:65::",
          "orchRefs":[{"nodeName":"a","orchestrator":"k8s"}],"unknown":{"x":[1]}},
        "status":{"podCIDRs":["10.244.0.0/24"]}})"));
    ASSERT_TRUE(decoded.ok()) << texts(decoded);
    const Node& node = decoded.value.node;
    EXPECT_EQ(to_string(*node.address4), "192.0.2.11/24");
    EXPECT_EQ(to_string(*node.address6), "2001:db8::11/64");
    EXPECT_EQ(to_string(*node.vxlan4), "10.65.0.0");
    EXPECT_EQ(to_string(*node.vxlan6), "fd00:65::");
    EXPECT_EQ(to_string(*node.ipip4), "10.65.0.1");
    EXPECT_EQ(to_string(*node.mac4), "66:01:02:03:04:05");
    EXPECT_EQ(node.mac6, vtep_mac("a", Family::v6));
    EXPECT_EQ(node.as, 64513U);
    EXPECT_EQ(to_string(*node.cluster_id), "1.0.0.1");
    EXPECT_EQ(decoded.value.labels, (Labels{{"beta.kubernetes.io/os", "linux"}, {"rack", "7"}}));
}

TEST(Nodes, may_have_no_bgp_a_bare_address_or_a_dotted_as) {
    EXPECT_TRUE(decode_node("a", json::parse(R"({"metadata":{"name":"a"},"spec":{}})")).ok());
    EXPECT_TRUE(decode_node("a", json::parse(R"({"metadata":{"name":"a"},"spec":{"bgp":null}})")).ok());
    const auto bare =
        decode_node("a", json::parse(R"({"spec":{"bgp":{"ipv4Address":"192.0.2.11","asNumber":"1.10"}}})"));
    ASSERT_TRUE(bare.ok()) << texts(bare);
    EXPECT_EQ(to_string(*bare.value.node.address4), "192.0.2.11/32");
    EXPECT_EQ(bare.value.node.as, (1U << 16U) + 10);
}

TEST(Nodes, of_kubernetes_are_read_by_their_annotations) {
    const auto decoded = decode_node("a", json::parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"a",
        "annotations":{"projectcalico.org/IPv4Address":"192.0.2.11/24","projectcalico.org/IPv4VXLANTunnelAddr":"10.65.0.0",
        "projectcalico.org/ASNumber":"64513","unrelated":"x"}},"spec":{"podCIDR":"10.244.0.0/24","bgp":7}})"));
    ASSERT_TRUE(decoded.ok()) << texts(decoded);
    EXPECT_EQ(to_string(*decoded.value.node.address4), "192.0.2.11/24");
    EXPECT_EQ(to_string(*decoded.value.node.vxlan4), "10.65.0.0");
    EXPECT_EQ(decoded.value.node.as, 64513U);
}

class BadNode : public testing::TestWithParam<Bad> {};

TEST_P(BadNode, is_reported_with_field_and_reason) {
    const auto decoded = decode_node("a", json{{"spec", json::parse(GetParam().spec)}});
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.errors.front().field, GetParam().field);
    EXPECT_THAT(decoded.errors.front().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    all, BadNode,
    testing::Values(
        Bad{"[]", "spec", "expected an object, this is a list"},
        Bad{R"({"bgp":"x"})", "spec.bgp", "expected an object"},
        Bad{R"({"bgp":{"ipv4Address":"192.0.2.300/24"}})", "spec.bgp.ipv4Address", "is no IPv4 address"},
        Bad{R"({"bgp":{"ipv4Address":"2001:db8::1/64"}})", "spec.bgp.ipv4Address", "is no IPv4 address"},
        Bad{R"({"bgp":{"ipv4Address":"127.0.0.1/8"}})", "spec.bgp.ipv4Address", "no address that other nodes"},
        Bad{R"({"bgp":{"ipv4Address":{"ip":1}}})", "spec.bgp.ipv4Address", "expected a string, this is an object"},
        Bad{R"({"bgp":{"asNumber":"many"}})", "spec.bgp.asNumber", "is no AS number"},
        Bad{R"({"bgp":{"asNumber":4294967296}})", "spec.bgp.asNumber", "is no AS number"},
        Bad{R"({"bgp":{"asNumber":"1.70000"}})", "spec.bgp.asNumber", "is no AS number"},
        Bad{R"({"bgp":{"routeReflectorClusterID":"one"}})", "spec.bgp.routeReflectorClusterID", "IPv4 address"},
        Bad{R"({"ipv4VXLANTunnelAddr":"10.65.0.0/32"})", "spec.ipv4VXLANTunnelAddr", "is no IPv4 address"},
        Bad{R"({"vxlanTunnelMACAddr":"66:01:02:03:04"})", "spec.vxlanTunnelMACAddr", "is no MAC address"},
        Bad{R"({"vxlanTunnelMACAddr":"01:00:5e:00:00:01"})", "spec.vxlanTunnelMACAddr", "one interface"}));

TEST(Nodes, with_names_that_could_break_out_of_a_configuration_are_refused) {
    for (const std::string& name :
         std::vector<std::string>{"", "a b", "a\"; protocol bgp {", "a/b", "a\n", std::string(254, 'a')}) {
        EXPECT_FALSE(decode_node(name, json::object()).ok()) << name;
    }
}

TEST(Blocks, give_their_node_and_the_addresses_that_others_borrow) {
    const auto decoded = decode_block(json::parse(R"({"cidr":"10.65.1.0/30","affinity":"host:b",
        "affinity_claim_time":"2026-01-01T00:00:00Z","strictAffinity":false,
        "allocations":[0,1,null,2],"unallocated":[2],
        "attributes":[{"handle_id":"vxlan-tunnel-addr-b","secondary":{"node":"b","type":"vxlanTunnelAddress"}},
                      {"handle_id":"k8s-pod-network.1","secondary":{"namespace":"default","node":"a","pod":"p"}},
                      {"handle_id":"windows-reserved-ipam-handle","secondary":{}}],
        "sequenceNumber":1700000000000000000,"sequenceNumberForAllocation":{"0":1},"deleted":false})"));
    ASSERT_TRUE(decoded.ok()) << texts(decoded);
    EXPECT_EQ(decoded.value.node, "b");
    ASSERT_EQ(decoded.value.borrowed.size(), 1U);
    EXPECT_EQ(to_string(decoded.value.borrowed[0].address), "10.65.1.1");
    EXPECT_EQ(decoded.value.borrowed[0].node, "a");
}

TEST(Blocks, count_ordinals_from_the_end_of_large_and_ipv6_prefixes) {
    json block = json::parse(R"({"cidr":"10.65.16.0/20","affinity":null,"attributes":[{"secondary":{"node":"a"}}]})");
    block["allocations"] = json::array();
    for (int i = 0; i < 4096; ++i) block["allocations"].push_back(i == 4095 ? json(0U) : json(nullptr));
    EXPECT_EQ(to_string(decode_block(block).value.borrowed.at(0).address), "10.65.31.255");
    block["cidr"] = "fd00:65::1000/116";
    EXPECT_EQ(to_string(decode_block(block).value.borrowed.at(0).address), "fd00:65::1fff");
}

TEST(Blocks, without_a_node_of_load_balancers_or_with_addresses_that_cool_down) {
    EXPECT_EQ(decode_block(json::parse(R"({"cidr":"10.65.1.0/26","affinity":null})")).value.node, "");
    EXPECT_EQ(decode_block(json::parse(R"({"cidr":"10.65.1.0/26","hostAffinity":"old"})")).value.node, "old");
    const auto balancer = decode_block(json::parse(
        R"({"cidr":"10.65.1.0/30","affinity":"virtual:load-balancer","allocations":[0],"attributes":[{"secondary":{"node":"a"}}]})"));
    ASSERT_TRUE(balancer.ok());
    EXPECT_TRUE(balancer.value.node.empty());
    EXPECT_TRUE(balancer.value.borrowed.empty());
    const auto cooling = decode_block(json::parse(
        R"({"cidr":"10.65.1.0/30","affinity":"host:b","allocations":[0],
            "attributes":[{"secondary":{"node":"a"},"releasedAt":"2026-01-01T00:00:00Z"}]})"));
    EXPECT_TRUE(cooling.value.borrowed.empty());
    EXPECT_TRUE(decode_block(json::parse(R"({"cidr":"10.65.1.0/30","deleted":"true"})")).value.deleted);
}

TEST(Blocks, that_are_damaged_are_reported) {
    const std::vector<std::pair<const char*, const char*>> cases{
        {R"(7)", "expected an object"},
        {R"({})", "is no block"},
        {R"({"cidr":"10.65.1.1/26"})", "is no block"},
        {R"({"cidr":"10.0.0.0/8"})", "at most 4096"},
        {R"({"cidr":"fd00::/64"})", "at most 4096"},
        {R"({"cidr":"10.65.1.0/26","affinity":"b"})", "neither host:NAME nor virtual:NAME"},
        {R"({"cidr":"10.65.1.0/26","affinity":"host:a b"})", "is no node name"},
        {R"({"cidr":"10.65.1.0/26","affinity":7})", "expected a string"},
        {R"({"cidr":"10.65.1.0/30","allocations":[0]})", "allocations[0]: 0 is no index into the 0 attributes"},
        {R"({"cidr":"10.65.1.0/30","allocations":[-1],"attributes":[{}]})", "is no index"},
        {R"({"cidr":"10.65.1.0/30","allocations":["0"],"attributes":[{}]})", "is no index"},
        {R"({"cidr":"10.65.1.0/30","allocations":[0,0,0,0,0],"attributes":[{}]})", "a /30 has 4 addresses"},
        {R"({"cidr":"10.65.1.0/30","allocations":{"0":0}})", "expected a list"},
    };
    for (const auto& [text, message] : cases) {
        const auto decoded = decode_block(json::parse(text));
        EXPECT_FALSE(decoded.ok()) << text;
        EXPECT_THAT(texts(decoded), HasSubstr(message)) << text;
    }
    // Attributes are free text: what is strange there names no node.
    for (const char* attributes : {"[7]", "[{\"secondary\":[]}]", "[{\"secondary\":{\"node\":{}}}]",
                                   "[{\"secondary\":{\"node\":\"x y\"}}]", "[null]"}) {
        const auto decoded = decode_block(
            json::parse(fmt::format(R"({{"cidr":"10.65.1.0/30","allocations":[0],"attributes":{}}})", attributes)));
        EXPECT_TRUE(decoded.ok()) << texts(decoded);
        EXPECT_TRUE(decoded.value.borrowed.empty());
    }
}

TEST(Affinities, are_read_from_etcd_and_from_crds) {
    const Prefix cidr = *parse_prefix("10.65.1.0/26");
    EXPECT_EQ(decode_affinity("b", cidr, nullptr).value.state, BlockAffinity::State::confirmed);
    EXPECT_EQ(decode_affinity("b", cidr, json::parse("{}")).value.state, BlockAffinity::State::confirmed);
    EXPECT_EQ(decode_affinity("b", cidr, json::parse(R"({"state":"pending","deleted":false})")).value.state,
              BlockAffinity::State::pending);
    EXPECT_EQ(decode_affinity("b", cidr, json::parse(R"({"state":"pendingDeletion"})")).value.state,
              BlockAffinity::State::pending_deletion);
    EXPECT_FALSE(decode_affinity("b", cidr, json::parse(R"({"state":"perhaps"})")).ok());
    const auto crd = decode_block_affinity(json::parse(
        R"({"apiVersion":"crd.projectcalico.org/v1","kind":"BlockAffinity","metadata":{"name":"b-10-65-1-0-26"},
            "spec":{"cidr":"10.65.1.0/26","deleted":"false","node":"b","state":"confirmed","type":"host"}})"));
    ASSERT_TRUE(crd.ok()) << texts(crd);
    EXPECT_EQ(crd.value, (BlockAffinity{.cidr = cidr, .node = "b"}));
    EXPECT_FALSE(decode_block_affinity(json::parse(R"({"spec":{"cidr":"10.65.1.0/26"}})")).ok());
}

TEST(BgpPeers, are_read_with_addresses_of_all_forms) {
    const auto peer = [](const std::string& spec) { return decode_bgp_peer(json{{"spec", json::parse(spec)}}); };
    const auto plain = peer(R"({"peerIP":"192.0.2.1","asNumber":65000,"node":"a","nextHopMode":"Self"})");
    ASSERT_TRUE(plain.ok()) << texts(plain);
    EXPECT_EQ(to_string(*plain.value.peer), "192.0.2.1");
    EXPECT_EQ(plain.value.as, 65000U);
    EXPECT_EQ(plain.value.node, "a");
    EXPECT_TRUE(plain.value.next_hop_self);
    EXPECT_EQ(peer(R"({"peerIP":"192.0.2.1:1179"})").value.port, 1179);
    EXPECT_EQ(peer(R"({"peerIP":"[2001:db8::1]:1179"})").value.port, 1179);
    EXPECT_EQ(to_string(*peer(R"({"peerIP":"2001:db8::1"})").value.peer), "2001:db8::1");
    EXPECT_TRUE(
        peer(R"j({"nodeSelector":"all()","peerSelector":"has(rr)"})j").value.peers->matches(Labels{{"rr", ""}}));
}

TEST(BgpPeers, that_are_wrong_or_need_what_weft_lacks_are_reported) {
    const std::vector<std::pair<const char*, const char*>> cases{
        {R"({})", "either peerIP or peerSelector"},
        {R"({"peerIP":"192.0.2.1:0"})", "is no address"},
        {R"({"peerIP":"[2001:db8::1"})", "is no address"},
        {R"({"peerIP":"router"})", "is no address"},
        {R"({"peerIP":"224.0.0.1"})", "no address that other nodes"},
        {R"j({"peerIP":"192.0.2.1","peerSelector":"has(a)"})j", "must be empty when PeerSelector is specified"},
        {R"j({"node":"a","nodeSelector":"has(a)","peerIP":"192.0.2.1"})j", "must be empty when NodeSelector"},
        {R"j({"asNumber":1,"peerSelector":"has(a)"})j", "ASNumber field must be empty"},
        {R"({"peerSelector":"has("})", "no selector"},
        {R"({"peerIP":"192.0.2.1","filters":["f"]})", "spec.filters: not supported"},
        {R"({"peerIP":"192.0.2.1","password":{"secretKeyRef":{"name":"x","key":"y"}}})", "spec.password"},
        {R"({"peerIP":"192.0.2.1","ttlSecurity":1})", "spec.ttlSecurity"}};
    for (const auto& [spec, message] : cases) {
        const auto decoded = decode_bgp_peer(json{{"spec", json::parse(spec)}});
        EXPECT_FALSE(decoded.ok()) << spec;
        EXPECT_THAT(texts(decoded), HasSubstr(message)) << spec;
    }
    const auto slow = decode_bgp_peer(json::parse(R"({"spec":{"peerIP":"192.0.2.1","keepaliveTime":"30s"}})"));
    EXPECT_TRUE(slow.ok());
    ASSERT_EQ(slow.unsupported.size(), 1U);
    EXPECT_EQ(slow.unsupported[0].field, "spec.keepaliveTime");
}

TEST(Configurations, are_read_for_what_concerns_the_overlay) {
    const auto felix = decode_felix_configuration(json::parse(
        R"({"spec":{"vxlanVNI":4097,"vxlanPort":4790,"vxlanMTU":1400,"vxlanMTUV6":0,"ipipMTU":1440,"vxlanEnabled":true,
                    "bpfLogLevel":"","logSeverityScreen":"Info","floatingIPs":"Disabled"}})"));
    ASSERT_TRUE(felix.ok()) << texts(felix);
    EXPECT_EQ(felix.value, (FelixConfiguration{.vni = 4097,
                                               .vxlan_port = 4790,
                                               .vxlan_mtu = 1400,
                                               .vxlan_mtu6 = 0,
                                               .ipip_mtu = 1440,
                                               .vxlan_enabled = true,
                                               .ipip_enabled = {}}));
    EXPECT_FALSE(decode_felix_configuration(json::parse(R"({"spec":{"vxlanVNI":16777216}})")).ok());
    EXPECT_FALSE(decode_felix_configuration(json::parse(R"({"spec":{"vxlanMTU":10}})")).ok());
    EXPECT_FALSE(decode_felix_configuration(json::parse(R"({"spec":{"vxlanPort":"4789"}})")).ok());

    const auto bgp = decode_bgp_configuration(
        "default", json::parse(R"({"spec":{"asNumber":64513,"nodeToNodeMeshEnabled":true,"listenPort":1179,
            "nodeMeshMaxRestartTime":"2m0s","serviceClusterIPs":[{"cidr":"10.96.0.0/12"}],"communities":[]}})"));
    ASSERT_TRUE(bgp.ok()) << texts(bgp);
    EXPECT_EQ(bgp.value, (BgpConfiguration{.as = 64513, .mesh = true, .port = 1179, .graceful_restart_seconds = 120}));
    ASSERT_EQ(bgp.unsupported.size(), 1U);
    EXPECT_EQ(bgp.unsupported[0].field, "spec.serviceClusterIPs");
    EXPECT_FALSE(decode_bgp_configuration("default", json::parse(R"({"spec":{"nodeToNodeMeshEnabled":false,
        "nodeMeshPassword":{"secretKeyRef":{"name":"x","key":"y"}}}})"))
                     .ok());

    EXPECT_TRUE(decode_cluster_information(json::parse(R"({"spec":{}})")).value.datastore_ready);
    EXPECT_FALSE(decode_cluster_information(json::parse(R"({"spec":{"datastoreReady":false}})")).value.datastore_ready);
}

TEST(Installations, bring_pools_and_the_mode) {
    const auto decoded = decode_installation(json::parse(R"j({"spec":{"variant":"Calico","calicoNetwork":{
        "bgp":"Disabled","mtu":1400,"ipPools":[
          {"name":"v4","cidr":"10.65.0.0/16","encapsulation":"VXLANCrossSubnet","natOutgoing":"Enabled",
           "nodeSelector":"all()"},
          {"cidr":"10.66.0.0/16","encapsulation":"None","natOutgoing":"Disabled","blockSize":28}]}}})j"));
    ASSERT_TRUE(decoded.ok()) << texts(decoded);
    EXPECT_EQ(decoded.value.backend, Backend::vxlan);
    EXPECT_EQ(decoded.value.mtu, 1400U);
    ASSERT_EQ(decoded.value.pools.size(), 2U);
    EXPECT_EQ(decoded.value.pools[0].pool.vxlan, Encapsulate::cross_subnet);
    EXPECT_TRUE(decoded.value.pools[0].pool.nat_outgoing);
    EXPECT_EQ(decoded.value.pools[1].pool.vxlan, Encapsulate::never);
    EXPECT_EQ(decoded.value.pools[1].pool.block_size, 28);
    const auto default_encapsulation =
        decode_installation(json::parse(R"({"spec":{"calicoNetwork":{"ipPools":[{"cidr":"10.65.0.0/16"}]}}})"));
    EXPECT_EQ(default_encapsulation.value.pools.at(0).pool.ipip, Encapsulate::always);
    const auto wrong = decode_installation(
        json::parse(R"({"spec":{"calicoNetwork":{"ipPools":[{"cidr":"10.65.0.0/16","encapsulation":"GRE"}]}}})"));
    ASSERT_EQ(wrong.errors.size(), 1U);
    EXPECT_EQ(wrong.errors[0].field, "spec.calicoNetwork.ipPools[0].encapsulation");
    EXPECT_TRUE(decode_installation(json::parse(R"({"spec":null})")).ok());
}

TEST(CalicoConfig, says_the_mode_and_takes_a_misspelt_one_for_bird) {
    EXPECT_EQ(decode_calico_config(json::parse(R"({"data":{"calico_backend":"vxlan"}})")).value, Backend::vxlan);
    EXPECT_EQ(decode_calico_config(json::parse(R"({"data":{"veth_mtu":"0"}})")).value, std::nullopt);
    const auto misspelt = decode_calico_config(json::parse(R"({"data":{"calico_backend":"vxlna"}})"));
    EXPECT_EQ(misspelt.value, Backend::bird);
    EXPECT_EQ(misspelt.unsupported.size(), 1U);
}

TEST(Json, is_refused_with_a_reason_when_it_is_none) {
    for (const std::string& text : std::vector<std::string>{
             "", "{", R"({"a":)", R"({"a":1}x)", "nul", "\xff\xfe{}", "{\"a\":\"\xc3\x28\"}", R"({"a":1e999})",
             "{'a':1}", std::string(100, '['), std::string(1 << 20, '['), std::string("{\"a\":\0}", 7)}) {
        const auto parsed = parse_json(text);
        ASSERT_FALSE(parsed) << text.substr(0, 20);
        EXPECT_LT(parsed.error().message.size(), 120U);
    }
    EXPECT_TRUE(parse_json(R"({"deep":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})"));
    EXPECT_EQ((*parse_json(R"({"a":1,"a":2})"))["a"], 2);
}

TEST(GoDurations, are_read_as_seconds) {
    EXPECT_EQ(parse_go_seconds("2m30s"), 150U);
    EXPECT_EQ(parse_go_seconds("1h0m0s"), 3600U);
    EXPECT_EQ(parse_go_seconds("1500ms"), 2U);
    for (const char* text : {"30", "s", "-1s", "1x", "99999999999s", "99999999h"}) EXPECT_FALSE(parse_go_seconds(text));
}

}  // namespace
}  // namespace weft
