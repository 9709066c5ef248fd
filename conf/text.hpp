// Text that comes from anyone, for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weft {

/// For a terminal and a log: what a value is, cut short after so many bytes, without control characters and what is no
/// UTF-8.
std::string shown(std::string_view value, std::size_t most = 60);

/// ASCII letters only.
std::string lower_case(std::string text);

}  // namespace weft
