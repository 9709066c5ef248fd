// Rules for single values that reach the kernel, BIRD's configuration or a shell: checked when they are read, so that
// nothing behind the reader has to wonder.
#pragma once

#include <string>

#include "conf/words.hpp"

namespace weft {

/// Each returns what is wrong with the value, or nothing.
std::string check_node_name(const std::string& name);
/// As the kernel's dev_valid_name: at most 15 bytes, no white space, no '/', no ':', not "." or "..".
std::string check_interface_name(const std::string& name);
std::string check_interface_pattern(const std::string& pattern);
/// TCP-MD5 takes at most 80 bytes (TCP_MD5SIG_MAXKEYLEN); BIRD's strings have no escapes.
std::string check_password(const std::string& password);
std::string check_path(const std::string& path);
/// sun_path of sockaddr_un holds 107 bytes.
std::string check_socket_path(const std::string& path);
std::string check_url(const std::string& url);
/// An address that a node or a router can have.
std::string check_unicast(const Address& address);

/// Throws Wrong where a check found something.
inline void require(std::string trouble, const Place& place) {
    if (!trouble.empty()) throw syntax::Wrong{place, std::move(trouble)};
}

}  // namespace weft
