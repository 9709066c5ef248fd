#include "daemon/metrics.hpp"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "daemon/readiness.hpp"
#include "daemon/served.hpp"

namespace weft {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using MetricLabels = std::vector<ClientMetric::Label>;

double seconds(std::chrono::system_clock::time_point at) {
    return std::chrono::duration<double>(at.time_since_epoch()).count();
}

class Families {
  public:
    void gauge(std::string name, std::string help) { begin(std::move(name), std::move(help), MetricType::Gauge); }
    void counter(std::string name, std::string help) { begin(std::move(name), std::move(help), MetricType::Counter); }
    void add(double value, MetricLabels labels = {}) {
        ClientMetric metric;
        metric.label = std::move(labels);
        (families_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
        families_.back().metric.push_back(std::move(metric));
    }
    void histogram(std::string name, std::string help, const Counters& counters) {
        begin(std::move(name), std::move(help), MetricType::Histogram);
        ClientMetric metric;
        metric.histogram.sample_count = counters.reconciles;
        metric.histogram.sample_sum = counters.reconcile_seconds;
        std::uint64_t so_far = 0;
        for (std::size_t i = 0; i < counters.reconcile_buckets.size(); ++i) {
            so_far += counters.reconcile_buckets.at(i);
            const double bound =
                i < Counters::kBounds.size() ? Counters::kBounds.at(i) : std::numeric_limits<double>::infinity();
            metric.histogram.bucket.push_back({so_far, bound});
        }
        families_.back().metric.push_back(std::move(metric));
    }
    std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

  private:
    void begin(std::string name, std::string help, MetricType type) {
        MetricFamily family;
        family.name = std::move(name);
        family.help = std::move(help);
        family.type = type;
        families_.push_back(std::move(family));
    }
    std::vector<MetricFamily> families_;
};

void daemon(const State& state, const Readiness& ready, Families& out) {
    out.gauge("weft_build_info", "Always 1; the version is a label.");
    out.add(1, {{"version", WEFT_VERSION}});
    out.gauge("weft_mode_info", "Always 1; calico_backend is a label.");
    out.add(1, {{"backend", std::string(to_string(state.backend()))}});
    out.gauge("weft_phase", "1 for the phase this node is in, 0 for the others.");
    for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(Phase::ready); ++i) {
        const auto phase = static_cast<Phase>(i);
        out.add(phase == ready.phase ? 1 : 0, {{"phase", std::string(to_string(phase))}});
    }
    out.gauge("weft_ready", "1 when this node serves its traffic.");
    out.add(ready.ready ? 1 : 0);
    out.gauge("weft_readiness_reasons", "Reasons against readiness and warnings, by the object they are about.");
    std::map<std::pair<std::string, bool>, double> reasons;
    for (const Reason& reason : ready.reasons) ++reasons[{reason.object, reason.blocking}];
    for (const auto& [reason, count] : reasons) {
        out.add(count, {{"object", reason.first}, {"blocking", reason.second ? "true" : "false"}});
    }
    const Counters& counters = state.counters;
    out.counter("weft_config_reloads_total", "Configurations that were asked for, by result.");
    out.add(static_cast<double>(counters.reloads_ok), {{"result", "ok"}});
    out.add(static_cast<double>(counters.reloads_failed), {{"result", "error"}});
    out.gauge("weft_config_last_reload_timestamp_seconds", "When a configuration was last asked for.");
    out.add(seconds(state.last_reload));
    out.counter("weft_errors_total", "Errors by kind.");
    std::map<std::string, std::uint64_t> errors{{"bird", 0}, {"config", 0}, {"kernel", 0}, {"source", 0}};
    for (const auto& [kind, count] : counters.errors) errors[kind] = count;
    for (const auto& [kind, count] : errors) out.add(static_cast<double>(count), {{"kind", kind}});
}

void cluster(const State& state, std::chrono::steady_clock::time_point now, Families& out) {
    out.gauge("weft_nodes", "Nodes in the cluster.");
    out.add(static_cast<double>(state.cluster.nodes.size()));
    out.gauge("weft_pools", "IP pools in the cluster.");
    out.add(static_cast<double>(state.cluster.pools.size()));
    if (!state.cluster.pools.empty()) {
        out.gauge("weft_pool_served", "0 for a pool whose routes nobody programs under this calico_backend, else 1.");
    }
    for (const Pool& pool : state.cluster.pools) {
        out.add(server_of(pool, state.backend()) == Server::nobody ? 0 : 1, {{"pool", to_string(pool.cidr)}});
    }
    out.gauge("weft_blocks", "Workload blocks in the cluster.");
    out.add(static_cast<double>(state.cluster.blocks.size()));
    out.gauge("weft_source_synced", "1 once the source of the cluster was read.");
    out.add(state.source_synced ? 1 : 0);
    const SourceState& source = state.source;
    out.gauge("weft_source_up", "1 while the source can be read and followed.");
    out.add(state.source_synced && source.status.trouble.empty() ? 1 : 0);
    out.gauge("weft_source_objects", "Objects that the source holds, valid or not; 0 for a static file.");
    out.add(static_cast<double>(source.status.held));
    out.gauge("weft_source_invalid_objects",
              "Objects in error; of each the last valid form is in use, if there was one.");
    out.add(static_cast<double>(source.status.invalid));
    out.gauge("weft_source_withheld", "1 while what the source says is held back (mass withdrawal, missing objects).");
    out.add(source.held.empty() ? 0 : 1);
    out.gauge("weft_source_last_known", "1 while this node runs on the last known cluster or configuration.");
    out.add(source.last_known || !source.configuration.empty() ? 1 : 0);
    out.gauge("weft_source_revision", "The source's revision: etcd's, or how often the directory was found changed.");
    out.add(static_cast<double>(source.status.revision));
    out.gauge("weft_source_last_update_timestamp_seconds", "When the source last told something new.");
    out.add(seconds(source.status.updated));
    out.counter("weft_source_events_total", "Times that the source of the cluster told something.");
    out.add(static_cast<double>(state.counters.source_events));
    out.gauge("weft_source_lag_seconds", "How long the kernel has been behind the source; 0: it is not.");
    const bool behind = state.behind_since.has_value();
    out.add(behind ? std::chrono::duration<double>(now - *state.behind_since).count() : 0);
}

void kernel(const State& state, Families& out) {
    const auto pair = [&](const char* name, const char* what, std::size_t desired, std::size_t observed) {
        out.gauge(name, what);
        out.add(static_cast<double>(desired), {{"state", "desired"}});
        out.add(static_cast<double>(observed), {{"state", "observed"}});
    };
    pair("weft_routes", "Routes of weft's own, wanted and in the kernel.", state.desired.routes.size(),
         state.observed.routes.size());
    pair("weft_vteps", "Remote VTEPs (FDB entries), wanted and in the kernel.", state.desired.fdb.size(),
         state.observed.fdb.size());
    pair("weft_neighbours", "Permanent neighbours on tunnel devices, wanted and in the kernel.",
         state.desired.neighbours.size(), state.observed.neighbours.size());
    pair("weft_devices", "Tunnel devices, wanted and in the kernel.",
         state.desired.vxlan.size() + (state.desired.ipip ? 1 : 0),
         state.observed.vxlan.size() + (state.desired.ipip && state.observed.ipip ? 1 : 0));
    out.gauge("weft_nexthops", "Nexthop objects of weft's in the kernel.");
    out.add(static_cast<double>(state.observed.nexthops.size()));
    const Counters& counters = state.counters;
    out.counter("weft_kernel_notices_total", "Notifications of changes that others made to what is weft's.");
    out.add(static_cast<double>(counters.kernel_notices));
    out.counter("weft_kernel_writes_total", "Changes written to the kernel, by object and result.");
    for (const char* kind : {"sysctl", "device", "neighbour", "fdb", "nexthop", "route"}) {
        for (const char* result : {"ok", "error"}) {
            const auto known = counters.kernel_writes.find({kind, result});
            out.add(known == counters.kernel_writes.end() ? 0 : static_cast<double>(known->second),
                    {{"object", kind}, {"result", result}});
        }
    }
    out.counter("weft_kernel_resyncs_total", "Full dumps because notifications were lost or a device changed.");
    out.add(static_cast<double>(counters.kernel_resyncs));
    out.counter("weft_drift_repaired_total", "Objects put right that somebody else had changed.");
    for (const char* kind : {"sysctl", "device", "neighbour", "fdb", "nexthop", "route"}) {
        const auto known = counters.drift_repaired.find(kind);
        out.add(known == counters.drift_repaired.end() ? 0 : static_cast<double>(known->second), {{"object", kind}});
    }
    out.histogram("weft_reconcile_duration_seconds", "From a plan's begin to the kernel's last acknowledgement.",
                  counters);
}

void bgp(const State& state, Families& out) {
    out.gauge("weft_bird_up", "1 when BIRD answers; 0 also where it is not wanted.");
    out.add(state.bgp.bird == BirdState::running ? 1 : 0);
    out.counter("weft_bird_restarts_total", "Times that weft had to start BIRD again.");
    out.add(static_cast<double>(state.bgp.restarts));
    out.gauge("weft_bgp_graceful_restart", "1 while BIRD recovers from a graceful restart.");
    out.add(state.bgp.graceful_restart ? 1 : 0);
    out.gauge("weft_bgp_sessions", "BGP sessions, established and not.");
    double established = 0;
    for (const Session& session : state.bgp.sessions) established += session.established ? 1 : 0;
    out.add(established, {{"state", "established"}});
    out.add(static_cast<double>(state.bgp.sessions.size()) - established, {{"state", "down"}});
    if (state.bgp.sessions.empty()) return;
    out.gauge("weft_bgp_session_up", "1 when the session to this peer is established.");
    for (const Session& session : state.bgp.sessions) {
        out.add(session.established ? 1 : 0, {{"peer", session.peer}, {"node", session.node}});
    }
    out.gauge("weft_bgp_session_info", "Always 1; the session's state in BIRD's word is a label.");
    for (const Session& session : state.bgp.sessions) {
        const std::string word = session.info.substr(0, session.info.find(' '));
        out.add(1, {{"peer", session.peer},
                    {"node", session.node},
                    {"state", word.empty() || word.back() == ':' ? session.state : word}});
    }
}

void process(const State& state, Families& out) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto time = [](const timeval& value) {
        return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) / 1e6;
    };
    out.counter("process_cpu_seconds_total", "User and system CPU time.");
    out.add(time(usage.ru_utime) + time(usage.ru_stime));
    std::size_t pages = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    out.gauge("process_virtual_memory_bytes", "Virtual memory.");
    out.add(static_cast<double>(pages) * page);
    out.gauge("process_resident_memory_bytes", "Resident memory.");
    out.add(static_cast<double>(resident) * page);
    out.gauge("process_start_time_seconds", "When the process started.");
    out.add(seconds(state.started_wall));
    std::error_code failure;
    double open = 0;
    for (std::filesystem::directory_iterator at("/proc/self/fd", failure), end; !failure && at != end;
         at.increment(failure)) {
        ++open;
    }
    out.gauge("process_open_fds", "Open file descriptors.");
    out.add(open);
    rlimit most{};
    getrlimit(RLIMIT_NOFILE, &most);
    out.gauge("process_max_fds", "Most file descriptors that can be open.");
    out.add(static_cast<double>(most.rlim_cur));
}

}  // namespace

std::string render_metrics(const State& state, std::chrono::steady_clock::time_point now) {
    Families out;
    daemon(state, readiness(state, now), out);
    cluster(state, now, out);
    kernel(state, out);
    bgp(state, out);
    process(state, out);
    return out.text();
}

}  // namespace weft
