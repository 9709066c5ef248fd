#include "daemon/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

namespace weft {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Address address(const char* text) {
    return parse_address(text).value();
}

Pool pool(const char* cidr, Encapsulate ipip, Encapsulate vxlan) {
    Pool made;
    made.cidr = parse_prefix(cidr).value();
    made.ipip = ipip;
    made.vxlan = vxlan;
    return made;
}

Node node(const char* name, const char* v4, const char* v6 = nullptr) {
    Node made;
    made.name = name;
    made.address4 = parse_interface_address(v4);
    if (v6 != nullptr) made.address6 = parse_interface_address(v6);
    return made;
}

/// A host in perfect health: node a of three, every kind of pool, everything in place.
HostFacts healthy() {
    HostFacts facts;
    facts.config_file = "/etc/weft/weft.conf";
    facts.config.hostname.value = "a";
    facts.config.backend.value = Backend::bird;
    facts.config.bird_program.value = "/usr/sbin/bird";
    facts.cluster.pools = {pool("10.64.0.0/16", Encapsulate::always, Encapsulate::never),
                           pool("10.65.0.0/16", Encapsulate::never, Encapsulate::cross_subnet),
                           pool("2001:db8:65::/48", Encapsulate::never, Encapsulate::always)};
    facts.cluster.nodes = {node("a", "192.0.2.11/24", "2001:db8::11/64"), node("b", "192.0.2.12/24"),
                           node("c", "198.51.100.13/24")};
    facts.kernel = {.major = 6, .minor = 1, .patch = 0};
    facts.vxlan_module = Presence::yes;
    facts.ipip_module = Presence::yes;
    facts.net_admin = true;
    facts.bird_version = "2.0.12";
    facts.nics = {Nic{.name = "eth0",
                      .driver = "virtio_net",
                      .mtu = 1500,
                      .vxlan = false,
                      .addresses = {address("192.0.2.11"), address("2001:db8::11")},
                      .rp_filter = 2,
                      .accept_ra = 0}};
    facts.rp_filter_all = 0;
    facts.gc_thresh3 = {{Family::v4, 1024}, {Family::v6, 1024}};
    facts.clock_synchronised = true;
    return facts;
}

TEST(Doctor, FindsNothingOnAHealthyHost) {
    EXPECT_THAT(examine(healthy()), IsEmpty());
    EXPECT_EQ(to_string(std::vector<Finding>{}), "nothing found that stands in weft's way\n");
}

struct Trouble {
    const char* name;
    std::function<void(HostFacts&)> make;
    Concern concern;
    const char* what;
    const char* to_do;
};

void PrintTo(const Trouble& trouble, std::ostream* out) {
    *out << trouble.name;
}

class DoctorFinds : public ::testing::TestWithParam<Trouble> {};

TEST_P(DoctorFinds, ExactlyThatAndSaysWhatToDo) {
    HostFacts facts = healthy();
    GetParam().make(facts);
    EXPECT_THAT(examine(facts), ElementsAre(AllOf(Field(&Finding::concern, GetParam().concern),
                                                  Field(&Finding::what, HasSubstr(GetParam().what)),
                                                  Field(&Finding::to_do, HasSubstr(GetParam().to_do)))));
}

const std::vector<Trouble> kTroubles{
    {"a_kernel_without_vxlan", [](HostFacts& f) { f.vxlan_module = Presence::no; }, Concern::error, "no vxlan module",
     "modules-extra"},
    {"a_kernel_without_ipip", [](HostFacts& f) { f.ipip_module = Presence::no; }, Concern::error, "no ipip module",
     "VXLAN needs none"},
    {"a_kernel_with_wrong_checksums", [](HostFacts& f) { f.kernel = {.major = 5, .minor = 7, .patch = 19}; },
     Concern::warning, "kernel 5.7.19 may compute wrong checksums",
     "ethtool -K vxlan.calico tx-checksum-ip-generic off"},
    {"vmxnet3_under_vxlan", [](HostFacts& f) { f.nics[0].driver = "vmxnet3"; }, Concern::warning,
     "eth0 is a vmxnet3 interface", "tx-checksum-ip-generic off"},
    {"no_bird", [](HostFacts& f) { f.bird_version.reset(); }, Concern::error, "/usr/sbin/bird is missing",
     "calico_backend vxlan"},
    {"a_bird_too_old", [](HostFacts& f) { f.bird_version = "1.6.8"; }, Concern::error, "version 1.6.8",
     "2.0.12 or later"},
    {"an_unprivileged_doctor", [](HostFacts& f) { f.net_admin = false; }, Concern::note, "without CAP_NET_ADMIN",
     "as root"},
    {"a_program_on_the_vxlan_port", [](HostFacts& f) { f.udp = {{.port = 4789, .program = "ovs-vswitchd (pid 99)"}}; },
     Concern::error, "ovs-vswitchd (pid 99) has UDP port 4789", "protocol vxlan { port N; }"},
    {"a_foreign_vxlan_device",
     [](HostFacts& f) {
         f.udp = {{.port = 4789, .program = ""}};
         f.nics.push_back({.name = "flannel.1",
                           .driver = {},
                           .mtu = 1450,
                           .vxlan = true,
                           .addresses = {},
                           .rp_filter = {},
                           .accept_ra = {}});
     },
     Concern::warning, "out of flannel.1", "one with id 4096 has to go"},
    {"a_foreign_bgp_speaker", [](HostFacts& f) { f.tcp = {{.port = 179, .program = "bgpd (pid 7)"}}; }, Concern::error,
     "bgpd (pid 7) has TCP port 179", "listen port N"},
    {"strict_reverse_path_filters", [](HostFacts& f) { f.rp_filter_all = 1; }, Concern::warning,
     "net.ipv4.conf.all.rp_filter is 1", "/etc/sysctl.d"},
    {"a_host_that_is_no_node", [](HostFacts& f) { f.config.hostname.value = "x"; }, Concern::error,
     "this host, 'x', is not among the 3 nodes", "hostname"},
    {"an_address_no_interface_has", [](HostFacts& f) { f.nics[0].addresses = {address("2001:db8::11")}; },
     Concern::error, "no interface has 192.0.2.11", "correct the node's address"},
    {"a_tunnel_mtu_that_does_not_fit", [](HostFacts& f) { f.cluster.ipip.mtu = 1500; }, Concern::warning,
     "'mtu 1500' of ipip does not fit into eth0", "at most 1480"},
    {"an_underlay_too_small_for_ipv6", [](HostFacts& f) { f.nics[0].mtu = 1300; }, Concern::error,
     "eth0 has an MTU of 1300: IPv6 in VXLAN needs 1350", "raise"},
    {"a_small_neighbour_table", [](HostFacts& f) { f.gc_thresh3[Family::v4] = 3; }, Concern::warning,
     "net.ipv4.neigh.default.gc_thresh3 is 3, and 2 nodes", "gc_thresh3 to 8"},
    {"a_neighbour_table_that_overflows", [](HostFacts& f) { f.gc_thresh3[Family::v4] = 2; }, Concern::error,
     "gc_thresh3 is 2", "gc_thresh3 to 8"},
    {"router_advertisements_that_forwarding_ends", [](HostFacts& f) { f.nics[0].accept_ra = 1; }, Concern::warning,
     "eth0 takes its IPv6 default route", "accept_ra to 2"},
    {"a_clock_that_runs_free", [](HostFacts& f) { f.clock_synchronised = false; }, Concern::note,
     "clock is not synchronised", "chrony"},
    {"a_configuration_with_errors",
     [](HostFacts& f) {
         f.diagnostics = {
             {.severity = Severity::error, .place = {"weft.conf", 3, 7}, .message = "bad", .line_text = "x"}};
     },
     Concern::error, "weft.conf:3:7", "weftd -p -c /etc/weft/weft.conf"},
    {"firewalld_without_the_service", [](HostFacts& f) { f.programs = {"firewalld"}; }, Concern::warning,
     "UDP port 4789, IP protocol 4, TCP port 179", "--add-service=weft"},
    {"networkmanager_on_our_devices",
     [](HostFacts& f) {
         f.programs = {"NetworkManager"};
         f.network_manager_unmanaged = {"cali*", "vxlan*"};
     },
     Concern::warning, "NetworkManager runs and manages tunl0", "interface-name:tunl0"},
    {"networkd_on_our_devices",
     [](HostFacts& f) {
         f.programs = {"systemd-network"};
         f.networkd_keeps_foreign_routes = true;
         f.networkd_unmanaged = {"tunl0"};
     },
     Concern::warning, "keeps it off vxlan.calico, vxlan-v6.calico", "Unmanaged=yes"},
    {"networkd_removing_foreign_routes",
     [](HostFacts& f) {
         f.programs = {"systemd-network"};
         f.networkd_unmanaged = {"tunl0", "vxlan*"};
     },
     Concern::warning, "removes routes it did not set", "ManageForeignRoutes=no"},
};

INSTANTIATE_TEST_SUITE_P(Each, DoctorFinds, ::testing::ValuesIn(kTroubles),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Doctor, AsksForNothingThatTheModeDoesNotNeed) {
    HostFacts facts = healthy();
    facts.config.backend.value = Backend::vxlan;
    facts.bird_version.reset();
    facts.ipip_module = Presence::no;
    facts.tcp = {{.port = 179, .program = "bgpd (pid 7)"}};
    EXPECT_THAT(examine(facts), IsEmpty());
    facts.config.backend.value = Backend::none;
    facts.vxlan_module = Presence::no;
    facts.rp_filter_all = 1;
    EXPECT_THAT(examine(facts), IsEmpty());
}

TEST(Doctor, LeavesWeftsOwnDevicesAndBirdInPeace) {
    HostFacts facts = healthy();
    facts.udp = {{.port = 4789, .program = ""}};
    facts.tcp = {{.port = 179, .program = "bird (pid 612)"}};
    facts.nics.push_back({.name = "vxlan.calico",
                          .driver = {},
                          .mtu = 1450,
                          .vxlan = true,
                          .addresses = {},
                          .rp_filter = {},
                          .accept_ra = {}});
    EXPECT_THAT(examine(facts), IsEmpty());
}

TEST(Doctor, TellsTheWorstFirstAndSumsUp) {
    HostFacts facts = healthy();
    facts.clock_synchronised = false;
    facts.rp_filter_all = 1;
    facts.vxlan_module = Presence::no;
    const std::vector<Finding> findings = examine(facts);
    EXPECT_TRUE(std::is_sorted(findings.begin(), findings.end(),
                               [](const Finding& a, const Finding& b) { return a.concern < b.concern; }));
    EXPECT_THAT(to_string(findings), HasSubstr("1 errors, 1 warnings, 1 notes\n"));
}

/// A file tree that stands for a host.
class FakeHost : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "weft-doctor.XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        root_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(root_); }
    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root_ + path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    HostFacts facts() const { return gather_facts(root_ + "/weft.conf", root_); }
    std::string root_;
};

