// What the daemon knows of itself: written by the controller alone, read by the HTTP endpoint, the metrics and the
// control socket. All on one thread, so plain values.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bgp/status.hpp"
#include "conf/cluster.hpp"
#include "conf/config.hpp"
#include "conf/finding.hpp"
#include "tunnel/kernel.hpp"
#include "tunnel/plan.hpp"

namespace weft {

/// Start-up as named events, each reached once and in this order; `ready` may be lost and regained.
enum class Phase : std::uint8_t {
    starting,
    config_loaded,
    source_synced,
    kernel_synced,
    bgp_configured,
    bgp_converged,
    ready
};
/// "config-loaded" and so on.
std::string_view to_string(Phase phase);

/// A change made, or a thing that happened, for `show events`.
struct Event {
    std::chrono::system_clock::time_point at;
    std::string what;  ///< "replace route 10.65.2.0/26 via ..."
    std::string why;
};

/// Counts that only grow, by label.
struct Counters {
    std::map<std::pair<std::string, std::string>, std::uint64_t> kernel_writes;  ///< (object kind, "ok"|"error")
    std::map<std::string, std::uint64_t> errors;          ///< by kind: "kernel", "config", "bird", ...
    std::map<std::string, std::uint64_t> drift_repaired;  ///< by object kind
    std::uint64_t reloads_ok = 0;
    std::uint64_t reloads_failed = 0;
    std::uint64_t source_events = 0;  ///< the source told something; a static one does so when its file is read
    std::uint64_t kernel_notices = 0;
    std::uint64_t kernel_resyncs = 0;
    /// Reconcile durations: counts under each bound, and the sum. Bounds in seconds.
    static constexpr std::array<double, 9> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0};
    std::array<std::uint64_t, kBounds.size() + 1> reconcile_buckets{};
    double reconcile_seconds = 0;
    std::uint64_t reconciles = 0;
};

/// Where the cluster comes from, and how that goes.
struct SourceState {
    SourceStatus status;
    std::string held;  ///< why what the source says now is not followed; empty: it is
    std::optional<std::chrono::steady_clock::time_point> held_until;  ///< unset: until it is accepted, or whole again
    /// Runs on the cluster known since then, because the source could not be read yet.
    std::optional<std::chrono::system_clock::time_point> last_known;
    std::string configuration;  ///< why an earlier configuration is run instead of the file; empty: the file is
    std::string disk;           ///< what is wrong with the last known cluster on disk; empty: nothing
};

/// How this node's own entry in the store is doing (`register yes`).
struct RegistrationState {
    bool active = false;
    bool settled = false;            ///< all that can be had is in the store
    std::string address4, address6;  ///< how this node's address was found, or why there is none
    std::vector<std::string> troubles;
};

struct State {
    std::string config_file;
    Config config;
    std::vector<Diagnostic> config_warnings;
    Cluster cluster;
    std::string node;  ///< this node's name
    bool config_loaded = false;
    bool cluster_known = false;  ///< there is a cluster to run on: the source's, or the last known
    bool source_synced = false;
    SourceState source;
    RegistrationState registration;
    bool kernel_synced = false;                                         ///< the last reconcile left nothing to do
    std::optional<std::chrono::steady_clock::time_point> behind_since;  ///< the kernel is not as wanted since then
    Host host;
    Desired desired;
    Observed observed;
    /// Of these pools BIRD is told that they are still its own, because other nodes rely on it (tunnel/handover.hpp).
    std::vector<Pool> still_announced;
    std::vector<Problem> problems;  ///< of the plan, of the kernel, of BIRD; see readiness.hpp for what counts
    std::vector<std::string> kernel_failures;  ///< of the last reconcile, the kernel's words
    BgpStatus bgp;
    Phase phase = Phase::starting;  ///< the furthest reached
    std::chrono::steady_clock::time_point started{};
    std::chrono::system_clock::time_point started_wall{};
    std::chrono::system_clock::time_point last_reload{};
    std::string last_reload_result;  ///< "ok", or what was wrong
    std::deque<Event> events;        ///< the newest kEvents
    Counters counters;

    static constexpr std::size_t kEvents = 100;
    Backend backend() const { return config.backend.value; }
    void note(std::string what, std::string why);
};

}  // namespace weft
