#include "tests/bench/kernel_cases.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "tests/bench/floor.hpp"
#include "tests/bench/synthetic.hpp"
#include "tunnel/handover.hpp"
#include "tunnel/netlink_kernel.hpp"
#include "tunnel/plan.hpp"
#include "tunnel/record.hpp"

namespace weft::bench {
namespace {

/// One daemon's worth of state in this namespace, without the daemon around it.
class Station {
  public:
    explicit Station(const Size& size) : size_(size), cluster_(synthetic(size.family, size.nodes, size.blocks)) {
        make_underlay(size.family);
        auto opened = NetlinkKernel::open({.nexthop_objects = size.objects});
        if (!opened) throw std::runtime_error(opened.error().message);
        kernel_ = *std::move(opened);
        scope_ = {.vxlan_device4 = cluster_.vxlan.device4,
                  .vxlan_device6 = cluster_.vxlan.device6,
                  .ipip_device = cluster_.ipip.device,
                  .own4 = {},
                  .own6 = {},
                  .peer4 = {},
                  .peer6 = {}};
        (size.family == Family::v4 ? scope_.own4 : scope_.own6) = own_address(size.family).address;
        dump();
    }

    const Cluster& cluster() const { return cluster_; }

    void dump() {
        auto host = kernel_->host(scope_);
        auto observed = kernel_->observe(scope_);
        if (!host || !observed) throw std::runtime_error("cannot read this namespace");
        host_ = *std::move(host);
        observed_ = *std::move(observed);
    }

    Desired planned(const Cluster& cluster) const {
        return plan({.cluster = cluster, .host = host_, .node = own_name(), .backend = Backend::vxlan}).desired;
    }

    std::vector<Change> changes_to(const Cluster& cluster) const {
        static const std::vector<Prefix> kNoPools;
        static const std::vector<Device> kNone;
        static const std::function<bool(const Echo&)> kAnswered = [](const Echo&) { return true; };
        return difference(stage({.cluster = cluster,
                                 .node = own_name(),
                                 .backend = Backend::vxlan,
                                 .target = planned(cluster),
                                 .observed = observed_,
                                 .turning = kNoPools,
                                 .accepts = kAnswered,
                                 .drained = kNone,
                                 .live_rename = true})
                              .desired,
                          observed_);
    }

    /// From the cluster in memory to the last acknowledgement. Returns the number of writes.
    std::size_t converge(const Cluster& cluster) {
        const std::vector<Change> changes = changes_to(cluster);
        const auto failures = kernel_->apply(scope_, changes);
        if (!failures.empty()) throw std::runtime_error(failures.front().message);
        bool recorded = changes.size() <= 2'000;
        for (std::size_t i = 0; recorded && i < changes.size(); ++i) recorded = record(observed_, changes[i]);
        return changes.size();
    }

    /// Not timed: all of the cluster in the kernel, and known.
    void settle() {
        converge(cluster_);
        dump();
    }

    /// The device and this node's own blocks, without the remote nodes.
    void make_device() {
        Cluster empty = cluster_;
        empty.nodes.resize(1);
        std::erase_if(empty.blocks, [](const Block& block) { return block.node != 0; });
        converge(empty);
        dump();
    }

    /// What is to be written once the device is there, for those who write it themselves.
    Desired rest() {
        make_device();
        Desired desired = planned(cluster_);
        std::erase_if(desired.routes, [](const Route& route) { return route.type == RouteType::blackhole; });
        return desired;
    }

    unsigned device_index() const { return if_nametoindex(cluster_.vxlan.device(size_.family).c_str()); }

  private:
    const Size size_;
    Cluster cluster_;
    Scope scope_;
    Host host_;
    Observed observed_;
    std::unique_ptr<NetlinkKernel> kernel_;
};

Figures figures_of(const Floor& floor) {
    return {{"ms", floor.milliseconds},
            {"cpu ms", floor.cpu_milliseconds},
            {"writes", static_cast<double>(floor.messages)}};
}

/// What `now` has and `before` has not.
Desired more(const Desired& now, const Desired& before) {
    Desired rest;
    rest.use_nexthop_objects = now.use_nexthop_objects;
    std::ranges::set_difference(now.neighbours, before.neighbours, std::back_inserter(rest.neighbours));
    std::ranges::set_difference(now.fdb, before.fdb, std::back_inserter(rest.fdb));
    std::ranges::set_difference(now.routes, before.routes, std::back_inserter(rest.routes));
    return rest;
}

double resident_kilobytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
    }
    return 0;
}

void wait_until(Clock::time_point due) {
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(due - Clock::now()).count();
    if (rest <= 0) return;
    const timespec wait{.tv_sec = rest / 1'000'000'000, .tv_nsec = rest % 1'000'000'000};
    nanosleep(&wait, nullptr);
}

}  // namespace

Figures cold_start(const Size& size) {
    Station station(size);
    const Stopwatch making;
    station.make_device();
    const double device = making.milliseconds();
    const Stopwatch watch;
    const std::size_t writes = station.converge(station.cluster());
    Figures figures{{"ms", watch.milliseconds()},
                    {"cpu ms", watch.cpu_milliseconds()},
                    {"device ms", device},
                    {"writes", static_cast<double>(writes)}};
    station.dump();
    if (!station.changes_to(station.cluster()).empty()) throw std::runtime_error("cold start did not converge");
    return figures;
}

