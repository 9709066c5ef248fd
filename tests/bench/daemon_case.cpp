#include "tests/bench/daemon_case.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/bench/floor.hpp"
#include "tests/bench/process.hpp"
#include "tests/bench/store.hpp"
#include "tests/bench/synthetic.hpp"
#include "tests/temporary_directory.hpp"

namespace weft::bench {
namespace {

/// So long after a change the last known cluster has been written to the disk.
constexpr std::chrono::seconds kWritten{3};
constexpr std::chrono::milliseconds kBetweenChanges{60};

/// Counts what the kernel announces of routes, nexthops, neighbours and forwarding entries.
class Announcements {
  public:
    Announcements() : descriptor_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
        const int buffer = 16 << 20;
        setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
        // Without a port of its own it would not hear what the kernel does in nobody's name.
        sockaddr_nl own{};
        own.nl_family = AF_NETLINK;
        const auto* const at = reinterpret_cast<const sockaddr*>(&own);  // NOLINT
        if (bind(descriptor_, at, sizeof own) != 0) throw std::runtime_error("netlink: bind");
        for (const int group : {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP, RTNLGRP_NEIGH}) {
            if (setsockopt(descriptor_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
                throw std::runtime_error("netlink: no notifications");
            }
        }
    }
    ~Announcements() { close(descriptor_); }
    Announcements(const Announcements&) = delete;
    Announcements& operator=(const Announcements&) = delete;

    void forget() {
        while (recv(descriptor_, bytes_.data(), bytes_.size(), MSG_DONTWAIT) > 0) {
        }
    }

    /// When the last of so many came.
    Clock::time_point await(std::size_t count, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
        const auto longest = static_cast<int>(patience.count());
        for (std::size_t seen = 0; seen < count;) {
            pollfd waiting{.fd = descriptor_, .events = POLLIN, .revents = 0};
            if (poll(&waiting, 1, longest) != 1) throw std::runtime_error("the kernel was not changed");
            const ssize_t size = recv(descriptor_, bytes_.data(), bytes_.size(), 0);
            for (ssize_t at = 0; at + NLMSG_HDRLEN <= size;) {
                nlmsghdr head{};
                std::memcpy(&head, bytes_.data() + at, sizeof head);
                ++seen;
                at += static_cast<ssize_t>(NLMSG_ALIGN(head.nlmsg_len));
            }
        }
        return Clock::now();
    }

  private:
    int descriptor_;
    std::array<char, 65536> bytes_{};
};

void write_configuration(const test::TemporaryDirectory& directory, std::uint16_t port) {
    std::ofstream(directory / "weft.conf") << fmt::format(
        "hostname \"{}\";\ncalico_backend vxlan;\n"
        "source etcd {{ endpoint \"http://127.0.0.1:{}\"; register no; }}\n"
        "control {{ socket \"{}\"; }}\nstate directory \"{}\";\n",
        own_name(), port, directory / "weft.ctl", directory / "state");
}

std::string words_of(const test::TemporaryDirectory& directory) {
    std::ifstream log(directory / "log");
    std::string text(std::istreambuf_iterator<char>(log), {});
    return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

/// Of each remote node a neighbour, a forwarding entry and a nexthop; a route for every block, a blackhole for own
/// ones.
std::size_t objects_of(const Cluster& cluster) {
    return 3 * (cluster.nodes.size() - 1) + cluster.blocks.size();
}

}  // namespace

Figures whole_daemon(const Size& size, const DaemonOptions& options) {
    make_underlay(size.family);
    const Cluster cluster = synthetic(size.family, size.nodes, size.blocks);
    const auto objects = calico_objects(cluster);
    const auto added = calico_objects(with_node_added(cluster, size.family, size.blocks));
    Store store(objects);
    const test::TemporaryDirectory directory;
    write_configuration(directory, store.port());
    Announcements announcements;

    const Stopwatch starting;
    const Process weftd({options.weftd, "-c", directory / "weft.conf"}, directory / "log");
    announcements.await(objects_of(cluster), std::chrono::minutes(3));
    Figures figures{{"start ms", starting.milliseconds()}};
    const unsigned index = if_nametoindex(cluster.vxlan.device(size.family).c_str());
    if (!weftd.runs() || dump_floor(size.family, index, size.objects).messages < objects_of(cluster)) {
        throw std::runtime_error("weftd has not written all: " + words_of(directory));
    }
    await("weftd watches the store", [&] { return store.watched(); });
    pause(kWritten);
    const Usage begin = usage_of(weftd.id());
    figures["steady MiB"] = begin.resident_mib;
    figures["steady private MiB"] = begin.private_mib;

    std::vector<double> latencies;
    for (int i = 0; i < options.changes; ++i) {
        announcements.forget();
        const auto event = store.become(i % 2 == 0 ? added : objects);
        const auto done = announcements.await(3 + size.blocks);
        latencies.push_back(std::chrono::duration<double, std::milli>(done - event).count());
        pause(kBetweenChanges);
    }
    figures["event to kernel ms"] = percentile(latencies, 0.5);
    figures["event to kernel p99 ms"] = percentile(latencies, 0.99);
    pause(kWritten);
    const Usage changed = usage_of(weftd.id());
    figures["cpu ms a change"] = (changed.cpu_milliseconds - begin.cpu_milliseconds) / options.changes;
    figures["grown MiB"] = changed.resident_mib - begin.resident_mib;
    figures["peak MiB"] = changed.peak_mib;

    pause(options.quiet);
    const Usage end = usage_of(weftd.id());
    const double minutes = std::chrono::duration<double, std::ratio<60>>(options.quiet).count();
    figures["quiet cpu ms"] = (end.cpu_milliseconds - changed.cpu_milliseconds) / minutes;
    figures["quiet wake-ups"] = (end.wake_ups - changed.wake_ups) / minutes;
    return figures;
}

}  // namespace weft::bench
