// weftd --doctor: what is wrong, or may go wrong, with this host.
//
//   /proc, /sys, configuration files --gather--> HostFacts --examine (pure)--> findings --> text
//
// The rules are the troubles that overlay networks meet most often on nodes: another program on the VXLAN port, a
// network manager that removes foreign routes, strict reverse path filters, checksum offload, MTUs. A finding names the
// object and says what to do. Nothing on the host is changed, and what cannot be found out is no finding.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "tunnel/host.hpp"

namespace weft {

enum class Presence : std::uint8_t { yes, no, unknown };

/// A network interface, as /sys/class/net tells it.
struct Nic {
    std::string name;
    std::string driver;  ///< "vmxnet3"; empty: a virtual device
    std::uint32_t mtu = 0;
    bool vxlan = false;  ///< DEVTYPE=vxlan
    std::vector<Address> addresses;
    std::optional<int> rp_filter;  ///< net.ipv4.conf.NAME.rp_filter
    std::optional<int> accept_ra;  ///< net.ipv6.conf.NAME.accept_ra
};

/// Somebody who has a port.
struct Listener {
    std::uint16_t port = 0;
    std::string program;  ///< "bird (pid 612)"; empty: not to be seen (the kernel's own, or another user's)
    bool operator==(const Listener&) const = default;
};

struct HostFacts {
    std::string config_file;
    std::vector<Diagnostic> diagnostics;  ///< of the configuration
    Config config;
    Cluster cluster;

    KernelVersion kernel;
    Presence vxlan_module = Presence::unknown;
    Presence ipip_module = Presence::unknown;
    bool net_admin = false;                   ///< this process has CAP_NET_ADMIN
    std::optional<std::string> bird_version;  ///< "2.0.12"; unset: the program is not there or does not say
    std::vector<Nic> nics;
    std::vector<Listener> udp;
    std::vector<Listener> tcp;
    std::set<std::string> programs;               ///< names of the running processes (at most 15 characters each)
    std::vector<std::string> networkd_unmanaged;  ///< name patterns of .network files with Unmanaged=yes
    bool networkd_keeps_foreign_routes = false;   ///< ManageForeignRoutes=no
    std::vector<std::string> network_manager_unmanaged;  ///< name patterns of unmanaged-devices
    bool firewalld_knows_weft = false;                   ///< a zone has the service weft
    std::optional<int> rp_filter_all;                    ///< net.ipv4.conf.all.rp_filter
    std::map<Family, std::uint32_t> gc_thresh3;          ///< net.ipvX.neigh.default.gc_thresh3, where visible
    std::optional<bool> clock_synchronised;
};

/// Of a finding: it will not work, it may hurt, good to know.
enum class Concern : std::uint8_t { error, warning, note };

struct Finding {
    Concern concern = Concern::note;
    std::string what;   ///< the object and what is wrong with it
    std::string to_do;  ///< a sentence, a command or a setting in it
    bool operator==(const Finding&) const = default;
};

/// Worst first.
std::vector<Finding> examine(const HostFacts& facts);
/// "error: what\n    to do\n" for each, and a last line that sums up.
std::string to_string(const std::vector<Finding>& findings);

/// Reads this host. `root` is prepended to every path ("" in earnest).
HostFacts gather_facts(const std::string& config_file, const std::string& root);

/// Examines this host and prints the findings. The exit status: 0 without errors, else 1.
int doctor(const std::string& config_file, std::FILE* out);

}  // namespace weft
