#include "conf/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "conf/text.hpp"

namespace weft {
namespace {

bool only(const std::string& text, std::string_view also) {
    return std::all_of(text.begin(), text.end(), [&](unsigned char c) {
        return std::isalnum(c) != 0 || also.find(static_cast<char>(c)) != std::string_view::npos;
    });
}

}  // namespace

std::string check_node_name(const std::string& name) {
    if (name.empty()) return "a node's name cannot be empty";
    if (name.size() > 253) return "a node's name has at most 253 characters";
    if (!only(name, "-_."))
        return fmt::format("'{}' is no node name: letters, digits, '-', '_' and '.' are", shown(name));
    return {};
}

std::string check_interface_name(const std::string& name) {
    if (name.empty()) return "an interface's name cannot be empty";
    if (name.size() > 15) return fmt::format("'{}' is too long: an interface's name has at most 15 bytes", name);
    if (name == "." || name == ".." || !only(name, "-_.@")) {
        return fmt::format("'{}' is no interface name: letters, digits, '-', '_', '.' and '@' are", name);
    }
    return {};
}

std::string check_interface_pattern(const std::string& pattern) {
    if (pattern.empty()) return "an interface pattern cannot be empty";
    if (pattern.size() > 64 || !only(pattern, "-_.@*?[]!")) {
        return fmt::format("'{}' is no interface pattern: a name with '*', '?' or '[...]' is", pattern);
    }
    return {};
}

std::string check_password(const std::string& password) {
    if (password.empty()) return "a password cannot be empty: leave the statement out";
    if (password.size() > 80) return "a TCP-MD5 password has at most 80 bytes";
    return {};
}

std::string check_path(const std::string& path) {
    if (path.empty() || path.front() != '/') return fmt::format("'{}' is no absolute path", path);
    return {};
}

std::string check_socket_path(const std::string& path) {
    if (path.size() > 107) return "a socket's path has at most 107 bytes";
    return check_path(path);
}

std::string check_url(const std::string& url) {
    const bool https = url.starts_with("https://");
    const std::size_t scheme = https ? 8 : 7;
    if ((!https && !url.starts_with("http://")) || url.size() == scheme || !only(url.substr(scheme), "-_.:[]/")) {
        return fmt::format("'{}' is no endpoint: expected https://HOST:PORT or http://HOST:PORT", url);
    }
    return {};
}

std::string check_unicast(const Address& address) {
    const bool multicast = address.family == Family::v4 ? address.bytes[0] >= 224 : address.bytes[0] == 0xFF;
    const bool loopback = address.family == Family::v4 ? address.bytes[0] == 127 : address == *parse_address("::1");
    if (address.is_unspecified() || multicast || loopback) {
        return fmt::format("{} is no address that other nodes can send to", to_string(address));
    }
    return {};
}

}  // namespace weft
