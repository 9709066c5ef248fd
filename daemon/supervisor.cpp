#include "daemon/supervisor.hpp"

#include <systemd/sd-daemon.h>

#include <ctime>

namespace weft {

void notify_ready() {
    sd_notify(0, "READY=1");
}

void notify_reloading() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000);
}

void notify_stopping() {
    sd_notify(0, "STOPPING=1");
}

void notify_status(const std::string& line) {
    sd_notifyf(0, "STATUS=%s", line.c_str());
}

void notify_watchdog() {
    sd_notify(0, "WATCHDOG=1");
}

std::optional<std::chrono::microseconds> watchdog_interval() {
    std::uint64_t limit = 0;
    if (sd_watchdog_enabled(0, &limit) <= 0 || limit == 0) return std::nullopt;
    return std::chrono::microseconds(limit / 2);
}

}  // namespace weft
