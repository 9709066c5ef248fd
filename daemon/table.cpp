#include "daemon/table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace weft {
namespace {

constexpr std::size_t kIndent = 4;

/// The cells of one row as lines: as many as fit, each padded to its column; then the rest.
std::vector<std::string> lines_of(const std::vector<Column>& columns, const std::vector<std::string>& texts) {
    std::vector<std::string> lines;
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (columns[i].title.empty()) continue;
        const std::string& text = texts[i];
        if (!line.empty()) line += "  ";
        if (line.size() + text.size() > kLineWidth && line.find_first_not_of(' ') != std::string::npos) {
            lines.push_back(std::exchange(line, std::string(kIndent, ' ')));
        }
        // Padded by bytes: all that weft shows in tables is ASCII.
        line += fmt::format("{:<{}}", text, columns[i].width);
    }
    lines.push_back(std::move(line));
    std::vector<std::string> fitting;
    for (std::string& each : lines) {
        each.erase(each.find_last_not_of(' ') + 1);
        if (each.size() <= kLineWidth) {
            fitting.push_back(std::move(each));
        } else {
            std::ranges::move(wrap(each, kIndent), std::back_inserter(fitting));
        }
    }
    return fitting;
}

std::vector<std::string> texts_of(const Row& row) {
    std::vector<std::string> texts;
    for (const Cell& each : row) texts.push_back(text_of(each));
    return texts;
}

std::vector<std::string> heading_of(const std::vector<Column>& columns) {
    std::vector<std::string> titles;
    titles.reserve(columns.size());
    for (const Column& column : columns) titles.emplace_back(column.title);
    return lines_of(columns, titles);
}

}  // namespace

Cell cell(std::string_view text) {
    if (text.empty()) return std::monostate{};
    return Cell(std::in_place_type<std::string>, text);
}

std::string text_of(const Cell& cell) {
    if (const auto* text = std::get_if<std::string>(&cell)) return *text;
    if (const auto* number = std::get_if<std::int64_t>(&cell)) return std::to_string(*number);
    if (const auto* yes = std::get_if<bool>(&cell)) return *yes ? "yes" : "no";
    return "-";
}

std::string json_of(const std::vector<Column>& columns, const Row& row) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < columns.size(); ++i) {
        std::visit(
            [&](const auto& value) {
                auto& member = object[std::string(columns[i].key)];
                if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) member = value;
            },
            row[i]);
    }
    // What others wrote (BIRD, a file) may be no UTF-8: replaced rather than thrown at.
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<std::string> wrap(std::string_view text, std::size_t indent) {
    std::vector<std::string> lines;
    std::string line;
    std::size_t most = kLineWidth;
    while (text.size() > most) {
        std::size_t end = text.rfind(' ', most);
        // A break within the leading spaces would make an empty line; a word longer than a line is broken anywhere.
        if (end == std::string_view::npos || text.find_first_not_of(' ') >= end) end = most;
        lines.push_back(std::string(lines.empty() ? 0 : indent, ' ') + std::string(text.substr(0, end)));
        text.remove_prefix(end);
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
        most = kLineWidth - indent;
    }
    if (!text.empty() || lines.empty()) {
        lines.push_back(std::string(lines.empty() ? 0 : indent, ' ') + std::string(text));
    }
    return lines;
}

Reply table(std::vector<Column> columns, std::vector<Row> rows, bool json, Line last, TableCodes codes) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
        std::size_t widest = columns[i].title.size();
        for (const Row& row : rows) widest = std::max(widest, text_of(row[i]).size());
        if (columns[i].width == 0) columns[i].width = std::min(widest, kLineWidth - kIndent);
    }
    Rows one_by_one = [rows = std::move(rows), at = std::size_t{0}]() mutable -> std::optional<Row> {
        if (at == rows.size()) return std::nullopt;
        return std::move(rows[at++]);
    };
    return table(std::move(columns), std::move(one_by_one), json, std::move(last), codes);
}

Reply table(std::vector<Column> columns, Rows rows, bool json, Line last, TableCodes codes) {
    std::vector<std::string> waiting;  // lines of the row (or heading) that is being said, in reverse
    if (!json) waiting = heading_of(columns);
    std::reverse(waiting.begin(), waiting.end());
    return [columns = std::move(columns), rows = std::move(rows), json, last = std::optional<Line>(std::move(last)),
            codes, waiting = std::move(waiting), heading = !json]() mutable -> std::optional<Line> {
        if (waiting.empty()) {
            heading = false;
            const auto row = last ? rows() : std::nullopt;
            if (!row) return std::exchange(last, std::nullopt);
            if (json) return Line{code::kJson, json_of(columns, *row)};
            waiting = lines_of(columns, texts_of(*row));
            std::reverse(waiting.begin(), waiting.end());
        }
        Line line{heading ? codes.heading : codes.row, std::move(waiting.back())};
        waiting.pop_back();
        return line;
    };
}

}  // namespace weft
