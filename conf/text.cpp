#include "conf/text.hpp"

#include <algorithm>

namespace weft {
namespace {

/// Bytes of the UTF-8 character that `text` begins with; 0: with none, or with a control character.
std::size_t printable(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    if (byte(0) < 0x80) return byte(0) < 0x20 || byte(0) == 0x7f ? 0 : 1;
    const std::size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
    if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return 0;
    }
    return byte(0) == 0xC2 && byte(1) < 0xA0 ? 0 : length;  // U+0080 to U+009F: terminals obey them
}

}  // namespace

std::string shown(std::string_view value, std::size_t most) {
    std::string text;
    while (!value.empty() && text.size() < most) {
        const std::size_t length = printable(value);
        text += length == 0 ? " " : value.substr(0, length);
        value.remove_prefix(std::max<std::size_t>(1, length));
    }
    return value.empty() ? text : text + "...";
}

std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
    return text;
}

}  // namespace weft
