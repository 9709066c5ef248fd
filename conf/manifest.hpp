// Manifests: YAML of several documents, or JSON, as JSON values that know the lines they came from.
//
// Built from the parser's events, not from its tree: aliases are counted, so that a small file cannot unfold into a
// large one, an alias of itself is refused, and nothing is kept twice.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct Manifest {
    nlohmann::json object;
    /// Line of each field by its path ("spec.cidr", "items[2].spec"); shared by the objects of a List.
    std::shared_ptr<const std::map<std::string, unsigned>> lines;
    std::string prefix;  ///< in a List: "items[2]"

    /// The line of this field, or of the nearest one around it; 1-based.
    unsigned line_of(const std::string& field) const;
};

struct Manifests {
    std::vector<Manifest> documents;  ///< without empty ones; a List's items are documents of their own
    std::string error;                ///< what is wrong with the file as such; then there are no documents
    unsigned error_line = 0;
};

/// A duplicate key is an error: in a file that people write it is a mistake. O(text).
Manifests read_yaml(std::string_view text);
/// One JSON value.
Manifests read_json(std::string_view text);

}  // namespace weft
