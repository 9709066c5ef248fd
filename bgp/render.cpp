#include "bgp/render.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bgp/words.hpp"

namespace weft {
namespace {

int number_of(Family family) {
    return family == Family::v4 ? 4 : 6;
}
const char* channel(Family family) {
    return family == Family::v4 ? "ipv4" : "ipv6";
}

/// The kernel's metric of BIRD's routes: worse than weftd's own of the same family.
int metric(Family family) {
    return family == Family::v4 ? 1024 : 2048;
}

std::string hash_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned length = 0;
    if (EVP_Digest(text.data(), text.size(), bytes.data(), &length, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("OpenSSL cannot compute a digest");
    }
    std::string hex;
    for (std::size_t i = 0; i < 8; ++i) hex += fmt::format("{:02x}", bytes.at(i));
    return hex;
}

Node only_named(std::string_view name) {
    Node node;
    node.name = name;
    return node;
}

class Renderer {
  public:
    explicit Renderer(const RenderInput& input)
        : input_(input),
          cluster_(input.cluster),
          stranger_(only_named(input.node)),
          self_(input.cluster.find_node(input.node) ? *input.cluster.find_node(input.node) : stranger_),
          peers_(peers_of(input.cluster, self_)) {}

    BirdConfig run() {
        global();
        for (const Family family : kFamilies) {
            if (!self_.address(family)) continue;
            pools(family);
            own_blocks(family);
            leaves(family);
            kernel_filter(family);
            kernel(family);
        }
        if (std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.bfd; })) {
            line("# BFD, for the neighbours that ask for it.\nprotocol bfd weft_bfd {{ }}\n");
        }
        BirdConfig config;
        for (const Peer& peer : peers_) {
            session(peer);
        }
        for (const Node& node : cluster_.nodes) {
            for (const Family family : kFamilies) {
                const auto& address = node.address(family);
                if (address && &node != &self_) config.node_of_peer.emplace(to_string(address->address), node.name);
            }
        }
        config.generation = hash_of(text_);
        config.text = fmt::format(
            "# BIRD's configuration for node {}, written by weftd; what is changed here is lost.\n\n"
            "# Which configuration this is: `birdc eval WEFT_GEN` tells which one is live.\n"
            "define WEFT_GEN = \"{}\";\n\n{}",
            plain(self_.name, kLongestName), config.generation, text_);
        return config;
    }

