// JSON from outside: parsed with limits, and taken apart field by field with errors that name the field.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/finding.hpp"
#include "conf/result.hpp"

namespace weft {

/// Parses one JSON text, UTF-8, at most kDeepestJson levels deep (so that copying and printing it cannot exhaust the
/// stack). Of a key that stands twice the last counts, as with Go's decoder, which Calico uses.
Result<nlohmann::json> parse_json(std::string_view text);
inline constexpr std::size_t kDeepestJson = 64;

/// Whether this is the string "".
bool is_empty_text(const nlohmann::json& value);
/// An object's value of this name; null: it has none, or `object` is none.
const nlohmann::json& member(const nlohmann::json& object, const char* name);
/// What stands at "spec.allowedUses[1]"; null: nothing.
const nlohmann::json& value_at(const nlohmann::json& object, std::string_view path);
/// An object's string of this name; empty: it has none, or `object` is none.
std::string text_at(const nlohmann::json& object, const char* name);

/// An object's fields. Each getter returns nothing where the field is absent, null or wrong; what is wrong is entered
/// into `errors`, so that one pass finds all of it. Refers to the object and the errors, both of which outlive it.
class Fields {
  public:
    Fields(const nlohmann::json& object, std::string path, std::vector<FieldTrouble>& errors);

    /// The raw value; nullptr: absent or null.
    const nlohmann::json* find(const char* name) const;
    std::optional<std::string> text(const char* name) const;
    /// true or false, as Calico's first CRDs have it also the strings "true" and "false".
    std::optional<bool> boolean(const char* name) const;
    std::optional<std::uint32_t> number(const char* name, std::uint32_t least, std::uint32_t most) const;
    /// One of these words; an error names them all, in Kubernetes' wording.
    std::optional<std::string> one_of(const char* name, const std::vector<std::string_view>& words) const;
    /// The inner object; an empty one where there is none.
    Fields object(const char* name) const;
    /// The array's elements; none where there is no array.
    const nlohmann::json& list(const char* name) const;

    void wrong(const std::string& name, std::string message) const;
    /// "spec" and "cidr" make "spec.cidr".
    std::string path(const std::string& name) const;

  private:
    const nlohmann::json* object_;
    std::string path_;
    std::vector<FieldTrouble>* errors_;
};

}  // namespace weft
