// The ordered difference between what is wanted and what is there. Pure.
//
// Order, which is what "make before break" means here: sysctls; devices made or changed, and the sysctls of those that
// are new; neighbours and FDB entries
// added or replaced; nexthops added; routes added or atomically replaced; then the stale goes, in the reverse order:
// routes, nexthops, FDB entries, neighbours, devices. No object that traffic may still use is removed before its
// successor is in place.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tunnel/observed.hpp"

namespace weft {

enum class Verb : std::uint8_t { add, replace, remove };

/// A device that must go before its successor of the same name can be made carries `Verb::remove` with the old device.
using Object = std::variant<Sysctl, VxlanDevice, IpipDevice, Neighbour, FdbEntry, Nexthop, ObservedRoute>;

struct Change {
    Verb verb = Verb::add;
    Object object;
    std::string_view reason;     ///< static text: "missing", "differs: mtu", "not wanted", ...
    bool may_interrupt = false;  ///< traffic that is under way can be lost while it is carried out
};

/// "add route 10.65.2.0/26 via ...", for logs, `weftctl plan` and events.
std::string to_string(const Change& change);
/// "sysctl", "device", "neighbour", "fdb", "nexthop", "route": the label of metrics.
std::string_view object_kind(const Object& object);
/// Kind and key, and nothing that may change about it: "route 10.65.2.0/26", "fdb 66:...:01 dev vxlan4".
std::string object_name(const Object& object);

/// What must be done, in order, so that `observed` becomes `desired`; empty when nothing has to.
/// Nexthop ids: one already there with the same Via is used again; new ones get the first from kFirstNexthopId on that
/// nobody has.
std::vector<Change> difference(const Desired& desired, const Observed& observed);

inline constexpr std::uint32_t kFirstNexthopId = 0x77660000;  // "wf": far from ids that people and daemons choose

}  // namespace weft
