// Keeps this node registered: reads what conf/registration.hpp decides from, does what it decides, and looks again when
// something changed and from time to time, so that what others free or change is put right.
//
// It also keeps a sign of life, a key of its own under a lease, and thereby sees another live weftd of the same name:
// the one that came later writes nothing, and both say so. Under the same lease it leaves a word for a node whose
// address this machine has too, so that both say that as well.
//
// Nothing here stops or delays routing: what cannot be had is in the status, and tried again.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/etcd_client.hpp"
#include "conf/registration.hpp"

namespace weft {

/// What begins the keys under which live weftds of a node stand. Calico ignores it.
std::string alive_keys(const std::string& node);
/// What begins the keys under which others stand that have an address of this node's, and therefore do not register it.
std::string contender_keys(const std::string& node);

class Registrar {
  public:
    struct Options {
        std::string node;
        /// Of this machine, the same after a restart: what tells it from another of the same name.
        std::string instance;
        std::chrono::milliseconds audit{60'000};          ///< looks again after so long, less up to a half by chance
        std::chrono::milliseconds release_after{30'000};  ///< a tunnel address no pool is for is kept so long, for
                                                          ///< others to move their traffic off it first
        std::chrono::seconds life{90};                    ///< a sign of life lasts so long; renewed at a third
    };
    struct Status {
        bool settled = false;                 ///< all that can be had has been written
        std::string trouble;                  ///< why the store could not be read or written; empty: it could
        std::vector<std::string> lacks;       ///< what cannot be had, and what to do
        std::string rival;                    ///< another live weftd of this node's name, in words; empty: none
        std::vector<std::string> contenders;  ///< live nodes that have this node's address too, in words
        RegisteredAddresses addresses;
        std::uint64_t changes = 0;
        std::uint64_t conflicts = 0;  ///< transactions refused because something had changed
        bool operator==(const Status&) const = default;
    };
    struct Told {
        std::function<void(const std::string& what)> done;  ///< a change was made
        std::function<void(const Status&)> status;          ///< it is another than before
    };

    /// `client` has to outlive it. Begins with the first addresses.
    Registrar(EtcdClient& client, Options options, Told told);
    ~Registrar();
    Registrar(const Registrar&) = delete;
    Registrar& operator=(const Registrar&) = delete;

    /// This node's addresses; unset: there is none, and what the store has stays.
    void set_addresses(std::optional<InterfaceAddress> address4, std::optional<InterfaceAddress> address6);
    /// Nodes that hold an address which this machine has too, each with that address: they are told.
    void contend(const std::map<std::string, std::string>& held);
    /// Something that concerns this node may have changed in the store.
    void look();
    /// While held it writes nothing: what the store says is not to be trusted. A sign of life that stands is kept
    /// alive.
    void hold(bool held);
    const Status& status() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

/// A random UUID, version 4.
std::string random_uuid();

}  // namespace weft
