// How `weftctl get` shows resources: calicoctl's tables, YAML, JSON. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/resource_store.hpp"

namespace weft {

enum class OutputFormat : std::uint8_t { ps, wide, yaml, json };
/// The error names the formats there are.
Result<OutputFormat> output_format(const std::string& word);

inline constexpr std::uint32_t kDefaultAs = 64512;
/// BGPConfiguration's spec.asNumber.
std::optional<std::uint32_t> stated_as(const nlohmann::json& configuration);

/// `single`: in YAML and JSON the object itself, else a list. `as`: of nodes that state none.
std::string printed(OutputFormat format, ResourceKind kind, const std::vector<StoredResource>& all, bool single,
                    std::uint32_t as);

}  // namespace weft
