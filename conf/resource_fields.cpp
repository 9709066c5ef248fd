#include "conf/resource_fields.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "conf/checks.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

/// Plain or dotted: "64512", "1.10".
std::optional<std::uint32_t> parse_as(std::string_view text) {
    const std::size_t dot = text.find('.');
    if (dot == std::string_view::npos) return parse_number(text);
    const auto high = parse_number(text.substr(0, dot));
    const auto low = parse_number(text.substr(dot + 1));
    if (!high || !low || *high > 0xFFFF || *low > 0xFFFF) return std::nullopt;
    return *high << 16U | *low;
}

}  // namespace

std::optional<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<std::uint32_t> as_number(const Fields& fields, const char* name) {
    const json* const value = fields.find(name);
    if (value == nullptr) return std::nullopt;
    std::optional<std::uint32_t> number;
    if (value->is_string()) {
        const auto text = value->get<std::string>();
        if (text.empty()) return std::nullopt;
        number = parse_as(text);
    } else if (value->is_number_unsigned() && value->get<std::uint64_t>() <= 0xFFFFFFFFU) {
        number = static_cast<std::uint32_t>(value->get<std::uint64_t>());
    }
    if (!number) fields.wrong(name, fmt::format("{} is no AS number", shown(value->dump())));
    if (number == 0U) number.reset();  // Go's zero value: not set
    return number;
}

Selector selector(const Fields& fields, const char* name) {
    const auto text = fields.text(name);
    if (!text) return {};
    auto parsed = Selector::parse(*text);
    if (parsed) return *std::move(parsed);
    fields.wrong(name, parsed.error().message);
    return {};
}

std::string node_name(const Fields& fields, const char* name) {
    auto text = fields.text(name);
    if (!text || text->empty()) return {};
    if (auto trouble = check_node_name(*text); !trouble.empty()) fields.wrong(name, std::move(trouble));
    return *std::move(text);
}

std::optional<std::uint32_t> mtu(const Fields& spec, const char* name) {
    auto number = spec.number(name, 0, 65535);
    if (number && *number != 0 && *number < 68) {
        spec.wrong(name, fmt::format("{} is less than IPv4's least MTU, 68", *number));
        number.reset();
    }
    return number;
}

}  // namespace weft
