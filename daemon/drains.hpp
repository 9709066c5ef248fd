// Devices that nothing is sent through any more: when has nothing come in through them for so long that they can go?
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tunnel/desired.hpp"

namespace weft {

class Drains {
  public:
    using Clock = std::chrono::steady_clock;
    /// How many packets have come in through a device so far.
    using Received = std::function<std::uint64_t(Device)>;

    /// The ones that are to go now: quiet for `quiet` up to this very look, or watched for `longest`. What comes in
    /// after an earlier look counts, because another node may have begun to send that way again.
    std::vector<Device> look(Clock::time_point now, std::chrono::seconds quiet, std::chrono::seconds longest,
                             const Received& received);
    /// From now on these are watched, and no others.
    void watch(const std::vector<Device>& idle, Clock::time_point now, const Received& received);
    std::vector<Device> devices() const;

  private:
    struct Drain {
        std::uint64_t received = 0;
        Clock::time_point since{};  ///< nothing has come in
        Clock::time_point begin{};  ///< nothing is sent
    };

    std::map<Device, Drain> drains_;
};

/// Packets that came in through a device since it was made (/proc/net/dev); nullopt: there is no such device.
std::optional<std::uint64_t> received_packets(const std::string& device);

}  // namespace weft
