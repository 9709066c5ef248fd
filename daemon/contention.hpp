// Somebody else changes what weft owns. Once or twice that is a slip, and weft puts it right at once. Again and again
// it is a fight between two programs that nobody wins and that fills the kernel's log: then weft repairs the object
// ever more rarely, says so, and names who does it, as far as the kernel tells.
//
// Each object by itself: a route that is fought over does not delay the repair of another. A few repairs are free, then
// each waits twice as long as the one before; an object that is left alone for a while has a clean slate again, and so
// has one that is to be something else than before: that is no fight, it is weft's own change.
//
// What is held back takes along what cannot be done without it: what is on a device, the routes of a nexthop. And while
// a route stays where it was, nothing goes that it may stand on.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tunnel/difference.hpp"
#include "tunnel/plan.hpp"

namespace weft {

class Contention {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr unsigned kFree = 6;  ///< repairs at once, before the first that has to wait
    static constexpr std::chrono::seconds kFirstWait{1};
    static constexpr std::chrono::seconds kLongestWait{60};
    static constexpr std::chrono::seconds kForgotten{10};  ///< so long without a repair, past its wait

    /// A notification about `object` (Kernel::Notice), and the netlink port that caused it, 0: not known.
    void heard(const std::string& object, std::uint32_t by);
    /// Takes out of `changes` those whose time has not come, and what hangs on them. The others count as repairs where
    /// `drift` says that somebody else made them necessary.
    void hold_back(std::vector<Change>& changes, bool drift, Clock::time_point now);
    /// When the first of what was held back is due; unset: nothing is.
    std::optional<Clock::time_point> next() const;
    /// One for each object that is held back, of many the first few.
    std::vector<Problem> problems() const;
    /// What is wanted has changed: start afresh.
    void clear();

  private:
    struct Object {
        unsigned repairs = 0;
        Clock::time_point last{};  ///< repair
        Clock::time_point due{};   ///< not to be repaired before
        bool held = false;
        std::string culprit;
        Change made;  ///< the last repair
    };
    struct Heard {
        std::string object;
        std::string who;
    };

    bool may_repair(const Change& change, bool drift, Clock::time_point now);
    std::string culprit_of(const Change& change) const;
    /// netlink_user, read once for all that somebody does at a time: a thousand deletions are told one by one.
    const std::string& user(std::uint32_t port);

    std::map<std::string, Object> objects_;
    std::deque<Heard> heard_;                     ///< the last few
    std::pair<std::uint32_t, std::string> user_;  ///< the last that was read; forgotten at each repair
};

/// "process 812 (bird)", "netlink port 812"; empty for 0. A program's first netlink socket has its process id for port.
std::string netlink_user(std::uint32_t port);

}  // namespace weft
