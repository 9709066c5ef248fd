#include <utility>

#include "conf/resource_store.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>

#include <charconv>
#include <chrono>
#include <set>
#include <thread>

#include "conf/ipam.hpp"
#include "conf/json.hpp"
#include "conf/node_removal.hpp"
#include "conf/registrar.hpp"
#include "conf/resource_rules.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

constexpr unsigned kMostConflicts = 10;
/// As Calico does, between disabling a pool and freeing its blocks: what is being allocated can come to its end.
constexpr std::chrono::milliseconds kAllocationsEnd{500};

Error not_there(const ResourceId& id) {
    return {fmt::format("{}{}", kDoesNotExist, calico_name(id))};
}

Error conflict(const ResourceId& id, const std::string& why) {
    return {fmt::format("update conflict: {}: {}", calico_name(id), why)};
}

Error out_of_date(const ResourceId& id, std::int64_t stated, std::int64_t latest) {
    return conflict(id, fmt::format("Resource version '{}' is out of date (latest: {}). Update the resource YAML/JSON "
                                    "in order to make changes.",
                                    stated, latest));
}

bool is_for_node(const json& peer, const std::string& node) {
    return member(member(peer, "spec"), "node") == node;
}

}  // namespace

Result<std::int64_t> stated_revision(const json& manifest) {
    const json& stated = member(member(manifest, "metadata"), "resourceVersion");
    if (stated.is_null() || is_empty_text(stated)) return 0;
    const std::string text = stated.is_string() ? stated.get<std::string>() : stated.dump();
    std::int64_t revision = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (failure == std::errc{} && end == text.data() + text.size() && revision > 0) return revision;
    return Error{fmt::format("metadata.resourceVersion '{}' is no revision of etcd: leave it out", shown(text))};
}

struct ResourceStore::Implementation {
    explicit Implementation(EtcdOptions options) : client(io, std::move(options)) {}

    /// Begins something that answers later, and waits for the answer.
    template <class T, class Begin>
    Result<T> wait(Begin begin) {
        std::optional<Result<T>> answer;
        begin([&answer](Result<T> got) { answer.emplace(std::move(got)); });
        io.restart();
        while (!answer && io.run_one() > 0) {
        }
        return answer ? *std::move(answer) : Result<T>(Error{"etcd: no answer"});
    }
    Result<EtcdSnapshot> read(const std::vector<std::string>& prefixes) {
        return wait<EtcdSnapshot>([&](auto done) { client.read(prefixes, std::move(done)); });
    }
    Result<EtcdSnapshot> keys(const std::vector<std::string>& prefixes) {
        return wait<EtcdSnapshot>([&](auto done) { client.read_keys(prefixes, std::move(done)); });
    }
    /// False: a compare did not hold.
    Result<bool> transact(const EtcdTransaction& transaction) {
        const auto done = wait<EtcdTransacted>([&](auto then) { client.transact(transaction, std::move(then)); });
        if (!done) return done.error();
        return done->succeeded;
    }

    /// Unset: there is no such key.
    Result<std::optional<EtcdKeyValue>> key(const std::string& name) {
        auto found = wait<EtcdSnapshot>([&](auto done) { client.get(name, std::move(done)); });
        if (!found) return found.error();
        if (found->kvs.empty()) return std::optional<EtcdKeyValue>();
        return std::optional(std::move(found->kvs.front()));
    }

    Result<PoolSurroundings> surroundings(bool new_pool) {
        PoolSurroundings beside;
        const auto pools = read({key_of({.kind = ResourceKind::ip_pool, .name = {}})});
        if (!pools) return pools.error();
        for (const EtcdKeyValue& kv : pools->kvs) {
            const auto object = parse_json(kv.value);
            const auto cidr = object ? pool_prefix(*object) : std::nullopt;
            if (cidr) beside.pools[id_of_key(kv.key).value_or(ResourceId{}).name] = *cidr;
        }
        if (!new_pool) return beside;
        const auto blocks = keys({std::string(kBlockKeys4), std::string(kBlockKeys6)});
        if (!blocks) return blocks.error();
        for (const EtcdKeyValue& kv : blocks->kvs) {
            if (const auto cidr = block_of_key(kv.key)) beside.blocks.push_back(*cidr);
        }
        return beside;
    }

