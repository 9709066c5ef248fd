#include "conf/resource_edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "conf/json.hpp"
#include "conf/resource_rules.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

constexpr const char* kApi = "projectcalico.org/v3";

struct KindWords {
    ResourceKind kind;
    std::vector<std::string_view> words;
};

const std::vector<KindWords>& kinds() {
    static const std::vector<KindWords> kKinds{
        {ResourceKind::ip_pool, {"ippool", "ippools", "ipp", "ipps", "pool", "pools"}},
        {ResourceKind::node, {"node", "nodes", "no", "nos"}},
        {ResourceKind::bgp_peer, {"bgppeer", "bgppeers", "bgpp", "bgpps", "bp", "bps"}},
        {ResourceKind::bgp_configuration, {"bgpconfiguration", "bgpconfigurations", "bgpconfig", "bgpconfigs"}}};
    return kKinds;
}

/// `change` into `object`, as RFC 7396 has it: null removes.
void merge(json& object, const json& change) {
    if (change.is_object()) object.merge_patch(change);
}

json edited_metadata(const ResourceId& id, const json& manifest, const json* stored, const Birth& birth) {
    json made = stored == nullptr ? json{{"uid", birth.uid}, {"creationTimestamp", birth.created}}
                                  : member(*stored, "metadata");
    if (!made.is_object()) made = json::object();
    made["name"] = id.name;
    made.erase("resourceVersion");  // it is the key's revision, and not stored
    for (const char* const name : {"labels", "annotations"}) {
        const json& wanted = member(member(manifest, "metadata"), name);
        if (!wanted.is_object()) continue;
        if (!made[name].is_object()) made[name] = json::object();
        merge(made[name], wanted);
        if (made[name].empty()) made.erase(name);
    }
    return made;
}

/// What a Node's spec has that its node wrote stays.
json edited_node_spec(const json& wanted, json held) {
    const bool had_bgp = held.contains("bgp") && held["bgp"].is_object();
    if (had_bgp) {
        held["bgp"].erase("asNumber");
        held["bgp"].erase("routeReflectorClusterID");
    }
    merge(held, wanted);
    if (had_bgp && held.contains("bgp") && held["bgp"] == json::object()) held.erase("bgp");
    return held;
}

json edited_spec(ResourceKind kind, const json& wanted, const json* stored) {
    json held = stored == nullptr ? json::object() : member(*stored, "spec");
    if (!held.is_object()) held = json::object();
    if (kind == ResourceKind::node) return edited_node_spec(wanted, std::move(held));
    for (auto field = held.begin(); field != held.end();) {
        field = knows_field(kind, field.key()) ? held.erase(field) : std::next(field);
    }
    merge(held, wanted);
    return held;
}

std::string field_words(const ResourceId& id, const json& object, const FieldTrouble& error) {
    const json& value = value_at(object, error.field);
    std::string words = fmt::format("{}{}{}", to_string(id.kind), error.field.empty() ? "" : ".", error.field);
    if (value.is_string()) words += fmt::format(" = '{}'", shown(value.get<std::string>()));
    if (!value.is_null() && !value.is_structured() && !value.is_string()) words += fmt::format(" = '{}'", value.dump());
    return fmt::format("{} ({})", words, error.message);
}

}  // namespace

const std::vector<ResourceKind>& edited_kinds() {
    static const std::vector<ResourceKind> kAll = [] {
        std::vector<ResourceKind> all;
        for (const KindWords& known : kinds()) all.push_back(known.kind);
        return all;
    }();
    return kAll;
}

Result<ResourceKind> edited_kind(std::string_view word) {
    const std::string lower = lower_case(std::string(word));
    for (const KindWords& known : kinds()) {
        if (std::find(known.words.begin(), known.words.end(), lower) != known.words.end()) return known.kind;
    }
    return Error{fmt::format("resource type '{}' is not supported: ippool, node, bgppeer and bgpconfiguration are",
                             shown(word))};
}

Result<ResourceId> edited_id(const json& manifest) {
    if (!manifest.is_object()) return Error{"no resource: it needs kind, apiVersion, metadata and spec"};
    const std::string api = text_at(manifest, "apiVersion");
    const std::string kind = text_at(manifest, "kind");
    const auto known = std::find_if(edited_kinds().begin(), edited_kinds().end(),
                                    [&](ResourceKind each) { return to_string(each) == kind; });
    if (known == edited_kinds().end() || api != kApi) {
        return Error{
            fmt::format("Unknown resource type ({}) and/or version ({}): weftctl knows IPPool, Node, BGPPeer and "
                        "BGPConfiguration of {}",
                        shown(kind), shown(api), kApi)};
    }
    ResourceId id{.kind = *known, .name = text_at(member(manifest, "metadata"), "name")};
    if (id.name.empty()) return Error{fmt::format("{} without a name: metadata.name has to state it", kind)};
    if (auto trouble = check_name(id); !trouble.empty()) return Error{std::move(trouble)};
    return id;
}

ResourceEdit edit_resource(const ResourceId& id, const json& manifest, const json* stored,
                           const PoolSurroundings& beside, const Birth& birth) {
    ResourceEdit edit;
    edit.errors = unknown_fields(id.kind, manifest, stored);
    const json& wanted = member(manifest, "spec");
    if (!wanted.is_object() && !wanted.is_null()) {
        edit.errors.push_back({.field = "spec", .message = "expected an object"});
        return edit;
    }
    edit.object = stored == nullptr ? json::object() : *stored;
    edit.object["kind"] = to_string(id.kind);
    edit.object["apiVersion"] = kApi;
    edit.object["metadata"] = edited_metadata(id, manifest, stored, birth);
    edit.object["spec"] = edited_spec(id.kind, wanted, stored);
    if (id.kind == ResourceKind::ip_pool) fill_pool(edit.object["spec"]);
    check_resource(id, edit.object, stored, beside, edit.errors, edit.warnings);
    edit.changed = stored == nullptr || *stored != edit.object;
    return edit;
}

std::string validation_words(const ResourceId& id, const json& object, const std::vector<FieldTrouble>& errors) {
    if (errors.size() == 1) return fmt::format("error with field {}", field_words(id, object, errors.front()));
    std::string words = "error with the following fields:\n";
    for (const FieldTrouble& error : errors) words += fmt::format("-  {}\n", field_words(id, object, error));
    return words;
}

std::string calico_name(const ResourceId& id) {
    return fmt::format("{}({})", to_string(id.kind), id.name);
}

json shown_resource(ResourceKind kind, json object, std::int64_t revision) {
    if (!object.is_object()) return object;
    if (kind == ResourceKind::ip_pool && object.contains("spec") && object["spec"].is_object()) {
        fill_pool(object["spec"]);
    }
    if (member(object, "metadata").is_object()) object["metadata"]["resourceVersion"] = std::to_string(revision);
    return object;
}

}  // namespace weft
