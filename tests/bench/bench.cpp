// weft at the kernel's limit: cold start, restart and single changes at several sizes, through the product's own
// planner, difference and netlink, each beside its floor or its rival in the same run. Read ratios, not absolutes.
//
// Each case runs in a network namespace of its own (a child process that unshares one), so the host's is untouched and
// nothing is left behind.
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>

#include "tests/bench/floor.hpp"
#include "tests/bench/synthetic.hpp"
#include "tunnel/netlink_kernel.hpp"
#include "tunnel/plan.hpp"
#include "tunnel/record.hpp"

namespace weft::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

struct Size {
    Family family;
    std::uint32_t nodes, blocks;
    bool objects;
};

std::string name_of(const Size& size) {
    return fmt::format("{} {}x{} {}", size.family == Family::v4 ? "IPv4" : "IPv6", size.nodes, size.blocks,
                       size.objects ? "nexthop objects" : "classic");
}

void command(const char* line) {
    if (std::system(line) != 0) throw std::runtime_error(fmt::format("'{}' failed", line));  // NOLINT
}

/// One daemon's worth of state in a fresh namespace, without the daemon around it.
class Bench {
  public:
    explicit Bench(const Size& size) : size_(size), cluster_(synthetic(size.family, size.nodes, size.blocks)) {
        command(
            "ip link set lo up && ip link add under0 mtu 1500 type veth peer name under1 && "
            "ip link set under0 up && ip link set under1 up");
        command(fmt::format("ip {} address add {} dev under0 {}", size.family == Family::v4 ? "-4" : "-6",
                            to_string(own_address(size.family)), size.family == Family::v6 ? "nodad" : "")
                    .c_str());
        // Five thousand permanent entries are no garbage, but some kernels count them against the thresholds.
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

    void dump() {
        auto host = kernel_->host(scope_);
        auto observed = kernel_->observe(scope_);
        if (!host || !observed) throw std::runtime_error("cannot read this namespace");
        host_ = *std::move(host);
        observed_ = *std::move(observed);
    }

    Desired planned(const Cluster& cluster) const {
        return plan({.cluster = cluster, .host = host_, .node = "node000000", .backend = Backend::vxlan}).desired;
    }

    /// From the cluster in memory to the last acknowledgement. Returns the number of writes.
    std::size_t converge(const Cluster& cluster) {
        const std::vector<Change> changes = difference(planned(cluster), observed_);
        const auto failures = kernel_->apply(scope_, changes);
        if (!failures.empty()) throw std::runtime_error(failures.front().message);
        bool recorded = changes.size() <= 2'000;
        for (std::size_t i = 0; recorded && i < changes.size(); ++i) recorded = record(observed_, changes[i]);
        if (!recorded) stale_ = true;
        return changes.size();
    }

    void make_device_only() {
        Cluster empty = cluster_;
        empty.nodes.resize(1);
        std::erase_if(empty.blocks, [](const Block& block) { return block.node != 0; });
        converge(empty);
        dump();
    }

    const Size size_;
    Cluster cluster_;
    Scope scope_;
    Host host_;
    Observed observed_;
    std::unique_ptr<NetlinkKernel> kernel_;
    bool stale_ = false;
};

unsigned device_index(const Bench& bench) {
    return if_nametoindex(bench.cluster_.vxlan.device(bench.size_.family).c_str());
}

using Figures = std::map<std::string, double>;

Figures cold_start(const Size& size) {
    Bench bench(size);
    const auto begin = Clock::now();
    const std::size_t writes = bench.converge(bench.cluster_);
    Figures figures{{"ms", milliseconds_since(begin)}, {"writes", static_cast<double>(writes)}};
    bench.dump();
    if (!difference(bench.planned(bench.cluster_), bench.observed_).empty()) {
        throw std::runtime_error("cold start did not converge");
    }
    return figures;
}

Figures floor_start(const Size& size) {
    Bench bench(size);
    bench.make_device_only();
    Desired desired = bench.planned(bench.cluster_);
    std::erase_if(desired.routes, [](const Route& route) { return route.type == RouteType::blackhole; });
    const Floor floor = write_floor(desired, device_index(bench));
    return {{"ms", std::chrono::duration<double, std::milli>(floor.whole).count()},
            {"writes", static_cast<double>(floor.messages)}};
}

Figures rival_start(const Size& size) {
    Bench bench(size);
    bench.make_device_only();
    Desired desired = bench.planned(bench.cluster_);
    std::erase_if(desired.routes, [](const Route& route) { return route.type == RouteType::blackhole; });
    const Floor rival = write_rival(desired, device_index(bench));
    return {{"ms", std::chrono::duration<double, std::milli>(rival.whole).count()},
            {"writes", static_cast<double>(rival.messages)}};
}

/// A daemon that starts on a kernel which is already right, beside a bare dump of the same state.
Figures restart(const Size& size) {
    Bench bench(size);
    bench.converge(bench.cluster_);
    const auto dumping = Clock::now();
    const auto observed = bench.kernel_->observe(bench.scope_);
    const double dump = milliseconds_since(dumping);
    if (!observed) throw std::runtime_error(observed.error().message);
    const auto begin = Clock::now();
    bench.dump();
    const std::size_t writes = bench.converge(bench.cluster_);
    const double whole = milliseconds_since(begin);
    const auto planning = Clock::now();
    const Desired desired = bench.planned(bench.cluster_);
    const double plan_only = milliseconds_since(planning);
    const auto comparing = Clock::now();
    const auto changes = difference(desired, bench.observed_);
    return {{"ms", whole},
            {"dump ms", dump},
            {"plan ms", plan_only},
            {"difference ms", milliseconds_since(comparing)},
            {"writes", static_cast<double>(writes + changes.size())}};
}

double percentile(std::vector<double> values, double rank) {
    std::sort(values.begin(), values.end());
    const auto at = static_cast<std::size_t>(std::lround(rank * static_cast<double>(values.size() - 1)));
    return values.at(at);
}

/// Latency from the changed cluster to the last acknowledgement: a node added, a node removed, a block moved, in turn.
Figures one_change(const Size& size, int rounds) {
    Bench bench(size);
    bench.converge(bench.cluster_);
    bench.dump();
    const Cluster added = with_node_added(bench.cluster_, size.family, size.blocks);
    const Cluster moved = with_block_moved(bench.cluster_);
    std::map<std::string, std::vector<double>> latencies;
    const auto change = [&](const char* what, const Cluster& to) {
        const auto begin = Clock::now();
        if (bench.converge(to) == 0) throw std::runtime_error(fmt::format("'{}' changed nothing", what));
        latencies[what].push_back(milliseconds_since(begin));
        latencies["all"].push_back(latencies[what].back());
    };
    for (int round = 0; round < rounds; ++round) {
        change("node added", added);
        change("node removed", bench.cluster_);
        if (size.blocks > 1) {
            change("block moved", moved);
            change("block moved", bench.cluster_);
        }
    }
    Figures figures;
    for (const auto& [what, values] : latencies) {
        figures[what + " median ms"] = percentile(values, 0.5);
        figures[what + " p99 ms"] = percentile(values, 0.99);
    }
    return figures;
}

/// One pool's mode: every route of it moves from the tunnel to the underlay or back.
Figures mode_change(const Size& size) {
    Bench bench(size);
    bench.converge(bench.cluster_);
    bench.dump();
    Cluster never = bench.cluster_;
    never.pools[0].vxlan = Encapsulate::never;
    const auto begin = Clock::now();
    const std::size_t writes = bench.converge(never);
    return {{"ms", milliseconds_since(begin)}, {"writes", static_cast<double>(writes)}};
}

/// Changes at a set rate, one node coming or going each time; how far the kernel was behind at worst.
Figures churn(const Size& size, int per_second, std::chrono::seconds duration) {
    Bench bench(size);
    bench.converge(bench.cluster_);
    bench.dump();
    const Cluster added = with_node_added(bench.cluster_, size.family, size.blocks);
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(1)) / per_second;
    const auto begin = Clock::now();
    double worst = 0;
    const auto changes = static_cast<int>(duration.count()) * per_second;
    for (int i = 0; i < changes; ++i) {
        const auto due = begin + interval * i;
        if (due > Clock::now()) {
            const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(due - Clock::now()).count();
            const timespec wait{.tv_sec = 0, .tv_nsec = rest};
            nanosleep(&wait, nullptr);
        }
        bench.converge(i % 2 == 0 ? added : bench.cluster_);
        worst = std::max(worst, milliseconds_since(due));
    }
    bench.dump();
    const bool follows = difference(bench.planned(changes % 2 == 1 ? added : bench.cluster_), bench.observed_).empty();
    return {
        {"changes", static_cast<double>(changes)}, {"worst lag ms", worst}, {"kernel follows", follows ? 1.0 : 0.0}};
}

