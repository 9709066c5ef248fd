// Fields that several of Calico's resources have; what is wrong is entered into the fields' errors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conf/json.hpp"
#include "conf/selector.hpp"

namespace weft {

/// Decimal digits and nothing else, up to 32 bits.
std::optional<std::uint32_t> parse_number(std::string_view text);

/// Calico writes AS numbers as numbers, reads them also as text, plain or dotted ("64512", "1.10").
std::optional<std::uint32_t> as_number(const Fields& fields, const char* name);
/// Where it is absent or wrong: the one that selects all.
Selector selector(const Fields& fields, const char* name);
/// Empty where it is absent.
std::string node_name(const Fields& fields, const char* name);
/// 0: the field says so, `auto`.
std::optional<std::uint32_t> mtu(const Fields& fields, const char* name);

}  // namespace weft
