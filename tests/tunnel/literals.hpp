// Addresses and prefixes as a test writes them; text that is none ends the test program.
#pragma once

#include "conf/address.hpp"

namespace weft {

inline Address A(const char* text) {
    return *parse_address(text);
}
inline Prefix P(const char* text) {
    return *parse_prefix(text);
}

}  // namespace weft