/// Runs `measure` in a child with a network namespace of its own; what it returns comes back through a pipe.
Figures isolated(const std::function<Figures()>& measure) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        std::string text;
        try {
            if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("no new network namespace (run as root)");
            text = nlohmann::json(measure()).dump();
        } catch (const std::exception& failure) {
            text = std::string("!") + failure.what();
        }
        const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
        _exit(written ? 0 : 1);
    }
    close(ends[1]);
    std::string text;
    std::array<char, 4096> chunk{};
    for (ssize_t size = 0; (size = read(ends[0], chunk.data(), chunk.size())) > 0;) {
        text.append(chunk.data(), static_cast<std::size_t>(size));
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (text.empty() || text[0] == '!') throw std::runtime_error(text.empty() ? "a case died" : text.substr(1));
    return nlohmann::json::parse(text).get<Figures>();
}

Figures medians(int runs, const std::function<Figures()>& measure) {
    std::map<std::string, std::vector<double>> all;
    for (int run = 0; run < runs; ++run) {
        for (const auto& [name, value] : isolated(measure)) all[name].push_back(value);
    }
    Figures result;
    for (const auto& [name, values] : all) result[name] = percentile(values, 0.5);
    return result;
}

struct Options {
    int runs = 5;
    bool quick = false;
    bool json = false;
};

