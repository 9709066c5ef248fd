#include "bgp/words.hpp"

#include <algorithm>

namespace weft {
namespace {

bool is_plain_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" ._:/@+-*?").find(c) != std::string_view::npos;
}

}  // namespace

bool is_plain(std::string_view text, std::size_t limit) {
    return !text.empty() && text.size() <= limit && std::ranges::all_of(text, is_plain_byte);
}

std::string plain(std::string_view text, std::size_t limit) {
    std::string result(text.substr(0, limit));
    std::ranges::replace_if(
        result, [](char c) { return !is_plain_byte(c); }, '_');
    return result;
}

bool is_password(std::string_view text) {
    return text.size() <= kLongestPassword &&
           std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"'; });
}

}  // namespace weft
