// What Calico asks of a resource that is written (its validator, the rules of clientv3, the CRDs' own), beyond what
// conf/resource.hpp checks of every resource that is read. Pure; for conf/resource_edit.cpp.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "conf/resource_edit.hpp"

namespace weft {

/// Of a pool as it is stored or stated; unset: what stands there is none.
std::optional<Prefix> pool_prefix(const nlohmann::json& pool);

/// Whether a spec of this kind has such a field in the API of Calico v3.
bool knows_field(ResourceKind kind, const std::string& field);

/// What the manifest states and neither Calico's API nor the stored object has: most likely misspelt.
std::vector<FieldTrouble> unknown_fields(ResourceKind kind, const nlohmann::json& manifest,
                                         const nlohmann::json* stored);

/// What is wrong with an object's name; empty: nothing.
std::string check_name(const ResourceId& id);

/// Writes into a pool's spec what Calico assumes where it says nothing, and the prefix in its canonical form.
void fill_pool(nlohmann::json& spec);

/// All rules for an object as it is to be stored; `stored`: what stands there, null: nothing.
void check_resource(const ResourceId& id, const nlohmann::json& object, const nlohmann::json* stored,
                    const PoolSurroundings& beside, std::vector<FieldTrouble>& errors,
                    std::vector<FieldTrouble>& warnings);

}  // namespace weft
