#include "daemon/control_protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace weft {

Reply reply_of(std::vector<Line> lines) {
    return [lines = std::move(lines), at = std::size_t{0}]() mutable -> std::optional<Line> {
        if (at == lines.size()) return std::nullopt;
        return std::move(lines[at++]);
    };
}

Reply reply_of(unsigned code, std::string_view text, Line last) {
    std::vector<Line> lines;
    append_lines(lines, code, text);
    lines.push_back(std::move(last));
    return reply_of(std::move(lines));
}

std::vector<Line> lines_of(const Reply& reply) {
    std::vector<Line> lines;
    while (auto line = reply()) lines.push_back(*std::move(line));
    return lines;
}

Reply joined(std::vector<Line> first, Reply rest) {
    return [lines = std::move(first), at = std::size_t{0}, rest = std::move(rest)]() mutable -> std::optional<Line> {
        if (at == lines.size()) return rest();
        return std::move(lines[at++]);
    };
}

void append_lines(std::vector<Line>& lines, unsigned code, std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.push_back({code, std::string(text.substr(0, end))});
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

void Encoder::encode(const Line& line, bool last, std::string& out) {
    if (!last && before_ == line.code) {
        out += ' ';
    } else {
        fmt::format_to(std::back_inserter(out), "{:04}{}", line.code, last ? ' ' : '-');
    }
    before_ = line.code;
    // A reply's text may quote a file or BIRD: a newline in it would be a line of the protocol.
    std::transform(line.text.begin(), line.text.end(), std::back_inserter(out), [](char byte) {
        const auto value = static_cast<unsigned char>(byte);
        return value < 0x20 || value == 0x7f ? ' ' : byte;
    });
    out += '\n';
}

std::optional<Decoder::Decoded> Decoder::decode(std::string_view line) {
    if (line.empty()) return std::nullopt;
    if (line.front() == '+') return Decoded{.line = {0, std::string(line.substr(1))}, .asynchronous = true};
    if (line.front() == ' ') return Decoded{.line = {before_, std::string(line.substr(1))}};
    if (line.size() < 5 || (line[4] != ' ' && line[4] != '-')) return std::nullopt;
    unsigned code = 0;
    const auto [end, failure] = std::from_chars(line.data(), line.data() + 4, code);
    if (failure != std::errc{} || end != line.data() + 4) return std::nullopt;
    before_ = code;
    return Decoded{.line = {code, std::string(line.substr(5))}, .last = line[4] == ' '};
}

}  // namespace weft
