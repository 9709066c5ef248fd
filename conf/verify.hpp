// The rules that hold across statements. Each conflict names both places.
#pragma once

#include <vector>

#include "conf/config.hpp"

namespace weft {

/// Errors and warnings, in no particular order; `line_text` not yet filled in. O(n log n) in what the file states.
std::vector<Diagnostic> verify(const Config& config);

}  // namespace weft
