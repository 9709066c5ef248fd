#include "states.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "simulated_kernel.hpp"

namespace weft {

State converged_state(std::string_view text) {
    Loaded loaded = load_config_text(text, "weft.conf", [](const char*) { return std::nullopt; });
    if (!loaded.ok()) throw std::invalid_argument(to_string(loaded.diagnostics.front()));
    State state;
    state.config_file = "weft.conf";
    state.config = std::move(loaded.config);
    state.cluster = cluster_of(state.config);
    state.node = state.config.hostname.value;
    state.config_loaded = state.source_synced = state.kernel_synced = true;
    SimulatedKernel kernel;
    state.host = kernel.host_facts;
    Plan wanted = plan({.cluster = state.cluster, .host = state.host, .node = state.node, .backend = state.backend()});
    state.desired = std::move(wanted.desired);
    state.problems = std::move(wanted.problems);
    kernel.apply({}, difference(state.desired, kernel.observed));
    state.observed = std::move(kernel.observed);
    return state;
}

State four_nodes(Backend backend) {
    return converged_state(fmt::format(R"(
hostname "a";
calico_backend {};
pool 10.65.0.0/16 {{ vxlan cross subnet; }}
pool fd00:65::/48 {{ vxlan cross subnet; }}
pool 10.66.0.0/16 {{ ipip cross subnet; }}
pool 10.67.0.0/16 {{ }}
protocol bgp {{
    password "mesh-secret";
    neighbor 192.0.2.1 as 65000 {{ password "peer-secret"; }}
}}
node "a" {{
    address 192.0.2.11/24; address 2001:db8::11/64;
    block 10.65.0.0/26; block 10.66.0.0/26; block 10.67.0.0/26; block fd00:65::/122;
}}
node "b" {{
    address 192.0.2.12/24; address 2001:db8::12/64;
    block 10.65.1.0/26; block 10.66.1.0/26; block 10.67.1.0/26; block fd00:65::100/122;
}}
node "c" {{
    address 198.51.100.13/24; address 2001:db8:1::13/64;
    block 10.65.2.0/26; block 10.66.2.0/26; block 10.67.2.0/26; block fd00:65::200/122;
}}
node "d" {{ block 10.65.3.0/26; }}
)",
                                       to_string(backend)));
}

std::string text_of(const Reply& reply, unsigned* last) {
    std::string text;
    for (const Line& line : lines_of(reply)) {
        text += line.text + '\n';
        if (last != nullptr) *last = line.code;
    }
    return text;
}

Address address(std::string_view text) {
    return parse_address(text).value();
}
Prefix prefix(std::string_view text) {
    return parse_prefix(text).value();
}

}  // namespace weft
