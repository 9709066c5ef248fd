#include <utility>

#include "conf/etcd_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

/// In a burst: long enough for the other keys of one change (a block and its affinity), short enough to go unnoticed.
constexpr std::chrono::milliseconds kSettle{5};
/// So long after the last change the next is the first of its burst, if it is one: it does not wait.
constexpr std::chrono::milliseconds kQuiet{50};

/// More than any good key; of others the beginning will do.
constexpr std::size_t kLongestKey = 400;

std::string name_of(const EtcdOptions& options) {
    return fmt::format("etcd {}", fmt::join(options.endpoints, " "));
}

}  // namespace

const std::vector<std::string>& calico_prefixes() {
    static const std::vector<std::string> kPrefixes{"/calico/ipam/v2/assignment/",
                                                    "/calico/ipam/v2/host/",
                                                    "/calico/resources/v3/projectcalico.org/bgpconfigurations/",
                                                    "/calico/resources/v3/projectcalico.org/bgppeers/",
                                                    "/calico/resources/v3/projectcalico.org/clusterinformations/",
                                                    "/calico/resources/v3/projectcalico.org/felixconfigurations/",
                                                    "/calico/resources/v3/projectcalico.org/ippools/",
                                                    "/calico/resources/v3/projectcalico.org/nodes/"};
    return kPrefixes;
}

EtcdReader::EtcdReader(boost::asio::io_context& io, EtcdOptions options, std::string node)
    : client_(io, std::move(options)), node_(std::move(node)), settle_(io) {
    status_.name = name_of(client_.options());
}

EtcdReader::~EtcdReader() = default;

void EtcdReader::start(std::function<void(SourceUpdate)> told) {
    told_ = std::move(told);
    follower_ = std::make_unique<EtcdFollower>(
        client_, calico_prefixes(),
        EtcdFollower::Told{
            .snapshot = [this](const EtcdSnapshot& all) { taken(all.header); },
            .events = [this](const std::vector<EtcdEvent>& events) { take(events); },
            .trouble =
                [this](std::string why) {
                    trouble_ = std::move(why);
                    status_.trouble = trouble_;
                    // Only the status is another: nothing is known of the cluster that was not before.
                    told_({.cluster = {}, .settings = {}, .status = status_, .incomplete = {}, .suspicion = {}});
                },
            .page = [this](bool first, const std::vector<EtcdKeyValue>& kvs) { take_page(first, kvs); }});
}

/// Each page is decoded as it comes: all of them together would be several times as large as what they amount to.
/// Nothing is told before the last.
void EtcdReader::take_page(bool first, const std::vector<EtcdKeyValue>& kvs) {
    if (first) {
        if (telling_) tell();
        unseen_.clear();
        for (ResourceId& id : resources_.ids()) unseen_.insert(std::move(id));
    }
    for (const EtcdKeyValue& kv : kvs) {
        const auto id = id_of_key(kv.key);
        if (!id) continue;
        unseen_.erase(*id);
        put(*id, kv);
    }
}

void EtcdReader::taken(const EtcdHeader& header) {
    if (status_.synced && header.cluster_id != store_.cluster_id) {
        suspicion_ = "another etcd cluster answers than before";
    } else if (status_.synced && header.revision < status_.revision) {
        suspicion_ = fmt::format("etcd is back at revision {} from {}, as if restored from a backup", header.revision,
                                 status_.revision);
    }
    store_ = header;
    status_.revision = header.revision;
    status_.synced = true;
    for (const ResourceId& id : unseen_) resources_.remove(id);
    unseen_.clear();
    tell();
}

void EtcdReader::take(const std::vector<EtcdEvent>& events) {
    bool ours = false;
    for (const EtcdEvent& event : events) {
        status_.revision = std::max(status_.revision, event.kv.mod_revision);
        const auto id = id_of_key(event.kv.key);
        if (!id) continue;
        ours = true;
        if (event.deleted) {
            resources_.remove(*id);
        } else {
            put(*id, event.kv);
        }
    }
    if (ours) tell_soon();
}

void EtcdReader::put(const ResourceId& id, const EtcdKeyValue& kv) {
    const auto where = [&](const std::string&) { return shown(kv.key, kLongestKey); };
    const auto refuse = [&](std::string why) {
        resources_.refuse(id, {.field = {}, .message = std::move(why)}, where);
    };
    // Calico's affinities were empty before they had states.
    const bool may_be_empty = id.kind == ResourceKind::block_affinity;
    if (may_be_empty && kv.value.empty()) return resources_.put(id, nullptr, where);
    const auto object = parse_json(kv.value);
    if (!object) return refuse(object.error().message);
    if (object->is_null() && !may_be_empty) return refuse("expected an object, this is null");
    resources_.put(id, *object, where);
}

void EtcdReader::tell_soon() {
    if (std::exchange(telling_, true)) return;
    const bool quiet = std::chrono::steady_clock::now() - told_at_ > kQuiet;
    settle_.expires_after(quiet ? std::chrono::milliseconds(0) : kSettle);
    settle_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) tell();
    });
}

void EtcdReader::tell() {
    telling_ = false;
    told_at_ = std::chrono::steady_clock::now();
    settle_.cancel();
    SourceStatus status = status_;
    status.trouble.clear();
    SourceUpdate update = update_of(resources_, node_, std::move(status));
    if (update.status.trouble.empty()) update.status.trouble = trouble_;
    update.suspicion = std::exchange(suspicion_, {});
    status_ = update.status;
    told_(std::move(update));
}

}  // namespace weft
