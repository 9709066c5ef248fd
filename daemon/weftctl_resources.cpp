#include "daemon/weftctl_resources.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "conf/config.hpp"
#include "conf/manifest.hpp"
#include "conf/resource_store.hpp"
#include "daemon/weftctl_tables.hpp"

namespace weft {
namespace {

using nlohmann::json;

struct ResourceCommand {
    enum class Verb : std::uint8_t { apply, get, remove };
    Verb verb = Verb::get;
    std::string config = kConfigFile;
    std::string socket;  ///< taken, so that every command takes it, and not used
    std::vector<std::string> files;
    std::string kind;
    std::vector<std::string> names;
    std::string output = "ps";
    bool skip_not_exists = false;
};

int fail(const std::string& message) {
    const std::string_view text = message;
    fmt::print(stderr, "{}\n", text.substr(0, text.find_last_not_of('\n') + 1));
    return 1;
}

/// Where etcd is, by weft.conf.
Result<EtcdOptions> etcd_of(const std::string& file) {
    const Loaded loaded = load_config(file, process_environment());
    if (!loaded.ok()) {
        std::string all;
        for (const Diagnostic& each : loaded.diagnostics) {
            if (each.severity == Severity::error) all += to_string(each) + '\n';
        }
        return Error{
            all +
            fmt::format("where etcd is stands in weft.conf, and {} cannot be used (-c FILE names another)", file)};
    }
    const Source& source = loaded.config.source.value;
    if (const auto* const etcd = std::get_if<EtcdSource>(&source)) return etcd_options(*etcd);
    if (const auto* const directory = std::get_if<DirectorySource>(&source)) {
        return Error{
            fmt::format("the cluster comes from the directory {} ({}), not from etcd: edit the manifests there; "
                        "weftd follows them by itself",
                        directory->path, to_string(loaded.config.source.origin))};
    }
    return Error{
        fmt::format("the cluster is stated in {} itself (source static): edit it there, then 'weftctl "
                    "configure'; apply, get and delete are for 'source etcd' (-c FILE names another file)",
                    file)};
}

/// A file's text; "-" is standard input.
Result<std::string> text_of(const std::string& file) {
    if (file == "-") return std::string{std::istreambuf_iterator<char>(std::cin), {}};
    std::ifstream in(file, std::ios::binary);
    if (!in) return Error{fmt::format("{}: {}", file, std::generic_category().message(errno))};
    return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// The file, or of a directory the manifests in it.
Result<std::vector<std::string>> files_of(const std::string& file) {
    std::error_code trouble;
    if (file == "-" || !std::filesystem::is_directory(file, trouble)) return std::vector{file};
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(file, trouble)) {
        const std::string extension = entry.path().extension();
        if (extension == ".json" || extension == ".yaml" || extension == ".yml") all.push_back(entry.path());
    }
    if (trouble) return Error{fmt::format("{}: {}", file, trouble.message())};
    std::sort(all.begin(), all.end());
    if (all.empty()) return Error{fmt::format("No resources specified in directory {}", file)};
    return all;
}

/// An object to work on.
struct Wanted {
    ResourceId id;
    json manifest;
    std::string place;  ///< "pools.yaml:3"; empty: it was named on the command line
};

/// All objects of a file, or what is wrong with it as a whole: then nothing of it is done.
Result<std::vector<Wanted>> objects_of(const std::string& file) {
    const auto text = text_of(file);
    if (!text) return text.error();
    const std::string name = file == "-" ? "standard input" : file;
    const std::size_t first = text->find_first_not_of(" \t\r\n");
    // Only one JSON value is JSON; several of them, as `cat *.json` makes, are not YAML either.
    const bool is_json = first != std::string::npos && ((*text)[first] == '{' || (*text)[first] == '[');
    Manifests read = is_json ? read_json(*text) : read_yaml(*text);
    if (!read.error.empty() && is_json) {
        if (Manifests again = read_yaml(*text); again.error.empty()) read = std::move(again);
    }
    if (!read.error.empty()) return Error{fmt::format("{}:{}: {}", name, read.error_line, read.error)};
    std::vector<Wanted> all;
    for (Manifest& manifest : read.documents) {
        auto id = edited_id(manifest.object);
        std::string place = fmt::format("{}:{}", name, manifest.line_of(""));
        if (!id) return Error{fmt::format("{}: {}", place, id.error().message)};
        if (const auto revision = stated_revision(manifest.object); !revision) {
            return Error{fmt::format("{}: {}", place, revision.error().message)};
        }
        all.push_back({.id = *std::move(id), .manifest = std::move(manifest.object), .place = std::move(place)});
    }
    if (all.empty()) return Error{fmt::format("No resources specified in file {}", name)};
    return all;
}

Result<std::vector<Wanted>> objects_of(const ResourceCommand& command) {
    std::vector<Wanted> all;
    for (const std::string& given : command.files) {
        const auto files = files_of(given);
        if (!files) return files.error();
        for (const std::string& file : *files) {
            auto some = objects_of(file);
            if (!some) return some.error();
            std::move(some->begin(), some->end(), std::back_inserter(all));
        }
    }
    if (command.kind.empty()) return all;
    const auto kind = edited_kind(command.kind);
    if (!kind) return kind.error();
    for (const std::string& name : command.names) {
        if (name.empty()) return Error{"resource name may not be empty"};
        all.push_back({.id = {.kind = *kind, .name = name}, .manifest = {}, .place = {}});
    }
    return all;
}

/// "'IPPool' " where all are of one kind.
std::string single_kind(const std::vector<Wanted>& all) {
    const bool one =
        std::all_of(all.begin(), all.end(), [&](const Wanted& each) { return each.id.kind == all.front().id.kind; });
    return one ? fmt::format("'{}' ", to_string(all.front().id.kind)) : std::string();
}

void warn(const Wanted& wanted, const ResourceWritten& written) {
    const std::string where = wanted.place.empty() ? "" : wanted.place + ": ";
    for (const FieldTrouble& warning : written.warnings) {
        fmt::print(stderr, "warning: {}{}: {}\n", where, calico_name(wanted.id), to_string(warning));
    }
    for (const std::string& remark : written.remarks) {
        fmt::print(stderr, "warning: {}: {}\n", calico_name(wanted.id), remark);
    }
}

int apply(const ResourceCommand& command, ResourceStore& store) {
    const auto all = objects_of(command);
    if (!all) return fail("Failed to execute command: " + all.error().message);
    std::vector<std::string> errors;
    for (const Wanted& wanted : *all) {
        const auto written = store.apply(wanted.id, wanted.manifest);
        if (written) {
            warn(wanted, *written);
        } else {
            errors.push_back(fmt::format("{}: {}", wanted.place, written.error().message));
        }
    }
    const std::string kind = single_kind(*all);
    const std::size_t done = all->size() - errors.size();
    if (errors.empty()) {
        fmt::print("Successfully applied {} {}resource(s)\n", done, kind);
        return 0;
    }
    const std::string words = fmt::format("[{}]", fmt::join(errors, "\n "));
    if (done > 0) {
        fmt::print("Partial success: applied {} out of {} {}resources\n", done, all->size(), kind);
        std::fflush(stdout);
        return fail("Hit error(s): " + words);
    }
    if (all->size() == 1) return fail(fmt::format("Failed to apply {}resource: {}", kind, words));
    return fail(fmt::format("Failed to apply any {}resources: {}", kind, words));
}

int remove(const ResourceCommand& command, ResourceStore& store) {
    const auto all = objects_of(command);
    if (!all) return fail("Failed to execute command: " + all.error().message);
    if (all->empty()) return fail("resource name may not be empty");
    const std::string kind = single_kind(*all);
    std::string errors;
    std::size_t done = 0;
    for (const Wanted& wanted : *all) {
        const auto written = store.remove(wanted.id, *stated_revision(wanted.manifest));
        if (written) {
            ++done;
            warn(wanted, *written);
        } else if (command.skip_not_exists && written.error().message.starts_with(kDoesNotExist)) {
            ++done;
        } else {
            errors += fmt::format("Failed to delete {}resource: {}\n", kind, written.error().message);
        }
    }
    if (done > 0) fmt::print("Successfully deleted {} {}resource(s)\n", done, kind);
    std::fflush(stdout);
    return errors.empty() ? 0 : fail(errors);
}

int get(const ResourceCommand& command, ResourceStore& store) {
    const auto format = output_format(command.output);
    if (!format) return fail(format.error().message);
    auto wanted = objects_of(command);
    if (!wanted) return fail("Failed to get resources: " + wanted.error().message);
    std::vector<StoredResource> found;
    std::vector<std::string> errors;
    if (wanted->empty()) {
        auto all = store.list(*edited_kind(command.kind));
        if (!all) return fail("Failed to get resources: " + all.error().message);
        found = *std::move(all);
    }
    for (const Wanted& each : *wanted) {
        auto one = store.get(each.id);
        if (one) {
            found.push_back(*std::move(one));
        } else {
            errors.push_back(one.error().message);
        }
    }
    std::uint32_t as = kDefaultAs;
    const bool nodes = std::any_of(found.begin(), found.end(),
                                   [](const StoredResource& each) { return each.id.kind == ResourceKind::node; });
    if (nodes && *format == OutputFormat::wide) {
        const auto global = store.get({.kind = ResourceKind::bgp_configuration, .name = "default"});
        if (global) as = stated_as(global->object).value_or(kDefaultAs);
    }
    if (!found.empty() || wanted->empty()) {
        const bool single = !wanted->empty() && wanted->size() == 1;
        const ResourceKind kind = wanted->empty() ? *edited_kind(command.kind) : wanted->front().id.kind;
        fmt::print("{}", printed(*format, kind, found, single, as));
        std::fflush(stdout);
    }
    return errors.empty() ? 0 : fail(fmt::format("{}", fmt::join(errors, "\n")));
}

/// The command line; nullopt and a status: it was answered (help) or is wrong.
std::optional<ResourceCommand> parse(const std::vector<std::string>& arguments, int& status) {
    ResourceCommand command;
    bool as_json = false;
    CLI::App app("The cluster's resources in etcd, which weft.conf names.");
    app.name("weftctl");
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("-c,--config", command.config, "The weft.conf whose source says where etcd is")
        ->capture_default_str()
        ->take_last();
    app.add_option("-s,--socket", command.socket)->group("");
    app.add_flag("--json", as_json)->group("");
    CLI::App* const apply = app.add_subcommand("apply", "Create or replace resources, by a file");
    apply
        ->add_option("-f,--filename", command.files, "YAML or JSON, a directory of such files, or - for standard input")
        ->required();
    CLI::App* const get = app.add_subcommand("get", "Show resources");
    CLI::App* const remove = app.add_subcommand("delete", "Delete resources");
    for (CLI::App* const verb : {apply, get, remove}) {
        verb->footer(fmt::format("-c FILE names the weft.conf that says where etcd is, default {}.", kConfigFile));
    }
    for (CLI::App* const verb : {get, remove}) {
        auto* const file = verb->add_option("-f,--filename", command.files, "The resources that this file names");
        auto* const kind = verb->add_option("KIND", command.kind, "ippool, node, bgppeer or bgpconfiguration");
        verb->add_option("NAME", command.names, "Their names");
        file->excludes(kind);
    }
    get->add_option("-o,--output", command.output, "ps, wide, yaml or json")->capture_default_str();
    remove->add_flag("--skip-not-exists", command.skip_not_exists, "What does not exist counts as deleted");
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
        command.verb = apply->parsed() ? ResourceCommand::Verb::apply
                       : get->parsed() ? ResourceCommand::Verb::get
                                       : ResourceCommand::Verb::remove;
        if (!apply->parsed() && command.kind.empty() && command.files.empty()) {
            throw CLI::RequiredError("KIND, or -f FILE,");
        }
        if (remove->parsed() && command.files.empty() && command.names.empty()) throw CLI::RequiredError("NAME");
    } catch (const CLI::ParseError& wrong) {
        status = app.exit(wrong) == 0 ? 0 : 1;
        return std::nullopt;
    }
    if (as_json) command.output = "json";
    return command;
}

}  // namespace

bool is_resource_command(const std::string& word) {
    return word == "apply" || word == "get" || word == "delete";
}

const std::vector<ResourceUsage>& resource_usages() {
    static const std::vector<ResourceUsage> kUsages{
        {"apply -f FILE", "create or replace resources in etcd: IPPool, Node, BGPPeer, BGPConfiguration"},
        {"get KIND [NAME...] [-o FORMAT]", "show them; FORMAT: ps, wide, yaml, json"},
        {"delete KIND NAME...", "delete them"}};
    return kUsages;
}

int resource_command(const std::vector<std::string>& arguments) {
    int status = 0;
    const auto command = parse(arguments, status);
    if (!command) return status;
    if (!command->kind.empty()) {
        if (const auto kind = edited_kind(command->kind); !kind) return fail(kind.error().message);
    }
    auto etcd = etcd_of(command->config);
    if (!etcd) return fail(etcd.error().message);
    ResourceStore store(*std::move(etcd));
    switch (command->verb) {
        case ResourceCommand::Verb::apply:
            return apply(*command, store);
        case ResourceCommand::Verb::get:
            return get(*command, store);
        case ResourceCommand::Verb::remove:
            break;
    }
    return remove(*command, store);
}

}  // namespace weft
