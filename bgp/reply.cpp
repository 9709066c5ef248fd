#include "bgp/reply.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <utility>

#include "conf/address.hpp"

namespace weft {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_code(std::string_view text) {
    return text.size() >= 5 && std::all_of(text.begin(), text.begin() + 4, is_digit) &&
           (text[4] == '-' || text[4] == ' ');
}

int number(std::string_view digits) {
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

/// `timeformat protocol "%s"`: seconds since the epoch. What another format wrote is no time here.
std::chrono::system_clock::time_point since(const std::string& word) {
    using Clock = std::chrono::system_clock;
    constexpr auto kLast = std::chrono::duration_cast<std::chrono::seconds>(Clock::duration::max()).count();
    std::int64_t seconds = 0;
    const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), seconds);
    const bool whole = end == word.data() + word.size() || *end == '.';
    if (failure != std::errc{} || !whole || seconds < 1'000'000'000 || seconds > kLast) return {};
    return Clock::time_point(std::chrono::seconds(seconds));
}

/// The address in Mesh_192_0_2_12 or Node_2001_db8__12; empty for a protocol that weft does not name so.
std::string peer_of(std::string_view protocol) {
    constexpr std::array<std::string_view, 3> kKinds{"Mesh_", "Node_", "Global_"};
    const auto* const kind =
        std::find_if(kKinds.begin(), kKinds.end(), [&](std::string_view name) { return protocol.starts_with(name); });
    if (kind == kKinds.end()) return {};
    for (const char separator : {'.', ':'}) {
        std::string text(protocol.substr(kind->size()));
        std::replace(text.begin(), text.end(), '_', separator);
        if (const auto address = parse_address(text)) return to_string(*address);
    }
    return {};
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

/// Without the columns that BIRD pads for: "Active        Socket: Connection refused".
std::string without_padding(std::string_view text) {
    std::string words(trimmed(text));
    const auto both_blank = [](char a, char b) { return a == ' ' && b == ' '; };
    words.erase(std::unique(words.begin(), words.end(), both_blank), words.end());
    return words;
}

/// Takes the first word off `text`.
std::string take_word(std::string_view& text) {
    text = trimmed(text);
    std::string word(text.substr(0, text.find_first_of(" \t")));
    text.remove_prefix(word.size());
    return word;
}

/// "2.0.12" -> {2, 0, 12}; what is no number counts as 0.
std::array<int, 3> numbers_of(std::string_view version) {
    std::array<int, 3> numbers{};
    for (int& part : numbers) {
        const auto [end, failure] = std::from_chars(version.data(), version.data() + version.size(), part);
        if (failure != std::errc{}) break;
        version.remove_prefix(static_cast<std::size_t>(end - version.data()));
        if (!version.starts_with('.')) break;
        version.remove_prefix(1);
    }
    return numbers;
}

}  // namespace

std::string BirdReply::text() const {
    const auto wrong =
        std::find_if(lines.begin(), lines.end(), [](const BirdReplyLine& line) { return line.code >= 8000; });
    if (wrong != lines.end()) return wrong->text;
    return lines.empty() ? std::string{} : lines.back().text;
}

void BirdReplyParser::feed(std::string_view bytes) {
    while (error_.empty() && !bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        partial_.append(bytes.substr(0, end));
        if (partial_.size() > kLongestLine) {
            error_ = fmt::format("a line of more than {} bytes", kLongestLine);
            return;
        }
        if (end == std::string_view::npos) return;
        bytes.remove_prefix(end + 1);
        const std::string whole = std::exchange(partial_, {});
        line(whole);
    }
}

void BirdReplyParser::line(std::string_view text) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (!text.empty() && text.front() == '+') return;
    size_ += text.size() + sizeof(BirdReplyLine);
    if (size_ > kLargestReply) {
        error_ = fmt::format("a reply of more than {} MiB", kLargestReply >> 20U);
        return;
    }
    if (is_code(text)) {
        reply_.lines.push_back({.code = number(text.substr(0, 4)), .text = std::string(text.substr(5))});
        if (text[4] == ' ') {
            ready_.push_back(std::exchange(reply_, {}));
            size_ = 0;
        }
    } else if (!text.empty() && text.front() == ' ' && !reply_.lines.empty()) {
        reply_.lines.push_back({.code = reply_.lines.back().code, .text = std::string(text.substr(1))});
    } else {
        error_ = "bytes that are no reply of BIRD's";
    }
}

std::optional<BirdReply> BirdReplyParser::next() {
    if (ready_.empty()) return std::nullopt;
    BirdReply reply = std::move(ready_.front());
    ready_.pop_front();
    return reply;
}

bool BirdReplyParser::quiet() const {
    return ready_.empty() && reply_.lines.empty() && (partial_.empty() || partial_.front() == '+');
}

std::string version_of(const BirdReply& greeting) {
    if (greeting.code() != 1 || greeting.lines.empty()) return {};
    std::istringstream words(greeting.lines.back().text);
    std::string name;
    std::string version;
    words >> name >> version;
    return name == "BIRD" ? version : std::string{};
}

std::string why_not(std::string_view version) {
    const auto numbers = numbers_of(version);
    const bool has_onlink = numbers >= std::array<int, 3>{3, 2, 0} ||
                            (numbers >= std::array<int, 3>{2, 0, 12} && numbers < std::array<int, 3>{3, 0, 0});
    if (has_onlink) return {};
    return fmt::format(
        "BIRD {} will not do: weft needs 2.0.12 or a later 2.x, or 3.2 or later, because others cannot set onlink "
        "gateways in filters, without which no route goes through the IPIP tunnel; install another BIRD",
        version.empty() ? "of an unknown version" : version.substr(0, 40));
}

std::vector<Session> sessions_of(const BirdReply& reply, const std::map<std::string, std::string>& node_of_peer) {
    std::vector<Session> sessions;
    for (const BirdReplyLine& line : reply.lines) {
        if (line.code != 1002) continue;
        std::string_view rest = line.text;
        Session session;
        session.protocol = take_word(rest);
        if (take_word(rest) != "BGP") continue;
        take_word(rest);  // the table
        session.state = take_word(rest);
        const std::string time = take_word(rest);
        session.since = since(time);
        // Another `timeformat` than ours, which a file that includes ours may set: a date, then the time of the day.
        std::string_view after = rest;
        const std::string clock = take_word(after);
        if (time.find('-') != std::string::npos && !clock.empty() && is_digit(clock.front()) &&
            clock.find(':') != std::string::npos) {
            rest = after;
        }
        session.info = without_padding(rest);
        session.established = session.info.starts_with("Established");
        session.peer = peer_of(session.protocol);
        if (session.peer.empty() || session.state.empty()) continue;
        const auto node = node_of_peer.find(session.peer);
        if (node != node_of_peer.end()) session.node = node->second;
        sessions.push_back(std::move(session));
    }
    std::sort(sessions.begin(), sessions.end(),
              [](const Session& a, const Session& b) { return a.protocol < b.protocol; });
    return sessions;
}

bool in_graceful_restart(const BirdReply& reply) {
    return std::any_of(reply.lines.begin(), reply.lines.end(),
                       [](const BirdReplyLine& line) { return line.code == 24; });
}

}  // namespace weft
