#include "tunnel/port_owner.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace weft {
namespace {

namespace fs = std::filesystem;

/// "socket:[4711]" of each socket bound to the port. In /proc/net/udp the second field is ADDRESS:PORT in
/// hexadecimal, the fourth the state (of TCP, 0A listens), the tenth the inode, which is 0 for sockets of the kernel.
std::set<std::string> sockets_on(std::uint16_t port, std::string_view protocol) {
    std::set<std::string> sockets;
    const std::string suffix = fmt::format(":{:04X}", port);
    for (const char* family : {"", "6"}) {
        std::ifstream file(fmt::format("/proc/self/net/{}{}", protocol, family));
        for (std::string line; std::getline(file, line);) {
            std::istringstream fields(line);
            std::string slot, local, remote, state, skipped, inode;
            fields >> slot >> local >> remote >> state;
            for (int field = 5; field < 10; ++field) fields >> skipped;
            fields >> inode;
            if (protocol == "tcp" && state != "0A") continue;
            if (local.ends_with(suffix) && !inode.empty() && inode != "0") {
                sockets.insert(fmt::format("socket:[{}]", inode));
            }
        }
    }
    return sockets;
}

bool holds_one(const fs::path& process, const std::set<std::string>& sockets) {
    std::error_code error;
    for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
        std::error_code gone;
        const fs::path target = fs::read_symlink(at->path(), gone);
        if (!gone && sockets.contains(target.string())) return true;
    }
    return false;
}

std::string owner_of(const std::set<std::string>& sockets) {
    if (sockets.empty()) return {};
    std::error_code error;
    for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
        const std::string pid = at->path().filename().string();
        if (pid.find_first_not_of("0123456789") != std::string::npos || !holds_one(at->path(), sockets)) continue;
        std::string name;
        std::ifstream comm(at->path() / "comm");
        std::getline(comm, name);
        return fmt::format("process {} ({})", pid, name);
    }
    return {};
}

}  // namespace

std::string udp_port_owner(std::uint16_t port) {
    return owner_of(sockets_on(port, "udp"));
}

std::string tcp_port_owner(std::uint16_t port) {
    return owner_of(sockets_on(port, "tcp"));
}

}  // namespace weft
