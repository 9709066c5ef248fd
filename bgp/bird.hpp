// BIRD's life, as far as weft has a say in it: started where nobody answers, adopted where one does, given its
// configuration, watched, sent away.
//
// Three rules that everything here keeps:
// - There is never a second BIRD: one is started only where nothing listens on the socket and no process of an earlier
//   start is left.
// - A BIRD that routes is left to it: weftd's end does not touch it, the next weftd adopts it, and one that already
//   runs the very configuration that is wanted is told nothing at all.
// - A configuration reaches a running BIRD only when `bird -p` has taken it in a child process, and counts as running
//   only when BIRD says so (`eval WEFT_GEN`). Otherwise the earlier one stays, in BIRD and on disk.
//
// A configuration that replaces most sessions (replaced_sessions.hpp) costs no packet: BIRD leaves without a word and
// is started with it, so that both sides keep their routes meanwhile. Not with `spawn no`, where weft starts no BIRD.
//
// What goes wrong is in status().reason in one line, is logged once, and is tried again with back-off (0.5 to 30 s).
// Cost: `show protocols` and `show status` every 3 s when all is quiet, four times a second while sessions come up.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bgp/dialogue.hpp"
#include "bgp/render.hpp"
#include "bgp/status.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

struct BirdSettings {
    std::string program;
    std::string socket;
    std::string state_directory;
    bool spawn = true;         ///< false: something else starts BIRD, weft attaches to it
    std::uint16_t port = 179;  ///< of BGP, for what is said when another has it
    bool operator==(const BirdSettings&) const = default;
};

class Bird {
  public:
    struct Surroundings {
        /// Told after each change of status(); never from within a call of this class's.
        std::function<void()> changed;
        /// Whether the kernel holds routes of an earlier BIRD: only then is one started with recovery (-R), which
        /// keeps them, and keeps new ones out until the sessions are back.
        std::function<bool()> kernel_has_routes;
        /// Who listens on a TCP port: "process 812 (gobgpd)", or empty.
        std::function<std::string(std::uint16_t)> port_owner;
    };

    Bird(boost::asio::io_context& io, Surroundings surroundings);
    ~Bird();  ///< leaves BIRD as it is
    Bird(const Bird&) = delete;
    Bird& operator=(const Bird&) = delete;

    /// BIRD is to run with this configuration. Nothing happens when that is what was wanted before.
    void want(BirdSettings settings, BirdConfig config);
    /// BIRD is to end: its file goes first, so that nobody starts it again. status() is `off` when it is gone. One that
    /// has weft's configuration included in its own is not ended, but given an empty one.
    void unwanted(BirdSettings settings, Goodbye goodbye);
    /// The IPIP device has come or come back: the routes through it have to be programmed anew.
    void ipip_device_appeared();

    const BgpStatus& status() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
