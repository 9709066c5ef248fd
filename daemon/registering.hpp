// `register yes`: this node's own entry in etcd, kept from what the host has (conf/registrar.hpp does the writing).
//
// Begins when the source has been read once, so that an address another node has is not taken over; writes nothing
// while what the source says is held. Reports into `state.registration`; nothing here stops or delays routing.
// Whoever registers this node: another one with its address is told.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/state.hpp"
#include "tunnel/kernel.hpp"

namespace weft {

class EtcdClient;
class Registrar;

class Registering {
  public:
    /// `noted` is called when `state.registration` is another than before, never from look().
    Registering(boost::asio::io_context& io, State& state, Kernel& kernel, std::function<void()> noted);
    ~Registering();
    Registering(const Registering&) = delete;
    Registering& operator=(const Registering&) = delete;

    /// The configuration, the cluster or the host may be another than before.
    void look();
    /// Begins to clean up after a node that is gone; how it went is told in the events and the log. An error: the
    /// cluster does not come from etcd, or such a clean-up is under way.
    Result<Done> remove(const std::string& node);

  private:
    /// What a change of the store has to concern for this node to look at once.
    struct Concern {
        std::vector<Pool> pools;
        std::optional<Node> self;
        std::size_t blocks = 0;
        bool operator==(const Concern&) const = default;
    };

    std::optional<Host> host_now();
    void poll();
    void open(const EtcdSource& source);
    void only_compare();
    std::optional<InterfaceAddress> address(const EtcdSource& source, Family family, std::string& reason);
    Concern concern() const;
    void report();

    boost::asio::io_context& io_;
    State& state_;
    Kernel& kernel_;
    std::function<void()> noted_;
    std::optional<EtcdSource> source_;  ///< that the client is for
    std::string node_;
    std::unique_ptr<EtcdClient> client_;
    std::string instance_;
    std::unique_ptr<Registrar> registrar_;
    boost::asio::steady_timer poll_;  ///< an address that appears on some interface is no notice to us
    std::optional<Host> fresh_;       ///< while polling
    Concern seen_;
    std::vector<std::string> found_;                ///< what is wrong with the addresses and against other nodes
    std::map<std::string, std::string> contended_;  ///< nodes that hold an address of this machine's, and which
    std::vector<std::string> said_;
    std::string removing_;
};

/// What two nodes both have: "address 192.0.2.1", "VXLAN tunnel address 10.65.0.0".
std::vector<std::string> shared_addresses(const Node& one, const Node& other);
/// Other nodes that have an address or a tunnel address of this node's, in words for both.
std::vector<std::string> address_conflicts(const Cluster& cluster, const std::string& node);

}  // namespace weft
