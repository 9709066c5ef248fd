// Following what changes in etcd.
//
// EtcdWatch: the changes under some prefixes from given revisions on, over one stream that is made anew, at the next
// endpoint and from where it had got to, whenever it ends, breaks or says nothing for too long (etcd tells its progress
// only every ten minutes, so a stream that a proxy has swallowed looks like one on which nothing happens; making a new
// one costs a request and no reading). What cannot be resumed (the revision is compacted away, the store is another or
// an older one) is told as lost.
//
// EtcdFollower: reads everything first, watches from that revision on, and reads afresh when the watch is lost.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conf/etcd_client.hpp"

namespace weft {

class EtcdWatch {
  public:
    struct Told {
        /// Of one prefix, in the order of their revisions; never twice, but for a change that etcd sends in fragments.
        std::function<void(const std::vector<EtcdEvent>&)> events;
        /// The end of this watch: changes are missing, read afresh. Why.
        std::function<void(std::string)> lost;
        /// Why nothing can come at present (it is being tried again), or "" when the stream is up again.
        std::function<void(std::string)> trouble;
    };

    /// `client` has to outlive it. `cluster_id`, where not 0: of the store that was read. Telling begins later, never
    /// from here; a callback may end the watch.
    EtcdWatch(EtcdClient& client, std::vector<EtcdWatched> watched, std::uint64_t cluster_id, Told told);
    ~EtcdWatch();
    EtcdWatch(const EtcdWatch&) = delete;
    EtcdWatch& operator=(const EtcdWatch&) = delete;

    /// How often a stream was opened.
    std::uint64_t streams() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

class EtcdFollower {
  public:
    struct Told {
        /// A part of what the next snapshot is; see EtcdClient::read. Unset: the snapshot has everything.
        EtcdClient::Page page;
        /// Everything; the first one, and each time changes may have been missed.
        std::function<void(EtcdSnapshot)> snapshot;
        std::function<void(const std::vector<EtcdEvent>&)> events;
        /// Why what was told may be out of date, or "" when it is up to date again. What was told before stays true.
        std::function<void(std::string)> trouble;
    };

    /// `client` has to outlive it. Telling begins later, never from here; a callback may end the follower.
    EtcdFollower(EtcdClient& client, std::vector<std::string> prefixes, Told told);
    ~EtcdFollower();
    EtcdFollower(const EtcdFollower&) = delete;
    EtcdFollower& operator=(const EtcdFollower&) = delete;

    std::uint64_t snapshots() const;
    std::uint64_t streams() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
