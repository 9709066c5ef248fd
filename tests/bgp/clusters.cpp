#include "clusters.hpp"

#include <fmt/format.h>

namespace weft::test {

Address ip(const std::string& text) {
    return parse_address(text).value();
}

Prefix net(const std::string& text) {
    return parse_prefix(text).value();
}

Cluster mesh_of(unsigned count) {
    Cluster cluster;
    cluster.pools = {{.cidr = net("10.64.0.0/16"), .ipip = Encapsulate::cross_subnet},
                     {.cidr = net("10.65.0.0/16"), .ipip = Encapsulate::always},
                     {.cidr = net("10.66.0.0/16")},
                     {.cidr = net("10.67.0.0/16"), .vxlan = Encapsulate::always},
                     {.cidr = net("10.68.0.0/16"), .exported = false},
                     {.cidr = net("2001:db8:64::/48"), .block_size = 122}};
    for (unsigned i = 0; i < count; ++i) {
        Node node;
        node.name = fmt::format("n{:04}", i + 1);
        node.address4 = parse_interface_address(fmt::format("192.0.{}.{}/24", 2 + i / 200, 11 + i % 200));
        node.address6 = parse_interface_address(fmt::format("2001:db8::{:x}/64", 0x11 + i));
        cluster.nodes.push_back(node);
        for (const unsigned pool : {64U, 65U, 66U, 67U, 68U}) {
            const std::string block = fmt::format("10.{}.{}.{}/26", pool, i / 4, i % 4 * 64);
            cluster.blocks.push_back({.cidr = net(block), .node = i});
        }
        cluster.blocks.push_back({.cidr = net(fmt::format("2001:db8:64::{:x}:0/122", i + 1)), .node = i});
    }
    normalise(cluster);
    return cluster;
}

Cluster reflected(unsigned count) {
    Cluster cluster = mesh_of(count);
    for (unsigned i = count - 2; i < count; ++i) cluster.nodes[i].cluster_id = ip("1.0.0.1");
    return cluster;
}

}  // namespace weft::test
