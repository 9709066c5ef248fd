// weftd: command line, signals, and the parts put together.
#include <utility>

#include <fmt/format.h>
#include <linux/capability.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>

#include "daemon/bgp_side.hpp"
#include "daemon/commands.hpp"
#include "daemon/control_server.hpp"
#include "daemon/controller.hpp"
#include "daemon/doctor.hpp"
#include "daemon/health.hpp"
#include "daemon/last_known.hpp"
#include "daemon/memory.hpp"
#include "daemon/supervisor.hpp"
#include "tunnel/netlink_kernel.hpp"

namespace weft {
namespace {

struct CommandLine {
    std::string config_file = "/etc/weft/weft.conf";
    std::optional<std::string> control_socket;
    bool check = false;
    bool purge = false;
    bool dry_run = false;
    bool doctor = false;
    bool classic_routes = false;
};

int fail(const std::string& message) {
    fmt::print(stderr, "weftd: {}\n", message);
    return 1;
}

/// weftd -p: the file's errors and warnings, nothing else.
int check(const CommandLine& line) {
    const Loaded loaded = load_config(line.config_file, process_environment());
    for (const Diagnostic& diagnostic : loaded.diagnostics) fmt::print(stderr, "{}\n", to_string(diagnostic));
    return loaded.ok() ? 0 : 1;
}

bool may_administer_the_network() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (syscall(SYS_capget, &header, data.data()) != 0) return true;  // cannot tell: the kernel will
    return (data[0].effective & (1U << CAP_NET_ADMIN)) != 0;
}

/// Ends the BIRD that has weft's configuration; true when there is none any more.
bool end_bird(const Config& config) {
    boost::asio::io_context io(1);
    Bird bird(io, {});
    bird.unwanted(bird_settings(config), Goodbye::told);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (bird.status().bird != BirdState::off && std::chrono::steady_clock::now() < deadline) {
        io.run_one_for(std::chrono::milliseconds(100));
    }
    if (bird.status().bird == BirdState::off) return true;
    fmt::print(stderr, "weftd: BIRD does not end: {}\n", bird.status().reason);
    return false;
}

/// The cluster that this node ran: of a source beside the file as it was last known, so that BIRD's routes in its pools
/// are found as well.
Cluster cluster_that_ran(Config config) {
    if (std::holds_alternative<StaticSource>(config.source.value)) return cluster_of(config);
    const auto known = read_last_known(config.state_directory.value);
    if (!known || !*known || (*known)->cluster == nullptr) return cluster_of(config);
    apply_settings(config, (*known)->settings);
    return combine(config, *(*known)->cluster);
}

int purge(const CommandLine& line, Kernel& kernel) {
    const Loaded loaded = load_config(line.config_file, process_environment());
    if (!loaded.ok()) return check(line);
    const Cluster cluster = cluster_that_ran(loaded.config);
    const Scope scope = scope_of(loaded.config, cluster);
    const auto observed = kernel.observe(scope);
    if (!observed) return fail(observed.error().message);
    const bool ended = end_bird(loaded.config);
    std::vector<Change> changes = difference(Desired{}, *observed);
    const auto birds = removal_of_birds_routes(kernel, cluster.pools);
    if (!birds) return fail(birds.error().message);
    changes.insert(changes.end(), birds->begin(), birds->end());
    const std::vector<Failure> failures = kernel.apply(scope, changes);
    for (const std::string& message : messages_of(failures)) fmt::print(stderr, "weftd: {}\n", message);
    fmt::print("weftd: removed {} objects of weft's from this kernel\n", changes.size() - failures.size());
    return failures.empty() && ended ? 0 : 1;
}

/// Exit status: 0 nothing to do, 2 changes, 1 error.
int dry_run(Controller& controller, const CommandLine& line) {
    const auto preview = controller.preview(line.config_file);
    if (!preview) return fail(preview.error().message);
    for (const Change& change : preview->kernel) {
        fmt::print("{} ({}){}\n", to_string(change), change.reason,
                   change.may_interrupt ? "  [may interrupt traffic]" : "");
    }
    if (!preview->bird.empty()) fmt::print("{}\n", preview->bird);
    return preview->kernel.empty() && preview->bird.empty() ? 0 : 2;
}

/// Keeps an io_context busy with a file descriptor's readiness.
class Readable {
  public:
    Readable(boost::asio::io_context& io, int descriptor, std::function<void()> readable)
        : stream_(io, dup(descriptor)), readable_(std::move(readable)) {
        wait();
    }

  private:
    void wait() {
        stream_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& stopped) {
                               if (stopped) return;
                               readable_();
                               wait();
                           });
    }
    boost::asio::posix::stream_descriptor stream_;
    std::function<void()> readable_;
};

