#include "conf/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace weft {
namespace {

class Verifier {
  public:
    explicit Verifier(const Config& config) : config_(config) {}

    std::vector<Diagnostic> run() {
        sources();
        pools();
        nodes();
        blocks();
        tunnels();
        neighbors();
        modes();
        return std::move(found_);
    }

  private:
    void error(const Place& place, std::string message) {
        found_.push_back({.severity = Severity::error, .place = place, .message = std::move(message), .line_text = {}});
    }
    void warning(const Place& place, std::string message) {
        found_.push_back(
            {.severity = Severity::warning, .place = place, .message = std::move(message), .line_text = {}});
    }

    bool is_static() const { return std::holds_alternative<StaticSource>(config_.source.value); }

    void sources() {
        if (is_static()) return;
        const char* const message = "'{}' is stated here, but the source at {} brings its own: leave one of them out";
        const std::string source = to_string(config_.source.origin.place);
        for (const auto& pool : config_.pools) error(pool.place, fmt::format(fmt::runtime(message), "pool", source));
        for (const auto& node : config_.nodes) error(node.place, fmt::format(fmt::runtime(message), "node", source));
    }

    void pools() {
        for (const auto& [pool, place] : config_.pools) {
            if (pool.ipip != Encapsulate::never && pool.vxlan != Encapsulate::never) {
                error(place, "ipipMode and vxlanMode cannot both be enabled: set 'ipip' or 'vxlan' to never");
            }
            if (pool.ipip != Encapsulate::never && pool.cidr.family() == Family::v6) {
                error(place, "IPIP is not supported on IPv6 pools: use 'vxlan', or no encapsulation");
            }
            if (pool.cidr.length > pool.block_size && !pool.disabled) {
                error(place,
                      "IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the "
                      "block size.");
            }
            if (parse_prefix("169.254.0.0/16")->overlaps(pool.cidr)) {
                error(place, "IPPool CIDR overlaps with IPv4 link local range 169.254.0.0/16");
            }
            if (parse_prefix("fe80::/10")->overlaps(pool.cidr)) {
                error(place, "IPPool CIDR overlaps with IPv6 link local range fe80::/10");
            }
        }
        auto sorted = config_.pools;
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const auto& a, const auto& b) { return a.value.cidr < b.value.cidr; });
        // Sorted by address and length, a pool that overlaps any overlaps the widest that began before it.
        const Stated<Pool>* widest = nullptr;
        for (const auto& pool : sorted) {
            if (widest != nullptr && widest->value.cidr.overlaps(pool.value.cidr)) {
                error(pool.place, fmt::format("pool {} overlaps pool {} at {}", to_string(pool.value.cidr),
                                              to_string(widest->value.cidr), to_string(widest->place)));
            } else {
                widest = &pool;
            }
        }
        for (const auto& pool : sorted) pools_.push_back(pool.value);
    }

    const Pool* pool_of(const Prefix& cidr) const {
        const auto after =
            std::upper_bound(pools_.begin(), pools_.end(), cidr.address,
                             [](const Address& address, const Pool& pool) { return address < pool.cidr.address; });
        if (after == pools_.begin()) return nullptr;
        const Pool& pool = *std::prev(after);
        return pool.cidr.contains(cidr) ? &pool : nullptr;
    }

    /// Remembers who has a value; the second to claim it is an error.
    template <class Key>
    void unique(std::map<Key, std::pair<std::string, Place>>& taken, const Key& key, const std::string& owner,
                const Place& place, const std::string& what) {
        const auto [before, fresh] = taken.emplace(key, std::pair{owner, place});
        if (fresh) return;
        error(place, fmt::format("{} is already node {}'s, at {}", what, before->second.first,
                                 to_string(before->second.second)));
    }

    void nodes() {
        std::map<std::string, std::pair<std::string, Place>> names;
        std::map<Address, std::pair<std::string, Place>> addresses;
        for (const auto& [stated, place] : config_.nodes) {
            const Node& node = stated.node;
            const auto [before, fresh] = names.emplace(node.name, std::pair{node.name, place});
            if (!fresh) {
                error(place, fmt::format("a second node \"{}\"; the first is at {}", node.name,
                                         to_string(before->second.second)));
            }
            for (const Family family : kFamilies) {
                const auto& address = node.address(family);
                if (!address) continue;
                unique(addresses, address->address, node.name, place,
                       fmt::format("address {}", to_string(address->address)));
            }
        }
        if (is_static() && !config_.nodes.empty() && !names.contains(config_.hostname.value)) {
            warning(config_.hostname.origin.kind == Origin::Kind::file ? config_.hostname.origin.place
                                                                       : config_.nodes.front().place,
                    fmt::format("this host, \"{}\" ({}), is not among the nodes: add it, or set 'hostname'",
                                config_.hostname.value, to_string(config_.hostname.origin)));
        }
    }

    void blocks() {
        std::map<Prefix, std::pair<std::string, Place>> taken;
        for (const auto& [stated, place] : config_.nodes) {
            std::array<bool, 2> warned{};
            for (const auto& [cidr, at] : stated.blocks) {
                const std::string text = to_string(cidr);
                const Pool* const pool = pool_of(cidr);
                if (pool == nullptr) {
                    error(at, fmt::format("block {} lies in no pool: add a 'pool' that holds it", text));
                    continue;
                }
                if (!cidr.is_host() && cidr.length != pool->block_size) {
                    error(at, fmt::format("block {} is a /{}, but the blocks of pool {} are /{}", text, cidr.length,
                                          to_string(pool->cidr), pool->block_size));
                }
                unique(taken, cidr, stated.node.name, at, fmt::format("block {}", text));
                bool& said = warned.at(cidr.family() == Family::v4 ? 0 : 1);
                if (!stated.node.address(cidr.family()) && !said) {
                    said = true;
                    warning(at, fmt::format("node {} has no {} address, which its block {} needs: others cannot reach "
                                            "it",
                                            stated.node.name, cidr.family() == Family::v4 ? "IPv4" : "IPv6", text));
                }
            }
        }
    }

    /// Tunnel addresses and VTEP MACs, with the defaults that the cluster will have.
    void tunnels() {
        const Cluster cluster = cluster_of(config_);
        std::map<std::string, Place> places;
        for (const auto& node : config_.nodes) places.emplace(node.value.node.name, node.place);
        std::map<Address, std::pair<std::string, Place>> vxlan;
        std::map<Address, std::pair<std::string, Place>> ipip;
        std::map<std::pair<Family, Mac>, std::pair<std::string, Place>> macs;
        for (const Node& node : cluster.nodes) {
            const Place& place = places.at(node.name);
            for (const Family family : kFamilies) {
                const auto& tunnel = node.vxlan(family);
                if (!tunnel) continue;
                unique(vxlan, *tunnel, node.name, place, fmt::format("VXLAN address {}", to_string(*tunnel)));
                unique(macs, std::pair{family, node.mac(family)}, node.name, place,
                       fmt::format("VTEP MAC {}", to_string(node.mac(family))));
                const Pool* const pool = pool_of(host_prefix(*tunnel));
                if (pool == nullptr || pool->vxlan == Encapsulate::never) {
                    warning(place, fmt::format("node {}'s VXLAN address {} lies in no pool with VXLAN", node.name,
                                               to_string(*tunnel)));
                }
            }
            if (node.ipip4) {
                unique(ipip, *node.ipip4, node.name, place, fmt::format("IPIP address {}", to_string(*node.ipip4)));
                const Pool* const pool = pool_of(host_prefix(*node.ipip4));
                if (pool == nullptr || pool->ipip == Encapsulate::never) {
                    warning(place, fmt::format("node {}'s IPIP address {} lies in no pool with IPIP", node.name,
                                               to_string(*node.ipip4)));
                }
            }
        }
        if (config_.vxlan_device4.value == config_.vxlan_device6.value) {
            error(config_.vxlan_device6.origin.place, fmt::format("'device' and 'device6' are both \"{}\": IPv4 and "
                                                                  "IPv6 need a device each",
                                                                  config_.vxlan_device6.value));
        }
    }

    void neighbors() {
        for (const auto& [neighbor, place] : config_.neighbors) {
            if (neighbor.next_hop_self && neighbor.next_hop_keep) {
                error(place, fmt::format("neighbor {}: 'next hop self' and 'next hop keep' exclude each other",
                                         to_string(neighbor.address)));
            }
            for (const std::string& name : neighbor.nodes) {
                const bool known = std::any_of(config_.nodes.begin(), config_.nodes.end(),
                                               [&](const auto& node) { return node.value.node.name == name; });
                if (is_static() && !known) {
                    error(place, fmt::format("neighbor {} is for node \"{}\", which is not stated",
                                             to_string(neighbor.address), name));
                }
            }
        }
        for (std::size_t i = 0; i < config_.neighbors.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) duplicate_neighbor(config_.neighbors[j], config_.neighbors[i]);
        }
    }

    void duplicate_neighbor(const Stated<BgpNeighbor>& first, const Stated<BgpNeighbor>& second) {
        if (first.value.address != second.value.address) return;
        const auto& some = first.value.nodes;
        const bool common = some.empty() || second.value.nodes.empty() ||
                            std::any_of(some.begin(), some.end(), [&](const std::string& name) {
                                const auto& others = second.value.nodes;
                                return std::find(others.begin(), others.end(), name) != others.end();
                            });
        if (common) {
            error(second.place, fmt::format("a second neighbor {} for the same node; the first is at {}",
                                            to_string(second.value.address), to_string(first.place)));
        }
    }

    void modes() {
        if (config_.backend.value != Backend::vxlan) return;
        for (const auto& [pool, place] : config_.pools) {
            if (pool.vxlan != Encapsulate::never) continue;
            warning(place, fmt::format("pool {} has no VXLAN, and under calico_backend vxlan nothing distributes its "
                                       "routes: set 'vxlan', or calico_backend bird",
                                       to_string(pool.cidr)));
        }
    }

    const Config& config_;
    std::vector<Pool> pools_;
    std::vector<Diagnostic> found_;
};

}  // namespace

std::vector<Diagnostic> verify(const Config& config) {
    return Verifier(config).run();
}

}  // namespace weft