    /// Frees the pool's blocks: of each the affinity goes, and the block too when nothing in it is in use.
    Result<std::vector<std::string>> release_blocks(const Prefix& pool) {
        const auto blocks = read({std::string(pool.family() == Family::v4 ? kBlockKeys4 : kBlockKeys6)});
        if (!blocks) return blocks.error();
        std::size_t used = 0;
        std::size_t in_use = 0;
        for (const EtcdKeyValue& kv : blocks->kvs) {
            const auto cidr = block_of_key(kv.key);
            if (!cidr || !pool.contains(*cidr)) continue;
            const auto left = release_block(kv);
            if (!left) return left.error();
            used += *left;
            in_use += *left == 0 ? 0 : 1;
        }
        const auto affinities = keys({"/calico/ipam/v2/host/"});
        if (!affinities) return affinities.error();
        for (const EtcdKeyValue& kv : affinities->kvs) {
            const auto cidr = block_of_key(kv.key);
            if (!cidr || !pool.contains(*cidr)) continue;
            const auto done =
                transact({.compares = {unchanged(kv.key, kv.mod_revision)}, .then = {erase(kv.key)}, .otherwise = {}});
            if (!done) return done.error();
        }
        if (used == 0) return std::vector<std::string>();
        return std::vector{
            fmt::format("{} addresses in {} blocks of {} are still allocated: what has them is not "
                        "reachable any more, and their blocks stay until they are released",
                        used, in_use, to_string(pool))};
    }

    /// Answers how many addresses in it are in use.
    Result<std::size_t> release_block(EtcdKeyValue block) {
        for (unsigned i = 0; i < kMostConflicts; ++i) {
            auto document = BlockDocument::parse(block.value);
            if (!document) return Error{fmt::format("{}: {}", block.key, document.error().message)};
            EtcdTransaction change{.compares = {unchanged(block.key, block.mod_revision)}, .then = {}, .otherwise = {}};
            if (!document->node().empty()) {
                const std::string affinity = affinity_key(document->node(), document->cidr());
                const auto held = key(affinity);
                if (!held) return held.error();
                change.compares.push_back(unchanged(affinity, *held ? (*held)->mod_revision : 0));
                if (*held) change.then.push_back(erase(affinity));
            }
            const std::size_t used = document->used();
            if (used > 0 && !document->affine()) return used;
            document->clear_affinity();
            change.then.push_back(used == 0 ? erase(block.key) : put(block.key, document->next()));
            const auto done = transact(change);
            if (!done) return done.error();
            if (*done) return used;
            auto now = key(block.key);
            if (!now) return now.error();
            if (!*now) return std::size_t{0};
            block = **std::move(now);
        }
        return Error{fmt::format("{} changes all the time: try again", block.key)};
    }

    /// Disables the pool, so that nothing takes addresses from it any more, and frees its blocks.
    Result<std::vector<std::string>> empty_pool(const ResourceId& id, EtcdKeyValue& held) {
        auto object = parse_json(held.value);
        const auto cidr = object ? pool_prefix(*object) : std::nullopt;
        if (!cidr) return std::vector<std::string>();
        if (!(*object)["spec"].value("disabled", json()).is_boolean() || !(*object)["spec"]["disabled"].get<bool>()) {
            (*object)["spec"]["disabled"] = true;
            const auto done = transact({.compares = {unchanged(held.key, held.mod_revision)},
                                        .then = {put(held.key, object->dump())},
                                        .otherwise = {}});
            if (!done) return done.error();
            if (!*done) return conflict(id, "somebody else has changed it at this moment: try again");
        }
        std::this_thread::sleep_for(kAllocationsEnd);
        auto remarks = release_blocks(*cidr);
        if (!remarks) return remarks.error();
        auto now = key(held.key);
        if (!now) return now.error();
        if (*now) held = **std::move(now);
        return remarks;
    }

    /// What is for a node alone, besides what its registration has written.
    Result<Done> remove_objects_for(const std::string& node) {
        std::vector<std::string> gone{key_of({.kind = ResourceKind::bgp_configuration, .name = "node." + node}),
                                      key_of({.kind = ResourceKind::felix_configuration, .name = "node." + node})};
        const auto peers = read({key_of({.kind = ResourceKind::bgp_peer, .name = {}})});
        if (!peers) return peers.error();
        for (const EtcdKeyValue& kv : peers->kvs) {
            const auto object = parse_json(kv.value);
            if (object && is_for_node(*object, node)) gone.push_back(kv.key);
        }
        for (const std::string& each : gone) {
            const auto done = transact({.compares = {}, .then = {erase(each)}, .otherwise = {}});
            if (!done) return done.error();
        }
        return Done{};
    }

