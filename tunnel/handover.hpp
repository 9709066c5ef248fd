// Make before break across nodes that read a change at different times. Pure.
//
// The planner says what the kernel should hold once everything has settled. `stage` says what it may hold now, so that
// no packet is lost on the way. Nothing is coordinated: each node looks at its own kernel, and asks the others with an
// echo whether they accept an encapsulation. Why nothing is lost:
//
// - Receivers accept first, and last. A device that the change needs is made before anything is sent through it
//   (difference.hpp); one that it no longer needs stays until none of our routes leads through it, so until every node
//   that we sent to through it has answered on the new path, and then until nothing has come in through it for a while.
// - Senders move last. A node's routes leave one encapsulation for another by an atomic replace, and only when that
//   node has answered an echo sent through the new one: it decapsulates it, then. To the underlay they move at once: a
//   node always takes packets that come unencapsulated.
// - IPIP or plain (BIRD's routes) -> VXLAN or plain of weft's: weftd's routes have the better metric. Until the node
// has
//   answered, weftd's route repeats BIRD's, word for word, so that BIRD may withdraw its own at any time. BIRD goes on
//   announcing this node's blocks until all nodes have answered through VXLAN (`still_announced`): those that have not
//   read the change yet have no other way to learn of them.
// - VXLAN or plain of weft's -> BIRD's: weftd's route stays until BIRD's stands beside it, leads where the pool says,
//   and (IPIP) the node has answered; then weftd's is removed and the packets fall through to BIRD's. A route that an
//   earlier BIRD left behind does not count: the next one may drop it before it learns it again (`bird_vouches`).
// - BIRD's -> BIRD's (IPIP, cross subnet, never): BIRD changes a kernel route by deleting and adding it. Over that gap,
//   and until the node has answered through IPIP, weftd's route repeats what BIRD's was before the change.
// - Sessions that are replaced (a password, a reflector): BIRD starts anew and keeps its routes in the kernel until it
//   has recovered. But one whose peer recovers at the same moment does not wait for what that one has to say (RFC 4724,
//   4.1), drops the route as a stale one and adds it some milliseconds later. weftd's copy covers that as well.
// - Another VNI or port: the kernel cannot change a device's, so a second device is made beside the first (role vxlan4;
//   the first becomes old4); the rest is as between any two encapsulations. Should another change come before traffic
//   has left that one, it becomes older4; of a fourth the oldest goes at once.
// - A block that moves, a pool that is split, always <-> cross subnet: the same rules, route by route; where the
//   encapsulation stays what it was there is nothing to prove and one atomic replace does it.
// - A node whose tunnel address for the new encapsulation is not known yet (nodes allocate them one after another) is
//   asked at the one of the old encapsulation; where it has none either, the address is waited for.
// - A node that never answers (it is down, or drops echoes) is waited for so long and then taken to accept, with a
//   warning: `accepts` says so.
#pragma once

#include <compare>
#include <functional>
#include <string_view>
#include <vector>

#include "conf/cluster.hpp"
#include "tunnel/desired.hpp"
#include "tunnel/observed.hpp"

namespace weft {

/// A question to a node: do you accept this encapsulation? Asked with an echo request to its tunnel address.
struct Echo {
    Device through = Device::none;  ///< vxlan4, vxlan6, ipip; none: no question, something else is waited for
    Address tunnel;    ///< the node's tunnel address; of none: the block's, to which BIRD's route is awaited
    Address underlay;  ///< where the outer packet goes; of none: the node's whose tunnel address is awaited
    Mac mac;           ///< of VXLAN: the VTEP's

    auto operator<=>(const Echo&) const = default;
};
/// "192.0.2.12 through vxlan4"
std::string to_string(const Echo& echo);

struct StageInput {
    const Cluster& cluster;
    std::string_view node;  ///< this node's name
    Backend backend = Backend::bird;
    Desired target;
    const Observed& observed;
    /// What has turned since weftd runs (see `turned`): BIRD is about to change its routes there.
    const std::vector<Prefix>& turning;
    /// The node has answered, or has been waited for long enough.
    const std::function<bool(const Echo&)>& accepts;
    /// Devices that nothing has come in through for long enough.
    const std::vector<Device>& drained;
    bool live_rename = false;  ///< the kernel renames a device that is up (6.2)
    /// BIRD stands behind its routes: it runs, with the configuration that is wanted, and has all it is to learn. Else
    /// they are an earlier BIRD's, and go when recovery ends before that node's session is back.
    bool bird_vouches = true;
};

struct Stage {
    Desired desired;
    std::vector<Echo> echoes;           ///< what is not known yet and matters; sorted, unique
    std::vector<Device> draining;       ///< devices that the target does not have and that stay for now
    std::vector<Device> idle;           ///< of these, the ones that nothing is sent through any more
    std::vector<Pool> still_announced;  ///< what BIRD is to be told of these pools instead of what the cluster says
    std::size_t held = 0;               ///< routes that are not yet where the target has them

    bool done() const { return echoes.empty() && draining.empty() && still_announced.empty() && held == 0; }
};

/// One walk along the target's routes; where nothing is under way the target itself comes back, not copied.
Stage stage(StageInput input);

/// A device with an interim name keeps it until it can get its own without being set down.
void keep_interim_names(Desired& desired, const Observed& observed, bool live_rename);

/// What is about to turn for node `node`: the pools of `now` whose packets travelled another way in `before` (new ones
/// are none of them), and what BIRD is going to learn anew through other sessions, some nodes' blocks or all its pools.
std::vector<Prefix> turned(const Cluster& before, const Cluster& now, std::string_view node);

}  // namespace weft
