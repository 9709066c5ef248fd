#include <utility>

#include "tests/bench/bird_case.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>

#include <stdexcept>

#include "bgp/bird.hpp"
#include "bgp/check.hpp"
#include "bgp/config_file.hpp"
#include "tests/bench/process.hpp"
#include "tests/bench/synthetic.hpp"
#include "tests/temporary_directory.hpp"

namespace weft::bench {
namespace {

/// Looks at BIRD in a minute when all is well: every three seconds (bgp/bird.hpp), each with two questions.
constexpr int kLooks = 20;

Cluster mesh(std::uint32_t nodes) {
    Cluster cluster = synthetic(Family::v4, nodes, 1);
    cluster.pools[0].vxlan = Encapsulate::never;
    cluster.pools[0].ipip = Encapsulate::always;
    return cluster;
}

BirdConfig rendered(const Cluster& cluster) {
    return render({.cluster = cluster, .node = own_name(), .router_id = {}, .workload_interfaces = {"cali*"}});
}

/// Runs the loop until `done`.
void run_until(boost::asio::io_context& io, const std::string& what, const std::function<bool()>& done) {
    io.restart();
    const auto deadline = Clock::now() + std::chrono::minutes(1);
    while (!done()) {
        if (Clock::now() > deadline) throw std::runtime_error(fmt::format("waited in vain: {}", what));
        io.run_one_for(std::chrono::milliseconds(50));
    }
}

/// BIRD of this namespace, sent away at the end.
class Mesh {
  public:
    explicit Mesh(const BirdOptions& options)
        : settings_{.program = options.bird,
                    .socket = directory_ / "bird.ctl",
                    .state_directory = directory_ / "state",
                    .spawn = true,
                    .port = 179},
          files_(settings_.state_directory),
          bird_(io_, {.changed = [] {}, .kernel_has_routes = [] { return false; }, .port_owner = {}}) {}

    ~Mesh() {
        bird_.unwanted(settings_, Goodbye::told);
        try {
            run_until(io_, "BIRD ends", [&] { return bird_.status().bird == BirdState::off; });
        } catch (const std::exception&) {  // NOLINT: it goes with its namespace's addresses, and says so in its log
        }
    }
    Mesh(const Mesh&) = delete;
    Mesh& operator=(const Mesh&) = delete;

    /// From the rendered text to BIRD's own word that it runs it. Checked by `bird -p`, placed, configured, verified.
    void want(const BirdConfig& config) {
        bird_.want(settings_, config);
        run_until(io_, "BIRD runs its configuration: " + bird_.status().reason + bird_.status().config_error,
                  [&] { return bird_.status().bird == BirdState::running && bird_.status().config_accepted; });
    }

    double check(const BirdConfig& config) {
        const Stopwatch watch;
        bool good = false;
        bool done = false;
        stage_and_check(io_, settings_.program, files_, config.text, [&](const Verdict& verdict) {
            good = verdict.kind == Verdict::Kind::good;
            done = true;
        });
        run_until(io_, "bird -p answers", [&] { return done; });
        files_.discard();
        if (!good) throw std::runtime_error("BIRD refuses the configuration");
        return watch.milliseconds();
    }

    /// Of weft's side and of BIRD's.
    std::pair<double, double> look(const BirdConfig& config) {
        BirdControl control(io_);
        bool connected = false;
        control.connect(settings_.socket, std::chrono::seconds(10), [&](const Greeting&) { connected = true; });
        run_until(io_, "BIRD's greeting", [&] { return connected; });
        const double before = usage().cpu_milliseconds;
        const Stopwatch watch;
        for (int i = 0; i < kLooks; ++i) {
            bool answered = false;
            ask_state(control, config.node_of_peer, [&](const BirdReport& report) {
                answered = true;
                sessions_ = report.sessions.size();
            });
            run_until(io_, "BIRD's state", [&] { return answered; });
        }
        return {watch.cpu_milliseconds(), usage().cpu_milliseconds - before};
    }

    Usage usage() const { return usage_of(files_.process()); }
    std::size_t sessions() const { return sessions_; }

  private:
    test::TemporaryDirectory directory_;
    boost::asio::io_context io_{1};
    BirdSettings settings_;
    BirdFiles files_;
    Bird bird_;
    std::size_t sessions_ = 0;
};

}  // namespace

Figures bird_at_size(std::uint32_t nodes, const BirdOptions& options) {
    make_underlay(Family::v4);
    const Cluster cluster = mesh(nodes);
    const Cluster more = with_node_added(cluster, Family::v4, 1);
    std::vector<Figures> renders;
    for (int i = 0; i < options.changes; ++i) {
        const Stopwatch watch;
        rendered(cluster);
        renders.push_back({{"render ms", watch.milliseconds()}});
    }
    Figures figures = medians(renders);
    const BirdConfig config = rendered(cluster);
    figures["configuration KiB"] = static_cast<double>(config.text.size()) / 1024;

    Mesh mesh(options);
    const Stopwatch starting;
    mesh.want(config);
    figures["start ms"] = starting.milliseconds();
    std::vector<Figures> changes;
    for (int i = 0; i < options.changes; ++i) {
        const double before = mesh.usage().cpu_milliseconds;
        const Stopwatch watch;
        mesh.want(rendered(i % 2 == 0 ? more : cluster));
        changes.push_back({{"node added or removed ms", watch.milliseconds()},
                           {"of it weft's cpu ms", watch.cpu_milliseconds()},
                           {"of it BIRD's cpu ms", mesh.usage().cpu_milliseconds - before},
                           {"of it bird -p ms", mesh.check(config)}});
    }
    figures.merge(medians(changes));
    const auto [ours, birds] = mesh.look(config);
    figures["a quiet minute's looks, weft's cpu ms"] = ours;
    figures["a quiet minute's looks, BIRD's cpu ms"] = birds;
    figures["a quiet minute's questions"] = 2 * kLooks;
    figures["sessions"] = static_cast<double>(mesh.sessions());
    figures["BIRD MiB"] = mesh.usage().resident_mib;
    return figures;
}

}  // namespace weft::bench
