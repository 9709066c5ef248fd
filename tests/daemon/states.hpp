// States to ask questions of, made as the controller makes them: from a weft.conf's text, planned, with a kernel that
// has taken everything.
#pragma once

#include <string>
#include <string_view>

#include "daemon/control_protocol.hpp"
#include "daemon/state.hpp"

namespace weft {

/// Four nodes: this one is a (192.0.2.11), b shares its subnet, c is in another one, d has no address. Pools: 10.65/16
/// and fd00:65::/48 with vxlan cross subnet, 10.66/16 with ipip cross subnet, 10.67/16 with none. Each node n has block
/// 10.6x.n.0/26 of each IPv4 pool (n counts from 0).
State four_nodes(Backend backend);
/// The state that `text` makes of a converged node.
State converged_state(std::string_view text);

/// A reply as text, the lines' codes left out; the last line's code in `last`.
std::string text_of(const Reply& reply, unsigned* last = nullptr);

Address address(std::string_view text);
Prefix prefix(std::string_view text);

}  // namespace weft
