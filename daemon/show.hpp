// The answers to `show ...`: pure over State, for people or (json) for programs.
//
// Replies are pulled while other events change the State, so those that list routes or blocks remember the key of the
// last one told, never an iterator.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "daemon/control_protocol.hpp"
#include "daemon/state.hpp"

namespace weft {

Reply show_status(const State& state, std::chrono::steady_clock::time_point now, bool json);
Reply show_nodes(const State& state, bool json);
Reply show_pools(const State& state, bool json);
Reply show_blocks(const State& state, bool json);
Reply show_tunnels(const State& state, bool json);
/// All routes, or those that hold this address.
Reply show_routes(const State& state, const std::optional<Address>& address, bool json);
Reply show_bgp(const State& state, bool json);
/// As BIRD's `show protocols`, codes and columns included.
Reply show_protocols(const State& state, std::chrono::system_clock::time_point now, bool json);
/// Every effective value and its origin. Passwords are starred out.
Reply show_config(const State& state, bool json);
Reply show_events(const State& state, bool json);

/// "2026-11-24 14:46:12", local time; "-" for a time that never was.
std::string time_text(std::chrono::system_clock::time_point at);
/// "2026-11-24T14:46:12Z", for programs; empty for a time that never was.
std::string iso_text(std::chrono::system_clock::time_point at);
/// The interface's name for a device's role, as this node has it: "vxlan.calico"; empty for Device::none.
std::string device_name(const State& state, Device device);
/// What `decide` is asked with.
PlanInput plan_input(const State& state);
/// The node whose VTEP, underlay address or block this route leads to: its name, or empty.
std::string node_behind(const State& state, const Route& route);

}  // namespace weft
