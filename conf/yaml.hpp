// JSON as YAML, in the form that kubectl and calicoctl print: block style, keys sorted, lists not indented.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace weft {

/// Reading it (conf/manifest.hpp, and any YAML 1.1 or 1.2 reader) gives the same value: what could be taken for
/// something else than text is quoted. Ends with a newline.
std::string to_yaml(const nlohmann::json& value);

}  // namespace weft
