// The seam between the cluster's sources and the daemon: what every source tells, asynchronously, on the io_context.
//
//   directory, etcd --SourceUpdate--> daemon/follower --Cluster--> controller
//
// A static file needs none of this: what it says is there once it is read.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conf/finding.hpp"
#include "conf/resources.hpp"

namespace weft {

/// What a source tells: its status always, the cluster when it is known whole.
struct SourceUpdate {
    std::shared_ptr<const Cluster> cluster;  ///< null: not known, or not to be followed (status.trouble says why)
    SharedSettings settings;
    SourceStatus status;
    /// Why objects may be missing that were there before: a file or an object that never could be read. Empty: none.
    std::string incomplete;
    /// Why this may not be the cluster that was followed: another store, a store from before. Empty: it is.
    std::string suspicion;
};

class ClusterSource {
  public:
    virtual ~ClusterSource() = default;
    /// Begins to read, and calls `told` for each thing new until the source is destroyed; the first time perhaps
    /// before it returns.
    virtual void start(std::function<void(SourceUpdate)> told) = 0;
};

/// What the source's objects amount to now; `status` is taken over and completed.
SourceUpdate update_of(const Resources& held, const std::string& node, SourceStatus status);

}  // namespace weft
