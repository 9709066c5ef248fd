// What a configuration does to sessions that are up.
//
// BIRD keeps a session over `configure` where its protocol has the same name and the same options, but for filters. Any
// other change ends it with a notification, and at that the other node drops all routes it had through it, at once. A
// BIRD that goes without a word instead, and comes back with the new configuration, finds its routes kept on both
// sides: by this node's kernel (`persist`, -R), and by the others for the graceful restart time. That is worth it where
// most sessions are replaced anyway.
#pragma once

#include <string_view>

#include "bgp/render.hpp"

namespace weft {

/// Whether BIRD, given `now` in place of `before` (both as `render` writes them), would end at least half of its
/// sessions to nodes that both have, to begin them anew. False where there are neighbours that are no nodes: whether
/// those keep routes over a restart is not known.
bool replaces_sessions(std::string_view before, const BirdConfig& now);

}  // namespace weft
