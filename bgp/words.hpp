// What may stand inside the quotes of BIRD's configuration.
//
// BIRD's strings have no escapes, a quote or a newline ends them early, and one of 4096 bytes aborts a running BIRD.
// Everything that comes from outside is checked here once more, whatever its source has checked before.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weft {

inline constexpr std::size_t kLongestName = 200;
/// The kernel's limit for TCP-MD5 keys; BIRD takes longer ones and fails later.
inline constexpr std::size_t kLongestPassword = 80;

/// True for text of letters, digits and " ._:/@+-*?" that is not empty and not longer than `limit`.
bool is_plain(std::string_view text, std::size_t limit);
/// The text made plain: other bytes become '_', what is too long is cut.
std::string plain(std::string_view text, std::size_t limit);
/// True for a password that BIRD can be told: printable ASCII without quotes, of at most 80 bytes.
bool is_password(std::string_view text);

}  // namespace weft
