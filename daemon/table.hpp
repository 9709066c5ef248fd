// Rows for people (aligned, at most 100 columns) and for programs (a JSON object each), from the same cells.
//
// A row is made when the client is ready for it, so a long table is never whole in memory. What is too long for its
// column or for the line goes on in the next line, indented; nothing is cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/control_protocol.hpp"

namespace weft {

inline constexpr std::size_t kLineWidth = 100;

/// Nothing is "-" to people and null to programs.
using Cell = std::variant<std::monostate, std::string, std::int64_t, bool>;
using Row = std::vector<Cell>;

struct Column {
    std::string_view title;  ///< for people; empty: programs alone see it
    std::string_view key;    ///< in JSON
    std::size_t width = 0;   ///< 0: of its widest cell (known only for rows that are there)
};

using Rows = std::function<std::optional<Row>()>;

/// Codes of the rows and of the heading above them.
struct TableCodes {
    unsigned row = code::kRow;
    unsigned heading = code::kHeading;
};

/// The table as a reply that ends with `last`.
Reply table(std::vector<Column> columns, std::vector<Row> rows, bool json, Line last, TableCodes codes = {});
/// The same for rows that come one by one; columns need widths.
Reply table(std::vector<Column> columns, Rows rows, bool json, Line last, TableCodes codes = {});

std::string text_of(const Cell& cell);
/// One line: a JSON object, keys in the columns' order.
std::string json_of(const std::vector<Column>& columns, const Row& row);
/// `text` as lines of at most kLineWidth, broken at spaces, each but the first indented.
std::vector<std::string> wrap(std::string_view text, std::size_t indent);

/// The present value of an optional, or nothing; of strings the empty one is nothing.
template <class T>
Cell cell(const std::optional<T>& value) {
    if (!value) return std::monostate{};
    return Cell(std::in_place_type<std::string>, to_string(*value));
}
Cell cell(std::string_view text);
template <class Number>
requires std::is_integral_v<Number> &&(!std::is_same_v<Number, bool>)Cell cell(Number number) {
    return static_cast<std::int64_t>(number);
}

}  // namespace weft
