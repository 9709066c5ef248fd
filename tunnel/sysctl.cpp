#include "tunnel/sysctl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace weft {
namespace {

std::string file_of(const std::string& path) {
    return "/proc/sys/net/" + path;
}

}  // namespace

std::string read_sysctl(const std::string& path) {
    const int file = open(file_of(path).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    std::array<char, 256> text{};
    const ssize_t got = read(file, text.data(), text.size());
    close(file);
    std::string value(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    value.erase(value.find_last_not_of(" \t\n") + 1);
    return value;
}

int write_sysctl(const Sysctl& setting) {
    // A name from outside must not lead out of the tree.
    if (setting.path.find("../") != std::string::npos) return EINVAL;
    const int file = open(file_of(setting.path).c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return errno;
    const ssize_t written = write(file, setting.value.data(), setting.value.size());
    const int error = written < 0 ? errno : 0;
    close(file);
    return error;
}

}  // namespace weft
