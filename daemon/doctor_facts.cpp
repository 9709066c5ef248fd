// Facts for the doctor, read from /proc, /sys and the network managers' configuration files.
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>

#include "daemon/doctor.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

template <class Integer>
std::optional<Integer> integer(std::string_view text, int base = 10) {
    Integer value{};
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return wrong == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> words(const std::string& text, const char* separators) {
    std::vector<std::string> found;
    for (std::size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string::npos;) {
        const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
        found.push_back(text.substr(at, end - at));
        at = end;
    }
    return found;
}

/// What a directory holds, sorted by name; nothing if it cannot be read.
std::vector<fs::path> entries(const fs::path& directory) {
    std::vector<fs::path> found;
    std::error_code failed;
    for (fs::directory_iterator entry(directory, failed), end; !failed && entry != end; entry.increment(failed)) {
        found.push_back(entry->path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// Files of that extension in several directories, by name; of equal names the first directory's counts, as systemd and
/// NetworkManager have it.
std::vector<fs::path> drop_ins(const std::string& root, std::initializer_list<const char*> directories,
                               const std::string& extension) {
    std::map<std::string, fs::path> by_name;
    for (const char* const directory : directories) {
        for (const fs::path& path : entries(root + directory)) {
            if (path.extension() == extension) by_name.emplace(path.filename().string(), path);
        }
    }
    std::vector<fs::path> paths;
    paths.reserve(by_name.size());
    for (auto& [name, path] : by_name) paths.push_back(std::move(path));
    return paths;
}

/// Calls `each(section, key, value)` for the settings of an .ini-like file. A key keeps a trailing '+' ("+=").
void settings(const fs::path& path,
              const std::function<void(const std::string&, const std::string&, const std::string&)>& each) {
    std::istringstream file(contents(path));
    std::string section;
    for (std::string line; std::getline(file, line);) {
        const auto trimmed = [](std::string text) {
            text.erase(0, text.find_first_not_of(" \t\r"));
            text.erase(text.find_last_not_of(" \t\r") + 1);
            return text;
        };
        line = trimmed(line);
        if (line.empty() || line[0] == '#' || line[0] == ';') continue;
        if (line[0] == '[') {
            section = line;
        } else if (const std::size_t equals = line.find('='); equals != std::string::npos) {
            each(section, trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
        }
    }
}

bool is_yes(const std::string& value) {
    return value == "yes" || value == "true" || value == "on" || value == "1";
}

Presence module(const std::string& root, const std::string& release, const std::string& name) {
    if (fs::exists(root + "/sys/module/" + name)) return Presence::yes;
    const std::string directory = root + "/lib/modules/" + release;
    const std::string available = contents(directory + "/modules.dep") + contents(directory + "/modules.builtin");
    if (available.empty()) return Presence::unknown;
    return available.find('/' + name + ".ko") == std::string::npos ? Presence::no : Presence::yes;
}

std::map<std::string, std::vector<Address>> interface_addresses() {
    std::map<std::string, std::vector<Address>> addresses;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return addresses;
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr) continue;
        Address address;
        if (entry->ifa_addr->sa_family == AF_INET) {
            sockaddr_in in{};
            std::memcpy(&in, entry->ifa_addr, sizeof in);
            address.family = Family::v4;
            std::memcpy(address.bytes.data(), &in.sin_addr, sizeof in.sin_addr);
        } else if (entry->ifa_addr->sa_family == AF_INET6) {
            sockaddr_in6 in{};
            std::memcpy(&in, entry->ifa_addr, sizeof in);
            address.family = Family::v6;
            std::memcpy(address.bytes.data(), &in.sin6_addr, sizeof in.sin6_addr);
        } else {
            continue;
        }
        addresses[entry->ifa_name].push_back(address);
    }
    freeifaddrs(list);
    return addresses;
}

std::vector<Nic> interfaces(const std::string& root) {
    auto addresses = interface_addresses();
    std::vector<Nic> nics;
    for (const fs::path& path : entries(root + "/sys/class/net")) {
        Nic nic{.name = path.filename().string(),
                .driver = {},
                .mtu = integer<std::uint32_t>(first_line(path / "mtu")).value_or(0),
                .vxlan = contents(path / "uevent").find("DEVTYPE=vxlan") != std::string::npos,
                .addresses = {},
                .rp_filter = {},
                .accept_ra = {}};
        std::error_code missing;
        nic.driver = fs::read_symlink(path / "device/driver", missing).filename().string();
        nic.addresses = std::move(addresses[nic.name]);
        const std::string sysctl = root + "/proc/sys/net/";
        nic.rp_filter = integer<int>(first_line(sysctl + "ipv4/conf/" + nic.name + "/rp_filter"));
        nic.accept_ra = integer<int>(first_line(sysctl + "ipv6/conf/" + nic.name + "/accept_ra"));
        nics.push_back(std::move(nic));
    }
    return nics;
}

bool is_process(const fs::path& path) {
    return integer<int>(path.filename().string()).has_value();
}

/// "bird (pid 612)" for the process that holds a socket; empty when it cannot be seen.
std::string owner(const std::string& root, const std::string& inode) {
    if (inode == "0") return {};
    const std::string socket = "socket:[" + inode + "]";
    for (const fs::path& process : entries(root + "/proc")) {
        if (!is_process(process)) continue;
        for (const fs::path& descriptor : entries(process / "fd")) {
            std::error_code gone;
            if (fs::read_symlink(descriptor, gone) != socket) continue;
            return fmt::format("{} (pid {})", first_line(process / "comm"), process.filename().string());
        }
    }
    return {};
}

/// Who has `port` by one of the kernel's socket tables ("udp", "tcp6"); of TCP only sockets that listen.
void listeners(const std::string& root, const std::string& table, std::uint16_t port, std::vector<Listener>& found) {
    std::istringstream file(contents(root + "/proc/net/" + table));
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        // sl local_address rem_address st queues timer retransmits uid timeout inode
        const auto fields = words(line, " ");
        constexpr std::size_t kLocal = 1, kState = 3, kInode = 9;
        if (fields.size() <= kInode) continue;
        if (table.starts_with("tcp") && fields[kState] != "0A") continue;
        const std::string& local = fields[kLocal];
        if (integer<std::uint16_t>(std::string_view(local).substr(local.find(':') + 1), 16) != port) continue;
        Listener listener{.port = port, .program = owner(root, fields[kInode])};
        if (std::find(found.begin(), found.end(), listener) == found.end()) found.push_back(std::move(listener));
    }
}

/// The output of `program --version`, if it comes within two seconds.
std::string version_text(const std::string& program) {
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return {};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
    std::string name = program;
    std::string flag = "--version";
    std::array<char*, 3> arguments{name.data(), flag.data(), nullptr};
    pid_t child = 0;
    const bool running = posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    std::string text;
    std::array<char, 512> buffer{};
    pollfd readable{.fd = pipe_ends[0], .events = POLLIN, .revents = 0};
    while (running && text.size() < buffer.size() && poll(&readable, 1, 2000) == 1) {
        const ssize_t count = read(pipe_ends[0], buffer.data(), buffer.size());
        if (count <= 0) break;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    close(pipe_ends[0]);
    if (running) {
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
    }
    return text;
}

/// "BIRD version 2.0.12" -> "2.0.12"
std::optional<std::string> bird_version(const std::string& program) {
    const auto said = words(version_text(program), " \n");
    if (said.size() < 3 || said[0] != "BIRD" || said[1] != "version") return std::nullopt;
    return said[2];
}

void read_networkd(const std::string& root, HostFacts& facts) {
    for (const fs::path& path :
         drop_ins(root,
                  {"/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network",
                   "/usr/lib/systemd/network", "/lib/systemd/network"},
                  ".network")) {
        std::vector<std::string> names;
        bool unmanaged = false;
        settings(path, [&](const std::string& section, const std::string& key, const std::string& value) {
            if (section == "[Match]" && key == "Name") names = words(value, " \t");
            if (section == "[Link]" && key == "Unmanaged") unmanaged = is_yes(value);
        });
        if (!unmanaged) continue;
        std::move(names.begin(), names.end(), std::back_inserter(facts.networkd_unmanaged));
    }
    std::vector<fs::path> files{root + "/etc/systemd/networkd.conf"};
    const auto more = drop_ins(root,
                               {"/etc/systemd/networkd.conf.d", "/run/systemd/networkd.conf.d",
                                "/usr/local/lib/systemd/networkd.conf.d", "/usr/lib/systemd/networkd.conf.d"},
                               ".conf");
    files.insert(files.end(), more.begin(), more.end());
    for (const fs::path& path : files) {
        settings(path, [&](const std::string& section, const std::string& key, const std::string& value) {
            if (section == "[Network]" && key == "ManageForeignRoutes") {
                facts.networkd_keeps_foreign_routes = !is_yes(value);
            }
        });
    }
}

void read_network_manager(const std::string& root, HostFacts& facts) {
    std::vector<fs::path> files{root + "/etc/NetworkManager/NetworkManager.conf"};
    const auto more = drop_ins(
        root, {"/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"}, ".conf");
    files.insert(files.end(), more.begin(), more.end());
    auto& patterns = facts.network_manager_unmanaged;
    for (const fs::path& path : files) {
        settings(path, [&](const std::string& section, const std::string& key, const std::string& value) {
            if (section != "[keyfile]" || !key.starts_with("unmanaged-devices")) return;
            if (!key.ends_with('+')) patterns.clear();
            for (const std::string& device : words(value, ";, ")) {
                constexpr std::string_view kByName = "interface-name:";
                if (!device.starts_with(kByName)) continue;
                const std::string name = device.substr(kByName.size());
                patterns.push_back(name.starts_with('=') ? name.substr(1) : name);
            }
        });
    }
}

bool firewalld_knows_weft(const std::string& root) {
    const auto zones = entries(root + "/etc/firewalld/zones");
    return std::any_of(zones.begin(), zones.end(), [](const fs::path& zone) {
        return zone.extension() == ".xml" && contents(zone).find("<service name=\"weft\"") != std::string::npos;
    });
}

bool has_net_admin(const std::string& root) {
    const auto said = words(contents(root + "/proc/self/status"), " \t\n");
    const auto effective = std::find(said.begin(), said.end(), "CapEff:");
    if (effective == said.end() || std::next(effective) == said.end()) return true;
    return ((integer<std::uint64_t>(*std::next(effective), 16).value_or(0) >> CAP_NET_ADMIN) & 1U) != 0;
}

std::optional<bool> clock_is_synchronised() {
    timex time{};
    const int state = adjtimex(&time);
    if (state < 0) return std::nullopt;
    return state != TIME_ERROR && (time.status & STA_UNSYNC) == 0;
}

}  // namespace

HostFacts gather_facts(const std::string& config_file, const std::string& root) {
    HostFacts facts;
    facts.config_file = config_file;
    Loaded loaded = load_config(config_file, process_environment());
    facts.config = std::move(loaded.config);
    facts.diagnostics = std::move(loaded.diagnostics);
    facts.cluster = cluster_of(facts.config);

    utsname name{};
    uname(&name);
    facts.kernel = parse_kernel_version(name.release);
    facts.vxlan_module = module(root, name.release, "vxlan");
    facts.ipip_module = module(root, name.release, "ipip");
    facts.net_admin = has_net_admin(root);
    facts.bird_version = bird_version(facts.config.bird_program.value);
    facts.nics = interfaces(root);
    for (const char* const table : {"udp", "udp6"}) listeners(root, table, facts.cluster.vxlan.port, facts.udp);
    for (const char* const table : {"tcp", "tcp6"}) listeners(root, table, facts.cluster.bgp.port, facts.tcp);
    for (const fs::path& process : entries(root + "/proc")) {
        if (is_process(process)) facts.programs.insert(first_line(process / "comm"));
    }
    read_networkd(root, facts);
    read_network_manager(root, facts);
    facts.firewalld_knows_weft = firewalld_knows_weft(root);
    facts.rp_filter_all = integer<int>(first_line(root + "/proc/sys/net/ipv4/conf/all/rp_filter"));
    for (const auto& [family, directory] : {std::pair{Family::v4, "ipv4"}, std::pair{Family::v6, "ipv6"}}) {
        const auto limit = integer<std::uint32_t>(
            first_line(fmt::format("{}/proc/sys/net/{}/neigh/default/gc_thresh3", root, directory)));
        if (limit) facts.gc_thresh3[family] = *limit;
    }
    facts.clock_synchronised = clock_is_synchronised();
    return facts;
}

int doctor(const std::string& config_file, std::FILE* out) {
    const std::vector<Finding> findings = examine(gather_facts(config_file, ""));
    std::fputs(to_string(findings).c_str(), out);
    const bool sick = std::any_of(findings.begin(), findings.end(),
                                  [](const Finding& finding) { return finding.concern == Concern::error; });
    return sick ? 1 : 0;
}

}  // namespace weft