class Report {
  public:
    explicit Report(bool json) : json_(json) {}
    void add(const Size& size, const std::string& what, const Figures& figures) {
        rows_.push_back({{"size", name_of(size)}, {"case", what}, {"figures", figures}});
        if (json_) return;
        std::string text;
        for (const auto& [name, value] : figures) text += fmt::format("  {} {:.4g}", name, value);
        fmt::print("{:<32} {:<12}{}\n", name_of(size), what, text);
    }
    void finish() const {
        if (json_) fmt::print("{}\n", rows_.dump(1));
    }

  private:
    bool json_;
    nlohmann::json rows_ = nlohmann::json::array();
};

void measure_size(const Size& size, const Options& options, Report& report) {
    Figures cold = medians(options.runs, [&] { return cold_start(size); });
    const Figures floor = medians(options.runs, [&] { return floor_start(size); });
    cold["floor ms"] = floor.at("ms");
    cold["times floor"] = cold.at("ms") / floor.at("ms");
    if (size.family == Family::v4 && size.objects) {
        const Figures rival = medians(options.quick ? 1 : std::min(options.runs, 5), [&] { return rival_start(size); });
        cold["rival ms"] = rival.at("ms");
        cold["times faster than rival"] = rival.at("ms") / cold.at("ms");
    }
    report.add(size, "cold start", cold);
    Figures again = medians(options.runs, [&] { return restart(size); });
    again["times dump"] = again.at("ms") / again.at("dump ms");
    report.add(size, "restart", again);
    report.add(size, "one change", medians(options.runs, [&] { return one_change(size, options.quick ? 5 : 25); }));
    report.add(size, "mode change", medians(options.runs, [&] { return mode_change(size); }));
}

int run(const Options& options) {
    Report report(options.json);
    std::vector<Size> sizes;
    if (options.quick) {
        sizes = {{Family::v4, 1000, 4, true}, {Family::v6, 200, 1, true}, {Family::v4, 200, 1, false}};
    } else {
        for (const auto& [nodes, blocks] : {std::pair{1000U, 1U}, {1000U, 4U}, {5000U, 4U}, {10000U, 4U}}) {
            for (const Family family : kFamilies) sizes.push_back({family, nodes, blocks, true});
            if (nodes <= 1000) sizes.push_back({Family::v4, nodes, blocks, false});
        }
    }
    for (const Size& size : sizes) measure_size(size, options, report);
    const Size busy{Family::v4, options.quick ? 1000U : 5000U, 4, true};
    report.add(busy, "churn", isolated([&] { return churn(busy, 100, std::chrono::seconds(options.quick ? 2 : 60)); }));
    report.finish();
    return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
    weft::bench::Options options;
    CLI::App app("Measures weft against the kernel's own floor and against the classic way of writing routes.");
    app.add_option("--runs", options.runs, "Runs of each case; medians are printed")->capture_default_str();
    app.add_flag("--quick", options.quick, "Small sizes, for a first look and for CI");
    app.add_flag("--json", options.json, "Print JSON");
    CLI11_PARSE(app, argc, argv);
    if (options.quick) options.runs = std::min(options.runs, 2);
    try {
        return weft::bench::run(options);
    } catch (const std::exception& failure) {
        fmt::print(stderr, "bench: {}\n", failure.what());
        return 1;
    }
}
