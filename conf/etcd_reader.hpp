// `source etcd`: the cluster read from etcd in Calico's layout.
//
// Everything of interest is read at one revision, then followed; what was read stays while etcd cannot be reached, and
// what came meanwhile arrives. Each changed key is decoded once; a burst of changes is told together.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "conf/etcd_client.hpp"
#include "conf/etcd_watch.hpp"
#include "conf/source.hpp"

namespace weft {

class EtcdReader final : public ClusterSource {
  public:
    /// `node`: whose settings are asked for.
    EtcdReader(boost::asio::io_context& io, EtcdOptions options, std::string node);
    ~EtcdReader() override;
    EtcdReader(const EtcdReader&) = delete;
    EtcdReader& operator=(const EtcdReader&) = delete;

    void start(std::function<void(SourceUpdate)> told) override;
    const Resources& resources() const { return resources_; }
    /// For whoever writes to the same store.
    EtcdClient& client() { return client_; }

  private:
    void take(const std::vector<EtcdKeyValue>& page, bool first);
    void take(const EtcdHeader& all);
    void take(const std::vector<EtcdEvent>& events);
    void put(const ResourceId& id, const EtcdKeyValue& kv);
    void tell_soon();
    void tell();

    EtcdClient client_;
    std::string node_;
    Resources resources_{false};
    std::function<void(SourceUpdate)> told_;
    std::unique_ptr<EtcdFollower> follower_;
    boost::asio::steady_timer settle_;
    SourceStatus status_;
    std::string trouble_;
    std::string suspicion_;  ///< of the next telling alone
    EtcdHeader store_;
    bool telling_ = false;
    std::set<ResourceId> unseen_;  ///< while everything is read: what was held before and has not come yet
};

/// What weft reads of Calico's keys, as prefixes.
const std::vector<std::string>& calico_prefixes();

}  // namespace weft
