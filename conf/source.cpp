#include "conf/source.hpp"

#include <fmt/format.h>

namespace weft {

SourceUpdate update_of(const Resources& held, const std::string& node, SourceStatus status) {
    SourceUpdate update{
        .cluster = {}, .settings = held.settings(node), .status = std::move(status), .incomplete = {}, .suspicion = {}};
    update.status.held = held.size();
    update.status.invalid = held.invalid();
    update.status.objects = held.troubles();
    update.status.updated = std::chrono::system_clock::now();
    for (const ObjectTrouble& trouble : update.status.objects) {
        if (trouble.error && !trouble.last_used) update.incomplete = to_string(trouble);
    }
    auto cluster = std::make_shared<const Cluster>(held.cluster(&update.status.objects));
    if (held.datastore_ready()) {
        update.cluster = std::move(cluster);
    } else {
        update.status.trouble =
            "ClusterInformation default says datastoreReady: false (Calico's datastore is being migrated): what it "
            "says is not followed until it is ready";
    }
    return update;
}

}  // namespace weft
