#include "conf/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/text.hpp"

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

const nlohmann::json& value_at(const nlohmann::json& object, std::string_view path) {
    static const nlohmann::json kNothing;
    const nlohmann::json* at = &object;
    while (!path.empty()) {
        const bool index = path.front() == '[';
        const std::size_t end = std::min(path.find_first_of(index ? "]" : ".[", 1), path.size());
        const std::string name(path.substr(index ? 1 : 0, index ? end - 1 : end));
        path.remove_prefix(std::min(end + (index ? 1 : 0), path.size()));
        if (!path.empty() && path.front() == '.') path.remove_prefix(1);
        if (index) {
            const std::size_t i = std::strtoul(name.c_str(), nullptr, 10);
            if (!at->is_array() || i >= at->size()) return kNothing;
            at = &(*at)[i];
        } else {
            if (!at->is_object() || !at->contains(name)) return kNothing;
            at = &(*at)[name];
        }
    }
    return *at;
}

std::string text_at(const nlohmann::json& object, const char* name) {
    const nlohmann::json& value = member(object, name);
    return value.is_string() ? value.get<std::string>() : std::string{};
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
