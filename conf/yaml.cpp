#include "conf/yaml.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>

#include "conf/address.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

/// What YAML 1.1 or 1.2 takes for a truth value or for nothing, in lower case.
constexpr std::array<std::string_view, 9> kWords{"true", "false", "yes", "no", "on", "off", "y", "n", "null"};

bool is_word(const std::string& text) {
    return std::find(kWords.begin(), kWords.end(), lower_case(text)) != kWords.end();
}

/// Whether text can stand without quotes. What begins like a number (also a date, or 12:30 in YAML 1.1) is one unless
/// it is an address or a prefix.
bool is_plain(const std::string& text) {
    if (text.empty() || text.back() == ' ' || text.back() == ':' || is_word(text)) return false;
    const auto allowed = [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view(" _./:()-+@=").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!std::all_of(text.begin(), text.end(), allowed)) return false;
    if (text.find(": ") != std::string::npos) return false;
    const auto first = static_cast<unsigned char>(text.front());
    if (std::isalpha(first) != 0 || first == '/' || first == '_') return true;
    if (std::isdigit(first) == 0) return false;
    const auto address = parse_address(text);
    return parse_prefix(text).has_value() || (address && address->family == Family::v4);
}

std::string scalar(const json& value) {
    const auto dumped = value.dump(-1, ' ', false, json::error_handler_t::replace);
    // A JSON string is a YAML string in double quotes.
    return value.is_string() && is_plain(value.get_ref<const std::string&>()) ? value.get<std::string>() : dumped;
}

std::string key(const std::string& name) {
    return is_plain(name) ? name : json(name).dump(-1, ' ', false, json::error_handler_t::replace);
}

void print(const json& value, std::size_t indent, std::string& out);

/// What stands behind "key:".
void member(const json& value, std::size_t indent, std::string& out) {
    if (!value.is_structured() || value.empty()) {
        out += ' ' + scalar(value) + '\n';
        return;
    }
    out += '\n';
    print(value, value.is_object() ? indent + 2 : indent, out);
}

void object(const json& value, std::size_t indent, bool behind_dash, std::string& out) {
    for (const auto& [name, inner] : value.items()) {
        if (!std::exchange(behind_dash, false)) out.append(indent, ' ');
        out += key(name) + ':';
        member(inner, indent, out);
    }
}

void print(const json& value, std::size_t indent, std::string& out) {
    if (value.is_object() && !value.empty()) return object(value, indent, false, out);
    if (!value.is_array() || value.empty()) {
        out += scalar(value) + '\n';
        return;
    }
    for (const json& item : value) {
        out.append(indent, ' ') += "- ";
        if (item.is_object() && !item.empty()) {
            object(item, indent + 2, true, out);
        } else if (item.is_array() && !item.empty()) {
            // The inner list's first dash would have to stand behind this one: on lines of its own it is the same.
            out.back() = '\n';
            print(item, indent + 2, out);
        } else {
            out += scalar(item) + '\n';
        }
    }
}

}  // namespace

std::string to_yaml(const json& value) {
    std::string out;
    print(value, 0, out);
    return out;
}

}  // namespace weft