Figures floor_start(const Size& size) {
    Station station(size);
    const Desired rest = station.rest();
    return figures_of(write_floor(rest, station.device_index()));
}

Figures rival_start(const Size& size) {
    Station station(size);
    const Desired rest = station.rest();
    return figures_of(write_rival(rest, station.device_index()));
}

Figures restart(const Size& size) {
    Station station(size);
    station.settle();
    const Floor dump = dump_floor(size.family, station.device_index(), size.objects);
    const Stopwatch watch;
    station.dump();
    const std::size_t writes = station.converge(station.cluster());
    return {{"ms", watch.milliseconds()},
            {"cpu ms", watch.cpu_milliseconds()},
            {"writes", static_cast<double>(writes)},
            {"dump ms", dump.milliseconds},
            {"dump cpu ms", dump.cpu_milliseconds}};
}

Figures one_change(const Size& size, int rounds) {
    Station station(size);
    station.settle();
    const Cluster added = with_node_added(station.cluster(), size.family, size.blocks);
    const Cluster node_moved = with_node_moved(station.cluster(), size.family);
    const Cluster block_moved = size.blocks > 1 ? with_block_moved(station.cluster()) : Cluster{};
    std::map<std::string, std::vector<double>> all;
    const auto change = [&](const std::string& what, const Cluster& to) {
        const Stopwatch watch;
        if (station.converge(to) == 0) throw std::runtime_error(fmt::format("'{}' changed nothing", what));
        const double wall = watch.milliseconds();
        const double cpu = watch.cpu_milliseconds();
        all[what + " ms"].push_back(wall);
        all["ms"].push_back(wall);
        all["cpu ms"].push_back(cpu);
    };
    for (int round = 0; round < rounds; ++round) {
        change("node added", added);
        change("node removed", station.cluster());
        change("node moved", node_moved);
        change("node moved", station.cluster());
        if (size.blocks > 1) {
            change("block moved", block_moved);
            change("block moved", station.cluster());
        }
    }
    Figures figures;
    for (const auto& [what, values] : all) figures[what] = percentile(values, 0.5);
    figures["p99 ms"] = percentile(all["ms"], 0.99);
    figures["p99 cpu ms"] = percentile(all["cpu ms"], 0.99);
    const Desired alone = more(station.planned(added), station.planned(station.cluster()));
    const Floor floor = write_floor(alone, station.device_index(), 1'000'000);
    figures["floor ms"] = floor.milliseconds;
    return figures;
}

Figures mode_change(const Size& size) {
    Station station(size);
    station.settle();
    Cluster cross = station.cluster();
    cross.pools[0].vxlan = Encapsulate::cross_subnet;
    const Stopwatch watch;
    const std::size_t writes = station.converge(cross);
    Figures figures{
        {"ms", watch.milliseconds()}, {"cpu ms", watch.cpu_milliseconds()}, {"writes", static_cast<double>(writes)}};
    station.dump();
    const Stopwatch back;
    station.converge(station.cluster());
    figures["back ms"] = back.milliseconds();
    station.dump();
    if (!station.changes_to(station.cluster()).empty()) throw std::runtime_error("a mode's change did not converge");
    return figures;
}

Figures audit(const Size& size) {
    Station station(size);
    station.settle();
    const Stopwatch whole;
    station.dump();
    const std::size_t writes = station.changes_to(station.cluster()).size();
    Figures figures{
        {"ms", whole.milliseconds()}, {"cpu ms", whole.cpu_milliseconds()}, {"writes", static_cast<double>(writes)}};
    const Stopwatch planning;
    const Desired desired = station.planned(station.cluster());
    figures["plan ms"] = planning.milliseconds();
    figures["plan cpu ms"] = planning.cpu_milliseconds();
    const Stopwatch comparing;
    station.changes_to(station.cluster());
    figures["plan and compare cpu ms"] = comparing.cpu_milliseconds();
    return figures;
}

Figures churn(const Size& size, int per_second, std::chrono::seconds duration) {
    Station station(size);
    station.settle();
    const Cluster added = with_node_added(station.cluster(), size.family, size.blocks);
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(1)) / per_second;
    const auto changes = static_cast<int>(duration.count()) * per_second;
    const auto cluster_at = [&](int i) -> const Cluster& { return i % 2 == 0 ? added : station.cluster(); };
    station.converge(added);  // so that memory has been touched once before it is compared
    station.converge(station.cluster());
    const double before = resident_kilobytes();
    const auto begin = Clock::now();
    std::vector<double> lags;
    for (int i = 0; i < changes; ++i) {
        const auto due = begin + interval * i;
        wait_until(due);
        station.converge(cluster_at(i));
        lags.push_back(std::chrono::duration<double, std::milli>(Clock::now() - due).count());
    }
    const double grown = resident_kilobytes() - before;
    station.dump();
    const bool follows = station.changes_to(cluster_at(changes - 1)).empty();
    return {{"changes", static_cast<double>(changes)},
            {"median lag ms", percentile(lags, 0.5)},
            {"p99 lag ms", percentile(lags, 0.99)},
            {"worst lag ms", percentile(lags, 1)},
            {"grown kB", grown},
            {"kernel follows", follows ? 1.0 : 0.0}};
}

}  // namespace weft::bench