TEST_F(FakeHost, SaysWhatItsNetworkManagersLeaveAlone) {
    write("/weft.conf", "calico_backend vxlan;\n");
    write("/usr/lib/systemd/network/10-weft-vxlan.network",
          "# ours\n[Match]\nName=vxlan.calico vxlan-v6.calico\n\n[Link]\nUnmanaged=yes\n");
    write("/usr/lib/systemd/network/20-wired.network", "[Match]\nName=eth*\n[Network]\nDHCP=yes\n");
    write("/etc/systemd/networkd.conf", "[Network]\nManageForeignRoutes=yes\n");
    write("/etc/systemd/networkd.conf.d/weft.conf", "[Network]\nManageForeignRoutes = no\n");
    write("/etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices=mac:00:11:22:33:44:55\n");
    write("/usr/lib/NetworkManager/conf.d/10-weft.conf",
          "[keyfile]\nunmanaged-devices+=interface-name:tunl0;interface-name:=cali*\n");
    write("/etc/firewalld/zones/public.xml", "<zone><service name=\"weft\"/></zone>\n");
    const HostFacts found = facts();
    EXPECT_THAT(found.networkd_unmanaged, ElementsAre("vxlan.calico", "vxlan-v6.calico"));
    EXPECT_TRUE(found.networkd_keeps_foreign_routes);
    EXPECT_THAT(found.network_manager_unmanaged, ElementsAre("tunl0", "cali*"));
    EXPECT_TRUE(found.firewalld_knows_weft);
}

