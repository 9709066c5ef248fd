// Carries a change through that is in several steps (tunnel/handover.hpp): remembers which nodes have answered through
// which encapsulation, asks those that have not, watches devices that traffic is leaving until nothing comes in through
// them any more, and says when to look again.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/drains.hpp"
#include "daemon/state.hpp"
#include "tunnel/echo.hpp"

namespace weft {

class Handover {
  public:
    using Clock = std::chrono::steady_clock;
    /// Calls `again` when a node has answered, a device is drained, or time has come to look at BIRD's routes.
    Handover(boost::asio::io_context& io, std::function<void(std::string cause)> again);

    /// The cluster has changed, of which `node` is this node, and packets travel as before: what was answered stays
    /// true, and what drains goes on draining.
    void follow(const Cluster& before, const Cluster& now, std::string_view node);
    /// The way that packets travel has changed as well: what was answered before tells nothing any more.
    void begin(const Cluster& before, const Cluster& now, std::string_view node);
    /// What the kernel may hold now, on the way to `target`. Also fills State::still_announced.
    Desired stage(State& state, Desired target);
    /// Whether BIRD's routes matter.
    bool looks_at_bird() const { return looks_at_bird_; }
    /// What is under way, and nodes that were not waited for any longer.
    std::vector<Problem> problems(const State& state) const;

  private:
    bool accepts(const Echo& echo, Clock::time_point now, std::chrono::seconds patience);
    void look_again(const Stage& stage);

    std::function<void(std::string)> again_;
    Prober prober_;
    boost::asio::steady_timer timer_;
    std::set<Echo> answered_;
    std::map<Echo, Clock::time_point> asked_;  ///< since when
    std::set<Echo> given_up_;
    std::vector<Prefix> turning_;
    Drains drains_;
    std::vector<Device> used_by_bird_;  ///< not wanted any more, and BIRD's routes still lead through them
    std::string cannot_ask_;
    std::size_t held_ = 0;
    std::size_t waiting_ = 0;
    std::chrono::milliseconds pause_{0};
    bool looks_at_bird_ = true;  ///< after a start there may be a handover that the one before began
};

}  // namespace weft
