#include "daemon/drains.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace weft {

std::vector<Device> Drains::look(Clock::time_point now, std::chrono::seconds quiet, std::chrono::seconds longest,
                                 const Received& received) {
    std::vector<Device> drained;
    for (auto& [role, drain] : drains_) {
        const std::uint64_t packets = received(role);
        if (packets != drain.received) {
            drain.received = packets;
            drain.since = now;
        }
        if (now - drain.since >= quiet || now - drain.begin >= longest) drained.push_back(role);
    }
    return drained;
}

void Drains::watch(const std::vector<Device>& idle, Clock::time_point now, const Received& received) {
    std::erase_if(drains_, [&](const auto& at) { return std::ranges::find(idle, at.first) == idle.end(); });
    for (const Device role : idle) {
        if (!drains_.contains(role)) drains_.emplace(role, Drain{received(role), now, now});
    }
}

std::vector<Device> Drains::devices() const {
    std::vector<Device> devices;
    devices.reserve(drains_.size());
    for (const auto& [role, drain] : drains_) devices.push_back(role);
    return devices;
}

std::optional<std::uint64_t> received_packets(const std::string& device) {
    std::ifstream file("/proc/net/dev");
    for (std::string line; std::getline(file, line);) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const auto name = line.find_first_not_of(' ');
        if (line.compare(name, colon - name, device) != 0) continue;
        std::istringstream fields(line.substr(colon + 1));
        std::uint64_t bytes = 0;
        std::uint64_t packets = 0;
        fields >> bytes >> packets;
        return packets;
    }
    return std::nullopt;
}

}  // namespace weft
