// An etcd that holds a synthetic cluster in Calico's layout: as much of the JSON gateway as a weftd asks for (ranges by
// page, watches), on loopback, from a thread of its own. It takes no writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "conf/cluster.hpp"
#include "tests/bench/measure.hpp"

namespace weft::bench {

/// The objects that Calico keeps for this cluster, by key: its pools, nodes, blocks and affinities, written as Calico
/// writes them.
std::map<std::string, std::string> calico_objects(const Cluster& cluster);

class Store {
  public:
    explicit Store(std::map<std::string, std::string> objects);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    std::uint16_t port() const { return port_; }
    std::size_t size() const { return objects_.size(); }
    bool watched() const { return watcher_ >= 0; }
    /// Changes the objects to these, and tells the watcher, in one portion; when it began to.
    Clock::time_point become(const std::map<std::string, std::string>& objects);

  private:
    void serve();
    /// False: the connection is to be closed.
    bool answer(int connection, std::string& received);
    std::string range(std::string_view body) const;
    void watch(int connection, std::string_view body);
    std::string header() const;

    std::map<std::string, std::string> objects_;
    mutable std::mutex mutex_;
    std::int64_t revision_ = 1000;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> watcher_ = -1;          ///< the connection of the last watch
    std::vector<std::string> watched_keys_;  ///< prefixes, by the number of their watch
    std::atomic<bool> over_ = false;
    std::thread thread_;
};

}  // namespace weft::bench
