// How this node finds the address that others reach it at: Calico's autodetection methods over what the host has, with
// the reason in words.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "tunnel/host.hpp"

namespace weft {

struct OwnAddress {
    InterfaceAddress address;
    std::string reason;  ///< "eth1 because it matches 'eth*'"
    bool operator==(const OwnAddress&) const = default;
};

/// The address of this family, or why there is none, with what there would be. `own_devices` (tunnels of ours), and
/// what weft has marked as its own, are never it. `towards`: of can_reach, the address that the kernel sends from to
/// its target. Interfaces are looked at from the highest index down, as Calico does.
Result<OwnAddress> find_own_address(const AddressMethod& method, Family family, const Host& host,
                                    const std::vector<std::string>& own_devices, const std::optional<Address>& towards);

/// The address that this host sends from to `target`; nullopt: there is no route.
std::optional<Address> source_address(const Address& target);

}  // namespace weft
