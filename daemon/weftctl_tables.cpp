#include "daemon/weftctl_tables.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "conf/json.hpp"
#include "conf/yaml.hpp"

namespace weft {
namespace {

using nlohmann::json;

std::string text(const json& object, std::string_view path, const char* none = "") {
    const json& value = value_at(object, path);
    if (value.is_null() || is_empty_text(value)) return none;
    return value.is_string() ? value.get<std::string>() : value.dump();
}

struct ColumnOf {
    const char* title;
    std::string (*cell)(const json& object, std::uint32_t as);
    bool wide_only = false;
};

std::string node_as(const json& object, std::uint32_t as) {
    if (!value_at(object, "spec.bgp").is_object()) return {};
    const std::string own = text(object, "spec.bgp.asNumber");
    return own.empty() ? fmt::format("({})", as) : own;
}

std::string peer_nodes(const json& object, std::uint32_t) {
    const std::string node = text(object, "spec.node");
    return node.empty() ? text(object, "spec.nodeSelector", "(global)") : node;
}

std::string name_of(const json& object, std::uint32_t) {
    return text(object, "metadata.name");
}

const std::vector<ColumnOf>& columns(ResourceKind kind) {
    static const ColumnOf kName{"NAME", name_of};
    static const std::vector<ColumnOf> kPool{
        kName,
        {"CIDR", [](const json& o, std::uint32_t) { return text(o, "spec.cidr"); }},
        {"NAT", [](const json& o, std::uint32_t) { return text(o, "spec.natOutgoing", "false"); }, true},
        {"IPIPMODE", [](const json& o, std::uint32_t) { return text(o, "spec.ipipMode", "Never"); }, true},
        {"VXLANMODE", [](const json& o, std::uint32_t) { return text(o, "spec.vxlanMode", "Never"); }, true},
        {"DISABLED", [](const json& o, std::uint32_t) { return text(o, "spec.disabled", "false"); }, true},
        {"DISABLEBGPEXPORT", [](const json& o, std::uint32_t) { return text(o, "spec.disableBGPExport", "false"); },
         true},
        {"SELECTOR", [](const json& o, std::uint32_t) { return text(o, "spec.nodeSelector"); }}};
    static const std::vector<ColumnOf> kNode{
        kName,
        {"ASN", node_as, true},
        {"IPV4", [](const json& o, std::uint32_t) { return text(o, "spec.bgp.ipv4Address"); }, true},
        {"IPV6", [](const json& o, std::uint32_t) { return text(o, "spec.bgp.ipv6Address"); }, true}};
    static const std::vector<ColumnOf> kPeer{
        kName,
        {"PEERIP", [](const json& o, std::uint32_t) { return text(o, "spec.peerIP"); }},
        {"NODE", peer_nodes},
        {"ASN", [](const json& o, std::uint32_t) { return text(o, "spec.asNumber", "0"); }}};
    static const std::vector<ColumnOf> kConfiguration{
        kName,
        {"LOGSEVERITY", [](const json& o, std::uint32_t) { return text(o, "spec.logSeverityScreen"); }},
        {"MESHENABLED", [](const json& o, std::uint32_t) { return text(o, "spec.nodeToNodeMeshEnabled", "-"); }},
        {"ASNUMBER", [](const json& o, std::uint32_t) { return text(o, "spec.asNumber", "-"); }}};
    switch (kind) {
        case ResourceKind::ip_pool:
            return kPool;
        case ResourceKind::node:
            return kNode;
        case ResourceKind::bgp_peer:
            return kPeer;
        default:
            return kConfiguration;
    }
}

std::string table(ResourceKind kind, const std::vector<json>& objects, bool wide, std::uint32_t as) {
    std::vector<std::vector<std::string>> rows(1);
    for (const ColumnOf& column : columns(kind)) {
        if (wide || !column.wide_only) rows.front().emplace_back(column.title);
    }
    for (const json& object : objects) {
        rows.emplace_back();
        for (const ColumnOf& column : columns(kind)) {
            if (wide || !column.wide_only) rows.back().push_back(column.cell(object, as));
        }
    }
    std::vector<std::size_t> widths(rows.front().size());
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}", row[i], widths[i] + 3);
        out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return out;
}

}  // namespace

Result<OutputFormat> output_format(const std::string& word) {
    if (word == "ps") return OutputFormat::ps;
    if (word == "wide") return OutputFormat::wide;
    if (word == "yaml" || word == "yml") return OutputFormat::yaml;
    if (word == "json") return OutputFormat::json;
    return Error{fmt::format("unrecognized output format '{}': ps, wide, yaml and json are known", word)};
}

std::optional<std::uint32_t> stated_as(const json& configuration) {
    const json& as = value_at(configuration, "spec.asNumber");
    if (!as.is_number_unsigned()) return std::nullopt;
    return as.get<std::uint32_t>();
}

std::string printed(OutputFormat format, ResourceKind kind, const std::vector<StoredResource>& all, bool single,
                    std::uint32_t as) {
    std::vector<json> objects;
    std::int64_t latest = 0;
    for (const StoredResource& each : all) {
        objects.push_back(shown_resource(each.id.kind, each.object, each.revision));
        latest = std::max(latest, each.revision);
    }
    if (format == OutputFormat::ps || format == OutputFormat::wide) {
        return table(kind, objects, format == OutputFormat::wide, as);
    }
    json whole;
    if (single && objects.size() == 1) {
        whole = std::move(objects.front());
    } else {
        whole = {{"apiVersion", "projectcalico.org/v3"},
                 {"kind", fmt::format("{}List", to_string(kind))},
                 {"metadata", {{"resourceVersion", std::to_string(latest)}}},
                 {"items", std::move(objects)}};
    }
    if (format == OutputFormat::yaml) return to_yaml(whole);
    return whole.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace weft
