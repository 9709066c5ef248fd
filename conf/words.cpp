#include "conf/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace weft::syntax {
namespace {

/// Long words are cut, so that a line of garbage does not become a message of garbage.
std::string shown(const std::string& text) {
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

std::string quoted(const Token& token) {
    return token.kind == Token::Kind::string ? fmt::format("\"{}\"", shown(token.text))
                                             : fmt::format("'{}'", shown(token.text));
}

bool looks_like_a_name(const std::string& text) {
    return !text.empty() && (std::isupper(static_cast<unsigned char>(text[0])) != 0) &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
        }
    }
    return row.back();
}

}  // namespace

std::string enumerate(const std::vector<std::string_view>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += fmt::format("'{}'", words[i]);
    }
    return text;
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& candidates) {
    if (word.size() > 40) return {};
    std::string_view best;
    std::size_t least = 3;  // more than two slips are no slip
    for (const std::string_view candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < least && distance < candidate.size()) {
            least = distance;
            best = candidate;
        }
    }
    return best.empty() ? std::string{} : fmt::format(" (did you mean '{}'?)", best);
}

void Words::wrong(const Token& token, std::string_view what) const {
    std::string hint;
    if (token.kind == Token::Kind::word && looks_like_a_name(token.text) && !defines_.contains(token.text)) {
        hint = fmt::format("; no 'define' before this names '{}'", shown(token.text));
    }
    // What stands in place of a password may be one.
    const bool secret = statement_.words.front().text == "password";
    throw Wrong{token.place, secret ? fmt::format("expected {}", what)
                                    : fmt::format("expected {}, not {}{}", what, quoted(token), hint)};
}

Token Words::take(std::string_view what) {
    if (done()) throw Wrong{statement_.end, fmt::format("expected {} here", what)};
    Token token = statement_.words[at_++];
    if (token.kind == Token::Kind::word) {
        const auto defined = defines_.find(token.text);
        if (defined != defines_.end()) {
            const Place place = token.place;
            token = defined->second;
            token.place = place;
        }
    }
    return token;
}

bool Words::accept(std::string_view word) {
    if (done() || statement_.words[at_].kind != Token::Kind::word || statement_.words[at_].text != word) return false;
    ++at_;
    return true;
}

void Words::expect(std::string_view word) {
    one_of({word});
}

std::string Words::one_of(const std::vector<std::string_view>& words) {
    if (done()) throw Wrong{statement_.end, fmt::format("expected {} here", enumerate(words))};
    const Token& token = statement_.words[at_];
    if (token.kind == Token::Kind::word && std::find(words.begin(), words.end(), token.text) != words.end()) {
        ++at_;
        return token.text;
    }
    throw Wrong{token.place,
                fmt::format("expected {}, not {}{}", enumerate(words), quoted(token), suggestion(token.text, words))};
}

bool Words::accept_comma() {
    if (done() || statement_.words[at_].kind != Token::Kind::comma) return false;
    ++at_;
    return true;
}

void Words::end() const {
    if (!done()) {
        throw Wrong{place(), fmt::format("expected ';' before {}", quoted(statement_.words[at_]))};
    }
}

std::string Words::identifier(std::string_view what) {
    if (done()) throw Wrong{statement_.end, fmt::format("expected {} here", what)};
    const Token& token = statement_.words[at_++];
    const bool good = token.kind == Token::Kind::word && !token.text.empty() &&
                      (std::isalpha(static_cast<unsigned char>(token.text[0])) != 0 || token.text[0] == '_') &&
                      std::all_of(token.text.begin(), token.text.end(),
                                  [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
    if (!good) throw Wrong{token.place, fmt::format("expected {}, not {}", what, quoted(token))};
    return token.text;
}

std::string Words::string(std::string_view what) {
    const Token token = take(what);
    if (token.kind != Token::Kind::string) wrong(token, what);
    for (const char c : token.text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            throw Wrong{token.place, fmt::format("{} holds a control character (0x{:02x})", what,
                                                 static_cast<unsigned>(static_cast<unsigned char>(c)))};
        }
    }
    if (token.text.size() > 255) {
        throw Wrong{token.place, fmt::format("{} is {} bytes long, at most 255 are taken", what, token.text.size())};
    }
    return token.text;
}

std::uint32_t Words::number(std::string_view what, std::uint32_t least, std::uint32_t most) {
    const std::string wanted = fmt::format("{} ({} to {})", what, least, most);
    const Token token = take(wanted);
    std::uint64_t value = 0;
    const char* const last = token.text.data() + token.text.size();
    const auto [end, failure] = std::from_chars(token.text.data(), last, value);
    const bool digits = token.kind == Token::Kind::word && end == last && failure != std::errc::invalid_argument;
    if (!digits) wrong(token, wanted);
    if (failure == std::errc::result_out_of_range || value < least || value > most) {
        throw Wrong{token.place,
                    fmt::format("{} is out of range: {} has to be {} to {}", quoted(token), what, least, most)};
    }
    return static_cast<std::uint32_t>(value);
}

bool Words::yes_or_no() {
    const Token token = take("'yes' or 'no'");
    if (token.kind == Token::Kind::word) {
        for (const char* yes : {"yes", "on", "true"}) {
            if (token.text == yes) return true;
        }
        for (const char* no : {"no", "off", "false"}) {
            if (token.text == no) return false;
        }
    }
    wrong(token, "'yes' or 'no'");
}

Address Words::address(std::string_view what) {
    const Token token = take(what);
    const auto address = parse_address(token.text);
    if (token.kind != Token::Kind::word || !address) wrong(token, what);
    return *address;
}

Prefix Words::prefix(std::string_view what) {
    const Token token = take(what);
    const auto address = parse_interface_address(token.text);
    if (token.kind != Token::Kind::word || !address) wrong(token, what);
    if (address->network().address != address->address) {
        throw Wrong{token.place, fmt::format("{} has host bits set: the prefix is {}", quoted(token),
                                             to_string(address->network()))};
    }
    return address->network();
}

InterfaceAddress Words::interface_address(std::string_view what) {
    const Token token = take(what);
    const auto address = parse_interface_address(token.text);
    if (token.kind != Token::Kind::word || !address) wrong(token, what);
    return *address;
}

Mac Words::mac() {
    const Token token = take("a MAC address such as 66:01:02:03:04:05");
    const auto mac = parse_mac(token.text);
    if (token.kind != Token::Kind::word || !mac) wrong(token, "a MAC address such as 66:01:02:03:04:05");
    if ((mac->bytes[0] & 1) != 0) throw Wrong{token.place, fmt::format("{} is a multicast address", quoted(token))};
    return *mac;
}

std::chrono::milliseconds Words::duration(std::string_view what) {
    const std::uint32_t value = number(what, 0, 86'400'000);
    if (accept("ms")) return std::chrono::milliseconds(value);
    accept("s");
    return std::chrono::seconds(value);
}

Token Words::literal() {
    Token token = take("a literal");
    if (token.kind == Token::Kind::comma) wrong(token, "a literal");
    return token;
}

}  // namespace weft::syntax