TEST_F(FakeHost, TellsWhoHasAPort) {
    write("/weft.conf", "calico_backend vxlan;\n");
    write("/proc/net/udp",
          "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
          "  10: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n"
          "  11: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0\n");
    write("/proc/net/tcp",
          "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
          "   0: 00000000:00B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 1\n"
          "   1: 0100007F:00B3 0100007F:1000 01 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 1\n"
          "truncated 00\n");
    write("/proc/99/comm", "ovs-vswitchd\n");
    std::filesystem::create_directories(root_ + "/proc/99/fd");
    std::filesystem::create_symlink("socket:[4711]", root_ + "/proc/99/fd/5");
    const HostFacts found = facts();
    EXPECT_THAT(found.udp, ElementsAre(Listener{.port = 4789, .program = "ovs-vswitchd (pid 99)"}));
    EXPECT_THAT(found.tcp, ElementsAre(Listener{.port = 179, .program = ""}));
    EXPECT_THAT(found.programs, ElementsAre("ovs-vswitchd"));
}

TEST_F(FakeHost, WithNothingToReadIsExaminedAllTheSame) {
    const HostFacts found = facts();
    EXPECT_FALSE(found.diagnostics.empty()) << "the configuration is missing";
    EXPECT_EQ(found.vxlan_module, Presence::unknown);
    EXPECT_FALSE(found.rp_filter_all.has_value());
    EXPECT_THAT(examine(found), Not(IsEmpty()));
}

TEST_F(FakeHost, SurvivesGarbage) {
    write("/weft.conf", "calico_backend vxlan;\n");
    for (const char* const path :
         {"/proc/net/udp", "/proc/net/tcp6", "/proc/self/status", "/proc/sys/net/ipv4/conf/all/rp_filter",
          "/etc/systemd/network/a.network", "/etc/NetworkManager/NetworkManager.conf", "/proc/1/comm"}) {
        std::string garbage = "\n=\n[\n]=[\nCapEff:\n";
        for (int i = 0; i < 4096; ++i) garbage += static_cast<char>(i * 7);
        write(path, garbage);
    }
    EXPECT_FALSE(to_string(examine(facts())).empty());
}

}  // namespace
}  // namespace weft
