// The daemon's BGP side: what the controller does about BIRD.
//
//   cluster, settings --render--> configuration --> Bird --> status --> State::bgp
//
// BIRD comes after the kernel: the IPIP device exists and is up by the time its filters run. It goes after the kernel,
// too: where BGP is switched off, weftd's own routes are in place before BIRD ends and the routes that it leaves in the
// pools are removed.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bgp/bird.hpp"
#include "daemon/state.hpp"
#include "tunnel/kernel.hpp"

namespace weft {

/// BIRD's routing protocol number (RTPROT_BIRD).
inline constexpr std::uint8_t kBirdProtocol = 12;

class BgpSide {
  public:
    /// `state` and `kernel` outlive it; `changed` is called after each change of state.bgp.
    BgpSide(boost::asio::io_context& io, State& state, Kernel& kernel, std::function<void()> changed);

    /// The cluster or the settings are others than before.
    void cluster_changed() { stale_ = true; }
    /// The kernel was written to: whether BIRD has to hear of it.
    void kernel_changed(std::span<const Change> changes);
    /// Says to BIRD what follows from the state. Called after each reconcile, costs nothing when nothing is new.
    void follow();

  private:
    void want();
    void take_over_status();
    void remove_leftovers();

    State& state_;
    Kernel& kernel_;
    std::function<void()> changed_;
    Bird bird_;
    boost::asio::steady_timer patience_;  ///< when readiness begins to judge sessions otherwise
    bool stale_ = true;                   ///< the rendered configuration is
    bool leftovers_ = true;               ///< BIRD's routes may be in the kernel while BGP is off
    std::vector<Pool> announced_;         ///< State::still_announced, as BIRD was last told
    std::vector<Pool> pools_;             ///< of the last configuration that BIRD was wanted with
};

BirdSettings bird_settings(const Config& config);
BirdConfig bird_config(const Config& config, const Cluster& cluster);

/// BIRD's routes in these pools, as removals.
Result<std::vector<Change>> removal_of_birds_routes(Kernel& kernel, const std::vector<Pool>& pools);

/// What `config` changes in BIRD's configuration on disk, a line each ("-old", "+new"), passwords starred out; empty:
/// nothing.
std::string bird_difference(const Config& config, const Cluster& cluster);
/// The shortest such difference of two texts.
std::string line_difference(std::string_view before, std::string_view after);

}  // namespace weft
