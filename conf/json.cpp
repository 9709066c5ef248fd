#include "conf/json.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace weft {
namespace {

const nlohmann::json kNoObject = nlohmann::json::object();
const nlohmann::json kNoList = nlohmann::json::array();

/// How deep brackets and braces nest; a syntax error does not matter here, the parser will find it.
std::size_t depth_of(std::string_view text) {
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

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

std::string type_of(const nlohmann::json& value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return "a list";
    if (value.is_string()) return "a string";
    if (value.is_boolean()) return "true or false";
    return "a number";
}

}  // namespace

std::string to_string(const FieldTrouble& finding) {
    return finding.field.empty() ? finding.message : fmt::format("{}: {}", finding.field, finding.message);
}

std::string shown(std::string_view value, std::size_t most) {
    std::string text;
    while (!value.empty() && text.size() < most) {
        const std::size_t length = printable(value);
        text += length == 0 ? " " : value.substr(0, length);
        value.remove_prefix(std::max<std::size_t>(1, length));
    }
    return value.empty() ? text : text + "...";
}

Result<nlohmann::json> parse_json(std::string_view text) {
    if (depth_of(text) > kDeepestJson) return Error{fmt::format("JSON nested more than {} deep", kDeepestJson)};
    try {
        return nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& failure) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        const std::string_view what = failure.what();
        const std::size_t end = what.find("] ");
        return Error{fmt::format("no JSON: {}", shown(end == std::string_view::npos ? what : what.substr(end + 2)))};
    }
}

bool is_empty_text(const nlohmann::json& value) {
    return value.is_string() && value.get_ref<const std::string&>().empty();
}

const nlohmann::json& member(const nlohmann::json& object, const char* name) {
    static const nlohmann::json kNothing;
    if (!object.is_object()) return kNothing;
    const auto found = object.find(name);
    return found == object.end() ? kNothing : *found;
}

std::string text_at(const nlohmann::json& object, const char* name) {
    if (!object.is_object()) return {};
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

Fields::Fields(const nlohmann::json& object, std::string path, std::vector<FieldTrouble>& errors)
    : object_(&object), path_(std::move(path)), errors_(&errors) {
    if (object_->is_object()) return;
    if (!object_->is_null()) {
        errors_->push_back({.field = path_, .message = fmt::format("expected an object, this is {}", type_of(object))});
    }
    object_ = &kNoObject;
}

std::string Fields::path(const std::string& name) const {
    return path_.empty() ? name : fmt::format("{}.{}", path_, name);
}

void Fields::wrong(const std::string& name, std::string message) const {
    errors_->push_back({.field = path(name), .message = std::move(message)});
}

const nlohmann::json* Fields::find(const char* name) const {
    const auto found = object_->find(name);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Fields::text(const char* name) const {
    const nlohmann::json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    wrong(name, fmt::format("expected a string, this is {}", type_of(*value)));
    return std::nullopt;
}

std::optional<bool> Fields::boolean(const char* name) const {
    const nlohmann::json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_boolean()) return value->get<bool>();
    if (*value == "true" || *value == "false") return *value == "true";
    wrong(name, fmt::format("expected true or false, this is {}", type_of(*value)));
    return std::nullopt;
}

std::optional<std::uint32_t> Fields::number(const char* name, std::uint32_t least, std::uint32_t most) const {
    const nlohmann::json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer()) {
        wrong(name, fmt::format("expected a whole number, this is {}", type_of(*value)));
        return std::nullopt;
    }
    // A negative one is no unsigned one for nlohmann: it compares too small, as it should.
    const bool fits =
        value->is_number_unsigned() && value->get<std::uint64_t>() >= least && value->get<std::uint64_t>() <= most;
    if (fits) return static_cast<std::uint32_t>(value->get<std::uint64_t>());
    const bool zero = least == 0 && value->get<std::int64_t>() == 0;
    if (zero) return 0;
    wrong(name, fmt::format("{} is not between {} and {}", shown(value->dump()), least, most));
    return std::nullopt;
}

std::optional<std::string> Fields::one_of(const char* name, const std::vector<std::string_view>& words) const {
    auto value = text(name);
    if (!value || value->empty()) return std::nullopt;
    for (const std::string_view word : words) {
        if (*value == word) return value;
    }
    std::string all;
    for (const std::string_view word : words) all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", word);
    wrong(name, fmt::format("Unsupported value: \"{}\": supported values: {}", shown(*value), all));
    return std::nullopt;
}

Fields Fields::object(const char* name) const {
    const nlohmann::json* const value = find(name);
    return {value == nullptr ? kNoObject : *value, path(name), *errors_};
}

const nlohmann::json& Fields::list(const char* name) const {
    const nlohmann::json* const value = find(name);
    if (value == nullptr) return kNoList;
    if (value->is_array()) return *value;
    wrong(name, fmt::format("expected a list, this is {}", type_of(*value)));
    return kNoList;
}

}  // namespace weft