class Watchdog {
  public:
    Watchdog(boost::asio::io_context& io, std::chrono::microseconds interval) : timer_(io), interval_(interval) {
        feed();
    }

  private:
    void feed() {
        notify_watchdog();
        timer_.expires_after(interval_);
        timer_.async_wait([this](const boost::system::error_code& stopped) {
            if (!stopped) feed();
        });
    }
    boost::asio::steady_timer timer_;
    std::chrono::microseconds interval_;
};

/// Logs what is wrong when it is something else than the last time.
void say_once(const Result<Done>& listening, std::string& said) {
    const std::string trouble = listening ? "" : listening.error().message;
    if (trouble != std::exchange(said, trouble) && !trouble.empty()) spdlog::error("{}", trouble);
}

int run(const CommandLine& line) {
    if (!may_administer_the_network()) {
        return fail(
            "CAP_NET_ADMIN is missing, without which no route can be set: run weftd as root, or as a service that "
            "grants it (AmbientCapabilities=CAP_NET_ADMIN)");
    }
    auto kernel = NetlinkKernel::open({.nexthop_objects = !line.classic_routes});
    if (!kernel) return fail(kernel.error().message);
    if (line.purge) return purge(line, **kernel);

    boost::asio::io_context io(1);
    // From here on a reload that is asked for early is made as soon as the start is through; it does not end weftd.
    boost::asio::signal_set hang_up(io, SIGHUP);
    Controller controller(
        io,
        {.config_file = line.config_file, .control_socket = line.control_socket, .environment = process_environment()},
        **kernel);
    if (line.dry_run) return dry_run(controller, line);
    HttpServer http(io, [&](const std::string& path) {
        return answer(controller.state(), path, std::chrono::steady_clock::now());
    });
    ControlServer control(io,
                          [&](std::string_view command) { return execute(controller.state(), controller, command); });
    std::string http_trouble;
    std::string control_trouble;
    controller.on_change([&] {
        say_once(http.listen(controller.state().config.health.value), http_trouble);
        say_once(control.listen(controller.state().config.control_socket.value), control_trouble);
    });
    if (const auto started = controller.start(); !started) return fail(started.error().message);
    const Readable notifications(io, (*kernel)->notification_fd(), [&] { (*kernel)->read_notifications(); });
    std::optional<Watchdog> watchdog;
    if (const auto interval = watchdog_interval()) watchdog.emplace(io, *interval);

    boost::asio::signal_set stop(io, SIGTERM, SIGINT);
    stop.async_wait([&](const boost::system::error_code& cancelled, int) {
        if (cancelled) return;
        controller.stop();
        io.stop();
    });
    std::function<void()> await_hang_up = [&] {
        hang_up.async_wait([&](const boost::system::error_code& cancelled, int) {
            if (cancelled) return;
            // What was wrong with the file is logged and in `show status`; the running state goes on.
            static_cast<void>(controller.configure(std::nullopt, std::nullopt));
            await_hang_up();
        });
    };
    await_hang_up();
    io.run();
    return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // NOLINT: a client that hangs up is no reason to end
    weft::share_one_heap();
    weft::CommandLine line;
    CLI::App app(
        "weftd makes the addresses of this node's workloads reachable from every node of the cluster: through VXLAN "
        "tunnels that it programs, or through IPIP tunnels and plain routes that BGP (BIRD) distributes.\n"
        "Signals: SIGHUP reads the configuration again, SIGTERM stops and leaves all routes in place.");
    app.name("weftd");
    app.set_version_flag("--version", "weftd " WEFT_VERSION);
    app.add_option("-c,--config", line.config_file, "The configuration file")->capture_default_str();
    app.add_option("-s,--socket", line.control_socket, "The control socket (wins over the file's 'control')");
    auto* check = app.add_flag("-p,--parse", line.check, "Check the configuration file and exit: 0 good, 1 errors");
    auto* purge = app.add_flag("--purge", line.purge,
                               "Remove everything weft owns from this host's kernel, end its BIRD, and exit");
    auto* dry =
        app.add_flag("--dry-run", line.dry_run, "Print what would be changed, and exit: 0 nothing, 2 changes, 1 error");
    app.add_flag("--doctor", line.doctor, "Look this host over and say what to do about what is found");
    app.add_flag("--no-nexthop-objects", line.classic_routes,
                 "Write routes the classic way even where the kernel has nexthop objects");
    check->excludes(purge)->excludes(dry);
    purge->excludes(dry);
    CLI11_PARSE(app, argc, argv);
    if (line.doctor) return weft::doctor(line.config_file, stdout);
    return line.check ? weft::check(line) : weft::run(line);
}