  private:
    template <class... Arguments>
    void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
        text_ += '\n';
    }

    std::uint32_t own_as() const { return self_.as.value_or(cluster_.bgp.local_as); }

    void global() {
        Address id = hashed_router_id(self_.name);
        const char* origin = "from this node's name";
        if (const auto* stated = std::get_if<Address>(&input_.router_id)) {
            id = *stated;
            origin = "as stated";
        } else if (std::holds_alternative<RouterIdFromAddress>(input_.router_id) && self_.address4) {
            id = self_.address4->address;
            origin = "this node's IPv4 address";
        }
        line("log stderr {{ warning, error, fatal, bug, auth }};\n");
        line("# Router id: {}.\nrouter id {};\n", origin, to_string(id));
        line("# One dead peer must not hold back the kernel's routes for long after a restart (BIRD's own: 240 s).");
        line("graceful restart wait 20;\n");
        line("# Times that a program can read.");
        line("timeformat base \"%s\";\ntimeformat protocol \"%s\";\ntimeformat route \"%s\";\n");
        line("protocol device weft_device {{ scan time 10; }}");
        line("protocol direct weft_direct {{ ipv4; ipv6; interface \"*\"; }}\n");
    }

    /// Prefix sets of one family's pools; BIRD has no empty sets, so an empty one is no `define`.
    void pools(Family family) {
        std::string all;
        std::string exported;
        for (const Pool& pool : cluster_.pools) {
            if (pool.cidr.family() != family) continue;
            const auto append = [&](std::string& set) {
                set += fmt::format("{}\n    {}+", set.empty() ? "" : ",", to_string(pool.cidr));
            };
            append(all);
            if (pool.exported) append(exported);
        }
        has_pools_ = !all.empty();
        has_exported_ = !exported.empty();
        if (has_pools_)
            line("# The pools: all that is taken from other nodes.\ndefine POOLS{} = [{} ];\n", number_of(family), all);
        if (has_exported_) {
            line("# The pools that do not say `export no`: all that may leave this node.");
            line("define EXPORTED{} = [{} ];\n", number_of(family), exported);
        }
    }

    void own_blocks(Family family) {
        std::string routes;
        std::string within;
        std::string whole;
        for (const Block& block : cluster_.blocks) {
            if (block.cidr.family() != family || &cluster_.nodes[block.node] != &self_) continue;
            routes += fmt::format("    route {} blackhole;\n", to_string(block.cidr));
            within += fmt::format("{} {}+", within.empty() ? "" : ",", to_string(block.cidr));
            whole += fmt::format("{} {}", whole.empty() ? "" : ",", to_string(block.cidr));
        }
        has_blocks_ = !routes.empty();
        if (!has_blocks_) return;
        line("# This node's blocks, announced whole. The kernel has weftd's own blackholes for them.");
        line("define OWN{} = [{} ];", number_of(family), whole);
        line("define WITHIN{} = [{} ];", number_of(family), within);
        line("protocol static weft_blocks{} {{\n    {};\n{}}}\n", number_of(family), channel(family), routes);
    }

    /// What may leave this node, and what is taken from another.
    void leaves(Family family) {
        const int n = number_of(family);
        line(
            "# What leaves this node: routes inside exported pools, and of them this node's blocks, its workloads' "
            "routes\n"
            "# outside those blocks (inside, the block says it all), and what BGP itself may pass on.");
        line("filter weft_export{} {{", n);
        if (has_exported_) {
            line("    if ! (net ~ EXPORTED{}) then reject;", n);
            line("    if source = RTS_BGP then accept;");
            if (has_blocks_) {
                line("    if net ~ OWN{} then accept;   # whoever knows it best: a bridge may hold the whole block", n);
                line("    if net ~ WITHIN{} then reject;", n);
            }
            for (const std::string& pattern : input_.workload_interfaces) {
                if (!is_plain(pattern, kLongestName)) continue;
                line("    if ifname ~ \"{}\" then {{   # workload interface", pattern);
                line("        bgp_next_hop = {};", to_string(self_.address(family)->address));
                line("        accept;\n    }}");
            }
        }
        line("    reject;\n}}\n");
        line("# What is taken from another node.\nfilter weft_import{} {{", n);
        if (has_pools_) line("    if net ~ POOLS{} then accept;", n);
        line("    reject;\n}}\n");
    }

    void kernel_filter(Family family) {
        const int n = number_of(family);
        line("# What BIRD programs, pool by pool.\nfilter weft_kernel{} {{", n);
        line("    if source != RTS_BGP then reject;   # the rest is in the kernel already, or weftd's");
        line("    if ! defined(bgp_next_hop) then reject;");
        if (has_blocks_) line("    if net ~ OWN{} then reject;", n);
        line("    krt_metric = {};   # weftd's own routes win", metric(family));
        for (const Pool& pool : cluster_.pools) {
            if (pool.cidr.family() == family) kernel_pool(pool);
        }
        line("    # outside the pools: what neighbours announce");
        line("    if dest = RTD_UNREACHABLE then reject;\n    accept;\n}}\n");
    }

    void kernel_pool(const Pool& pool) {
        const std::string tunnel =
            fmt::format("ifname = \"{}\"; onlink = true; gw = bgp_next_hop; onlink = true; accept;",
                        plain(cluster_.ipip.device, kLongestName));
        const char* const plain = "if dest = RTD_UNREACHABLE then reject; accept;";
        line("    if net ~ [ {}+ ] then {{", to_string(pool.cidr));
        if (pool.vxlan != Encapsulate::never) {
            line("        reject;   # vxlan {}: weftd programs it", to_string(pool.vxlan));
        } else if (pool.ipip == Encapsulate::always) {
            line("        {}   # ipip always", tunnel);
        } else if (pool.ipip == Encapsulate::cross_subnet) {
            line("        # ipip cross subnet: straight to nodes in this node's subnet, to others through the tunnel");
            line("        if bgp_next_hop ~ {} then {{ {} }}", to_string(self_.address4->network()), plain);
            line("        {}", tunnel);
        } else {
            line("        {}   # no encapsulation", plain);
        }
        line("    }}");
    }

    void kernel(Family family) {
        const int n = number_of(family);
        line("# Learnt routes: a workload that is here is preferred to what BGP says of its address.");
        line("filter weft_learn{} {{\n    if krt_source = 80 then reject;", n);
        for (const std::string& pattern : input_.workload_interfaces) {
            if (is_plain(pattern, kLongestName)) line("    if ifname ~ \"{}\" then preference = 200;", pattern);
        }
        line("    accept;\n}}\n");
        line(
            "# `persist` and `graceful restart` keep the routes while BIRD is away. `learn` shows BIRD the underlay "
            "and the\n"
            "# workloads' routes; weftd's own (protocol {}) are none of its business.",
            80);
        line("protocol kernel weft_krt{} {{", n);
        line("    learn; persist; graceful restart on; scan time 5; metric 0; merge paths on;");
        line("    netlink rx buffer 16777216;");
        line("    {} {{ import filter weft_learn{}; export filter weft_kernel{}; }};\n}}\n", channel(family), n, n);
    }

    void session(const Peer& peer) {
        const Family family = peer.address.family;
        const int n = number_of(family);
        if (peer.node.empty()) {
            line("# a stated neighbour");
        } else {
            line("# {}: node {}", peer.reflection ? "route reflection" : "the mesh", plain(peer.node, kLongestName));
        }
        if (!is_password(peer.password)) {
            line("# {} is left out: its password must be at most {} printable characters without quotes.\n",
                 peer.protocol, kLongestPassword);
            return;
        }
        line("protocol bgp {} {{", peer.protocol);
        if (!peer.node.empty()) line("    description \"node {}\";", plain(peer.node, kLongestName));
        line("    local {} port {} as {};", to_string(self_.address(family)->address),
             self_.bgp_port.value_or(cluster_.bgp.port), own_as());
        line("    neighbor {} port {} as {};", to_string(peer.address), peer.port, peer.as);
        if (!peer.node.empty()) line("    multihop;");
        if (peer.multihop) line("    multihop {};", *peer.multihop);
        if (!peer.password.empty()) line("    password \"{}\";", peer.password);
        if (peer.passive) line("    passive on;");
        if (peer.bfd) line("    bfd on;");
        if (peer.reflect) line("    rr client;");
        if (self_.cluster_id && peer.as == own_as()) line("    rr cluster id {};", to_string(*self_.cluster_id));
        line("    connect delay time 2; connect retry time 5; error wait time 5, 30;");
        line("    graceful restart on;");
        if (const auto seconds = cluster_.bgp.graceful_restart_seconds) line("    graceful restart time {};", *seconds);
        line("    {} {{", channel(family));
        if (peer.next_hop_self) line("        next hop self;");
        if (peer.next_hop_keep) line("        next hop keep;");
        if (peer.mesh) {
            line("        import filter weft_import{};", n);
        } else {
            line("        import all;");
        }
        line("        export filter weft_export{};\n    }};\n}}\n", n);
    }

    const RenderInput& input_;
    const Cluster& cluster_;
    const Node stranger_;  ///< stands for a node that the cluster does not hold: no addresses, so no sessions
    const Node& self_;
    const std::vector<Peer> peers_;
    std::string text_;
    bool has_pools_ = false, has_exported_ = false, has_blocks_ = false;
};

}  // namespace

BirdConfig render(const RenderInput& input) {
    return Renderer(input).run();
}

}  // namespace weft
