// Keeps Observed true to what weft itself has just written, without asking the kernel again: an acknowledged change is
// known to be there, and a dump of 20,000 routes to learn of one costs more than the change.
#pragma once

#include "tunnel/difference.hpp"
#include "tunnel/observed.hpp"

namespace weft {

/// Enters an acknowledged change into `observed`. False where only a dump can tell what the kernel has now: changes of
/// devices take routes, neighbours and nexthops with them. O(log n) plus moving what lies behind the object.
bool record(Observed& observed, const Change& change);

}  // namespace weft
