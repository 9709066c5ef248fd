// What the service manager is told (sd_notify(3)); without one, nothing is sent.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace weft {

/// READY=1: start-up is complete.
void notify_ready();
/// RELOADING=1 with the monotonic time that systemd asks for; followed by notify_ready().
void notify_reloading();
void notify_stopping();
/// STATUS=: one line for `systemctl status`.
void notify_status(const std::string& line);
/// WATCHDOG=1: the event loop turns.
void notify_watchdog();
/// How often the service manager wants to hear that (half its limit); unset: never.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace weft
