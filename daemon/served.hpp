// Who programs a pool's routes, as the mode switch has it.
#pragma once

#include "conf/cluster.hpp"

namespace weft {

enum class Server : std::uint8_t { nobody, weft, bird };

constexpr Server server_of(const Pool& pool, Backend backend) {
    if (backend == Backend::none) return Server::nobody;
    if (pool.vxlan != Encapsulate::never) return Server::weft;
    return backend == Backend::bird ? Server::bird : Server::nobody;
}

}  // namespace weft
