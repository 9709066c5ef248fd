// Follows the cluster's source, and decides which cluster this node runs on.
//
//   source --SourceUpdate--> guard --> the cluster to run on --> controller
//                              |                  |
//                        held for a while     kept on disk
//
// What the source says is followed, unless most of the cluster is gone from it, or something is while it could not be
// read whole: then what was followed before stays for a while (the source's `hold`), loudly. At the start, until the
// source has been read, the cluster that was last known stands in, from the disk. Writes to the disk are done by a
// thread of their own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "conf/source.hpp"
#include "daemon/last_known.hpp"
#include "daemon/state.hpp"

namespace weft {

class Follower {
  public:
    /// Reports into `state.source`. `followed` is called when there is another cluster to run on, `noted` when only
    /// the source's status is another; neither before follow() has returned.
    Follower(boost::asio::io_context& io, State& state, std::function<void()> followed, std::function<void()> noted);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    /// What a start falls back on until the source is read.
    void recall(LastKnown known);
    /// Follows the source of this configuration; one that is followed already goes on. `running` is the cluster that
    /// is run now; nullptr: none.
    void follow(const Config& config, const Cluster* running);
    /// There is a cluster to run on.
    bool knows() const;
    /// What the source said goes into `config`; the cluster to run on. Only if knows().
    Cluster cluster(Config& config) const;
    /// The cluster that this configuration would make, for previews.
    Result<Cluster> preview(Config& config) const;
    /// Follows what is held.
    Result<Done> accept();
    /// Brings what is to be kept to the disk, and waits for it.
    void stop();

  private:
    void told(SourceUpdate update);
    void report(const SourceUpdate& update);
    /// Why this is not to be followed now; empty: it is.
    std::string objection(const SourceUpdate& update) const;
    void hold(SourceUpdate update, std::string why);
    void take(SourceUpdate update);
    void remember_soon();
    void remember();

    boost::asio::io_context& io_;
    State& state_;
    std::function<void()> followed_;
    std::function<void()> noted_;
    Config config_;
    std::unique_ptr<ClusterSource> source_;
    bool opening_ = false;
    std::shared_ptr<const Cluster> current_;  ///< null for a static source
    SharedSettings settings_;
    std::optional<SourceUpdate> held_;
    boost::asio::steady_timer release_;
    boost::asio::steady_timer keep_;
    bool to_keep_ = false;
    std::chrono::steady_clock::time_point kept_at_{};  ///< last
    std::chrono::system_clock::time_point learned_{};
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    boost::asio::thread_pool disk_{1};
};

}  // namespace weft
