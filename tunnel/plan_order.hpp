// Puts what was planned into the order that Desired has: each vector sorted by key, keys unique.
#pragma once

#include "tunnel/plan.hpp"

namespace weft {

/// Of entries with one key the first stays, and a problem names the rest: two nodes that claim one address or MAC must
/// not take turns in the kernel. O(n) where the order is there already, and for keys that are numbers.
void put_in_order(Plan& plan);

}  // namespace weft