    boost::asio::io_context io{1};
    EtcdClient client;
};

ResourceStore::ResourceStore(EtcdOptions options)
    : implementation_(std::make_unique<Implementation>(std::move(options))) {}

ResourceStore::~ResourceStore() = default;

Result<std::vector<StoredResource>> ResourceStore::list(ResourceKind kind) {
    const auto found = implementation_->read({key_of({.kind = kind, .name = {}})});
    if (!found) return found.error();
    std::vector<StoredResource> all;
    for (const EtcdKeyValue& kv : found->kvs) {
        auto id = id_of_key(kv.key);
        if (!id) continue;
        auto object = parse_json(kv.value);
        if (!object) return Error{fmt::format("{}: {}", kv.key, object.error().message)};
        all.push_back({.id = *std::move(id), .object = *std::move(object), .revision = kv.mod_revision});
    }
    return all;
}

Result<StoredResource> ResourceStore::get(const ResourceId& id) {
    const auto held = implementation_->key(key_of(id));
    if (!held) return held.error();
    if (!*held) return not_there(id);
    auto object = parse_json((*held)->value);
    if (!object) return Error{fmt::format("{}: {}", (*held)->key, object.error().message)};
    return StoredResource{.id = id, .object = *std::move(object), .revision = (*held)->mod_revision};
}

Result<ResourceWritten> ResourceStore::apply(const ResourceId& id, const json& manifest) {
    const auto stated = stated_revision(manifest);
    if (!stated) return stated.error();
    const std::string key = key_of(id);
    const Birth birth{.uid = random_uuid(), .created = rfc3339(now_nanoseconds())};
    for (unsigned i = 0; i < kMostConflicts; ++i) {
        const auto held = implementation_->key(key);
        if (!held) return held.error();
        std::optional<json> stored;
        if (*held) {
            auto object = parse_json((*held)->value);
            // What is no object at all has nothing that could be kept: it is put right.
            if (object) stored = *std::move(object);
            if (*stated != 0 && *stated != (*held)->mod_revision) {
                return out_of_date(id, *stated, (*held)->mod_revision);
            }
        }
        PoolSurroundings beside;
        if (id.kind == ResourceKind::ip_pool) {
            auto read = implementation_->surroundings(!*held);
            if (!read) return read.error();
            beside = *std::move(read);
        }
        ResourceEdit edit = edit_resource(id, manifest, stored ? &*stored : nullptr, beside, birth);
        if (!edit.errors.empty()) return Error{validation_words(id, edit.object, edit.errors)};
        ResourceWritten written{.changed = edit.changed, .warnings = std::move(edit.warnings), .remarks = {}};
        if (!edit.changed) return written;
        const auto done = implementation_->transact(
            {.compares = {*held ? unchanged(key, (*held)->mod_revision) : absent(key)},
             .then = {put(key, edit.object.dump(-1, ' ', false, json::error_handler_t::replace))},
             .otherwise = {}});
        if (!done) return done.error();
        if (*done) return written;
    }
    return conflict(id, "others change it all the time: try again");
}

Result<ResourceWritten> ResourceStore::remove(const ResourceId& id, std::int64_t revision) {
    ResourceWritten written;
    auto held = implementation_->key(key_of(id));
    if (!held) return held.error();
    if (!*held && id.kind != ResourceKind::node) return not_there(id);
    if (*held && revision != 0 && revision != (*held)->mod_revision) {
        return out_of_date(id, revision, (*held)->mod_revision);
    }
    if (id.kind == ResourceKind::node) {
        const auto done = implementation_->wait<std::vector<std::string>>(
            [&](auto then) { remove_node(implementation_->client, id.name, std::move(then)); });
        if (!done) return *held ? done.error() : not_there(id);
        const auto rest = implementation_->remove_objects_for(id.name);
        if (!rest) return rest.error();
        return written;
    }
    if (id.kind == ResourceKind::ip_pool) {
        auto remarks = implementation_->empty_pool(id, **held);
        if (!remarks) return remarks.error();
        written.remarks = *std::move(remarks);
    }
    const auto done = implementation_->transact(
        {.compares = {unchanged((*held)->key, (*held)->mod_revision)}, .then = {erase((*held)->key)}, .otherwise = {}});
    if (!done) return done.error();
    if (!*done) return conflict(id, "somebody else has changed it at this moment: look at it, and try again");
    return written;
}

}  // namespace weft
