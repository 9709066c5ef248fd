// Who holds a port, for an error message that names the culprit.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

/// "process 812 (named)"; empty where the socket is the kernel's own, its owner cannot be seen, or there is none.
std::string udp_port_owner(std::uint16_t port);
/// The same for a TCP port that is listened on.
std::string tcp_port_owner(std::uint16_t port);

}  // namespace weft
