#include <utility>

#include "conf/etcd_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"

namespace weft {
namespace {

/// Long enough for the other keys of one change (a block and its affinity), short enough to go unnoticed.
constexpr std::chrono::milliseconds kSettle{5};

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
            .page = [this](const std::vector<EtcdKeyValue>& kvs, bool first) { take(kvs, first); },
            .snapshot = [this](const EtcdSnapshot& all) { take(all.header); },
            .events = [this](const std::vector<EtcdEvent>& events) { take(events); },
            .trouble =
                [this](std::string why) {
                    trouble_ = std::move(why);
                    status_.trouble = trouble_;
                    // Only the status is another: nothing is known of the cluster that was not before.
                    told_({.cluster = {}, .settings = {}, .status = status_, .incomplete = {}, .suspicion = {}});
                }});
}

/// Each page is decoded when it comes, because all of the store's text is many times what it amounts to. Nothing is
/// told before the last one.
void EtcdReader::take(const std::vector<EtcdKeyValue>& page, bool first) {
    if (first) {
        settle_.cancel();
        telling_ = true;
        unseen_.clear();
        for (ResourceId& id : resources_.ids()) unseen_.insert(std::move(id));
    }
    for (const EtcdKeyValue& kv : page) {
        const auto id = id_of_key(kv.key);
        if (!id) continue;
        unseen_.erase(*id);
        put(*id, kv);
    }
}

void EtcdReader::take(const EtcdHeader& all) {
    if (status_.synced && all.cluster_id != store_.cluster_id) {
        suspicion_ = "another etcd cluster answers than before";
    } else if (status_.synced && all.revision < status_.revision) {
        suspicion_ = fmt::format("etcd is back at revision {} from {}, as if restored from a backup", all.revision,
                                 status_.revision);
    }
    store_ = all;
    status_.revision = all.revision;
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
    const auto where = [&](const std::string&) { return kv.key; };
    if (kv.value.empty()) return resources_.put(id, nullptr, where);
    const auto object = parse_json(kv.value);
    if (object) {
        resources_.put(id, *object, where);
    } else {
        resources_.refuse(id, {.field = {}, .message = object.error().message}, where);
    }
}

void EtcdReader::tell_soon() {
    if (std::exchange(telling_, true)) return;
    settle_.expires_after(kSettle);
    settle_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) tell();
    });
}

void EtcdReader::tell() {
    telling_ = false;
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
