// What is known of BIRD and its sessions: written by bgp/bird.hpp, read by readiness, metrics and `weftctl show bgp`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

enum class BirdState : std::uint8_t {
    off,       ///< not wanted (calico_backend vxlan or none)
    starting,  ///< being started, or waited for
    running,   ///< answers on its control socket
    failed,    ///< not to be had; `reason` says why and what to do. Tried again with back-off.
    stopping,
};
std::string_view to_string(BirdState state);

/// A BGP session, as `show protocols` tells it.
struct Session {
    std::string protocol;  ///< BIRD's name: Mesh_192_0_2_12
    std::string peer;      ///< the neighbour's address
    std::string node;      ///< the node that has it; empty: not one of ours
    std::string state;     ///< up, start, down, ...
    std::string info;      ///< BGP state and, if any, the reason: "Established", "Active Socket: Connection refused"
    std::chrono::system_clock::time_point since{};
    bool established = false;
    bool operator==(const Session&) const = default;
};

struct BgpStatus {
    BirdState bird = BirdState::off;
    std::string reason;                               ///< of failed and starting, and what hinders one that runs;
                                                      ///< one line, no password in it
    std::string version;                              ///< "2.0.12"
    bool config_accepted = false;                     ///< BIRD runs the last config that was rendered
    std::string config_error;                         ///< BIRD's own words, else empty
    bool graceful_restart = false;                    ///< recovery in progress
    std::vector<Session> sessions;                    ///< sorted by protocol
    std::chrono::steady_clock::time_point started{};  ///< when weft first wanted BGP
    std::uint64_t restarts = 0;                       ///< of BIRD, by weft
    bool operator==(const BgpStatus&) const = default;
};

}  // namespace weft
