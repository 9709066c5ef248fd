// weft at the kernel's limit: what a cold start, a restart, single changes, memory and idleness cost at several sizes,
// through the product's own code, each beside its floor or its rival in the same run. Read ratios, not absolutes.
//
// Each case runs in a network namespace of its own (a child process that unshares one), so the host's is untouched and
// nothing is left behind.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>

#include "tests/bench/bird_case.hpp"
#include "tests/bench/daemon_case.hpp"
#include "tests/bench/kernel_cases.hpp"
#include "tests/bench/report.hpp"

namespace weft::bench {
namespace {

using Bound = Report::Bound;

struct Options {
    int runs = 5;
    bool quick = false;
    std::string json;
    std::string weftd;
    std::string bird = "/usr/sbin/bird";
    std::vector<std::string> only;
    std::vector<std::string> sizes;  ///< "IPv4 5000x4"; empty: all
};

std::string name_of(const Size& size) {
    return fmt::format("IPv{} {}x{}{}", size.family == Family::v4 ? 4 : 6, size.nodes, size.blocks,
                       size.objects ? "" : " classic");
}

/// Classic IPv4 routes cost the square of their number: of what takes seconds fewer runs have to do.
int affordable(int runs, const Size& size, bool classic) {
    const std::uint64_t routes = std::uint64_t{size.nodes} * size.blocks;
    if (!classic || size.family == Family::v6 || routes <= 4'000) return runs;
    return routes <= 20'000 ? std::min(runs, 2) : 1;
}

class Suite {
  public:
    Suite(const Options& options, Report& report) : options_(options), report_(report) {}

    void run() {
        const auto wanted = [&](const char* what) {
            return options_.only.empty() || std::ranges::find(options_.only, what) != options_.only.end();
        };
        if (wanted("kernel")) {
            for (const Size& size : sizes()) {
                if (chosen(size)) kernel_cases(size);
            }
            if (options_.sizes.empty()) churning();
        }
        if (wanted("daemon")) daemon();
        if (wanted("bird")) bird();
    }

  private:
    std::vector<Size> sizes() const {
        if (options_.quick) {
            return {{Family::v4, 1000, 4, true}, {Family::v6, 200, 1, true}, {Family::v4, 200, 1, false}};
        }
        std::vector<Size> all;
        for (const auto& [nodes, blocks] : {std::pair{1000U, 1U}, {1000U, 4U}, {5000U, 4U}, {10000U, 4U}}) {
            for (const Family family : kFamilies) {
                for (const bool objects : {true, false}) all.push_back({family, nodes, blocks, objects});
            }
        }
        return all;
    }

    bool chosen(const Size& size) const {
        return options_.sizes.empty() || std::ranges::find(options_.sizes, name_of(size)) != options_.sizes.end();
    }

    static bool is(const Size& size, std::uint32_t nodes, std::uint32_t blocks) {
        return size.family == Family::v4 && size.objects && size.nodes == nodes && size.blocks == blocks;
    }

    void kernel_cases(const Size& size) {
        cold(size);
        restarted(size);
        changes(size);
        const int runs = affordable(options_.runs, size, !size.objects);
        report_.add(name_of(size), "mode change", repeat(runs, [&] { return mode_change(size); }));
        report_.add(name_of(size), "audit", repeat(runs, [&] { return audit(size); }));
    }

    static Figures repeat(int runs, const std::function<Figures()>& measure) {
        std::vector<Figures> all;
        all.reserve(static_cast<std::size_t>(runs));
        for (int run = 0; run < runs; ++run) all.push_back(isolated(measure));
        return medians(all);
    }

    /// Each run beside a floor and a rival of its own, so that a busy machine slows all three.
    void cold(const Size& size) {
        std::vector<Figures> all;
        const int runs = affordable(options_.runs, size, !size.objects);
        const int rivals = affordable(runs, size, true);
        for (int run = 0; run < runs; ++run) {
            Figures here = isolated([&] { return cold_start(size); });
            const Figures floor = isolated([&] { return floor_start(size); });
            here["floor ms"] = floor.at("ms");
            here["times floor"] = here.at("ms") / floor.at("ms");
            here["times floor, cpu"] = here.at("cpu ms") / floor.at("cpu ms");
            // The rival writes classic routes whatever weft does: once for each size.
            if (run < rivals && size.objects) {
                const Figures rival = isolated([&] { return rival_start(size); });
                here["rival ms"] = rival.at("ms");
                here["times faster than rival"] = rival.at("ms") / here.at("ms");
            }
            all.push_back(std::move(here));
        }
        const Figures figures = medians(all);
        report_.add(name_of(size), "cold start", figures);
        if (runs < options_.runs) report_.note(fmt::format("{} runs: classic IPv4 routes take seconds", runs));
        if (is(size, 5000, 4)) {
            report_.goal("cold start at 5,000x4: times the floor", figures.at("times floor"), Bound::at_most, 1.25);
            report_.goal("cold start at 5,000x4: times faster than the rival", figures.at("times faster than rival"),
                         Bound::at_least, 8);
        }
        if (is(size, 10000, 4)) {
            report_.goal("cold start at 10,000x4: times faster than the rival", figures.at("times faster than rival"),
                         Bound::at_least, 12);
        }
    }

    void restarted(const Size& size) {
        std::vector<Figures> all;
        for (int run = 0; run < affordable(options_.runs, size, !size.objects); ++run) {
            Figures here = isolated([&] { return restart(size); });
            here["times dump"] = here.at("ms") / here.at("dump ms");
            here["times dump, cpu"] = here.at("cpu ms") / here.at("dump cpu ms");
            all.push_back(std::move(here));
        }
        const Figures figures = medians(all);
        report_.add(name_of(size), "restart", figures);
        if (!is(size, 5000, 4)) return;
        report_.goal("restart at 5,000x4: writes", figures.at("writes"), Bound::at_most, 0);
        report_.goal("restart at 5,000x4: times a bare dump", figures.at("times dump"), Bound::at_most, 3);
    }

    void changes(const Size& size) {
        const int rounds = options_.quick ? 5 : 25;
        const Figures figures =
            repeat(affordable(options_.runs, size, !size.objects), [&] { return one_change(size, rounds); });
        report_.add(name_of(size), "one change", figures);
        if (!is(size, 5000, 4)) return;
        report_.goal("one change at 5,000x4: median ms", figures.at("ms"), Bound::at_most, 2);
        report_.goal("one change at 5,000x4: 99th percentile ms", figures.at("p99 ms"), Bound::at_most, 5);
    }

    void churning() {
        const Size size{Family::v4, options_.quick ? 1000U : 5000U, 4, true};
        const auto duration = std::chrono::seconds(options_.quick ? 2 : 60);
        const Figures figures = isolated([&] { return churn(size, 100, duration); });
        report_.add(name_of(size), "churn", figures);
        if (options_.quick) return;
        report_.goal("churn of 100 changes/s for a minute: worst lag ms", figures.at("worst lag ms"), Bound::at_most,
                     100);
        report_.goal("churn of 100 changes/s for a minute: memory grown kB", figures.at("grown kB"), Bound::at_most,
                     1024);
    }

    void daemon() {
        if (!std::filesystem::exists(options_.weftd)) {
            return report_.note(
                fmt::format("no weftd at {}: its memory and idleness are not measured (--weftd)", options_.weftd));
        }
        const Size size{Family::v4, options_.quick ? 500U : 5000U, 4, true};
        const auto quiet = std::chrono::seconds(options_.quick ? 3 : 60);
        const Figures figures = isolated([&] {
            return whole_daemon(size, {.weftd = options_.weftd, .quiet = quiet, .changes = options_.quick ? 10 : 100});
        });
        report_.add(name_of(size), "weftd", figures);
        if (options_.quick) return;
        report_.goal("steady memory of weftd at 5,000x4: MiB", figures.at("steady MiB"), Bound::at_most, 32);
        report_.goal("peak memory of weftd at 5,000x4: MiB", figures.at("peak MiB"), Bound::at_most, 64);
        report_.goal("a quiet minute of weftd at 5,000x4: ms of CPU", figures.at("quiet cpu ms"), Bound::at_most, 10);
    }

    void bird() {
        if (!std::filesystem::exists(options_.bird)) {
            return report_.note(fmt::format("no BIRD at {}: nothing about it is measured", options_.bird));
        }
        const std::uint32_t nodes = options_.quick ? 100 : 1000;
        const int changes = options_.quick ? 2 : 10;
        const Figures figures =
            isolated([&] { return bird_at_size(nodes, {.bird = options_.bird, .changes = changes}); });
        report_.add(fmt::format("BGP mesh of {}", nodes), "BIRD", figures);
    }

    const Options& options_;
    Report& report_;
};

int run(const Options& options) {
    const bool on_stdout = options.json == "-";
    Report report(!on_stdout);
    Suite(options, report).run();
    report.finish();
    if (on_stdout) fmt::print("{}\n", report.json().dump(1));
    if (!options.json.empty() && !on_stdout) std::ofstream(options.json) << report.json().dump(1) << "\n";
    return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
    weft::bench::Options options;
    options.weftd = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "weftd").string();
    CLI::App app(
        "Measures weft against the kernel's own floor and against the classic way of writing routes, as root, each "
        "case in a network namespace of its own. All of it takes less than ten minutes on an idle machine.");
    app.add_option("--runs", options.runs, "Runs of each case; medians are printed")->capture_default_str();
    app.add_flag("--quick", options.quick, "Small sizes and short times, for a first look and for CI");
    app.add_option("--json", options.json, "Write everything to this file, too; -: to standard output, and no table");
    app.add_option("--weftd", options.weftd, "The weftd to measure")->capture_default_str();
    app.add_option("--bird", options.bird, "The BIRD to measure with")->capture_default_str();
    app.add_option("--only", options.only, "Only these: kernel, daemon, bird")
        ->check(CLI::IsMember(std::set<std::string>{"kernel", "daemon", "bird"}));
    app.add_option("--size", options.sizes, "Of the kernel's cases only those of this size, as printed: 'IPv4 5000x4'");
    CLI11_PARSE(app, argc, argv);
    if (geteuid() != 0) {
        fmt::print(stderr, "weft-bench: needs root, for network namespaces of its own\n");
        return 77;
    }
    if (options.quick) options.runs = std::min(options.runs, 2);
    try {
        return weft::bench::run(options);
    } catch (const std::exception& failure) {
        fmt::print(stderr, "weft-bench: {}\n", failure.what());
        return 1;
    }
}
