#include "tunnel/record.hpp"

#include <algorithm>
#include <tuple>

namespace weft {
namespace {

/// Puts `value` in its place in a sorted vector, or takes the one with its key out. `before` orders by key.
template <class T, class Before>
void enter(std::vector<T>& sorted, const T& value, Verb verb, Before before) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), value, before);
    const bool present = at != sorted.end() && !before(value, *at);
    if (verb == Verb::remove) {
        if (present) sorted.erase(at);
    } else if (present) {
        *at = value;
    } else {
        sorted.insert(at, value);
    }
}

struct Recorder {
    Observed& observed;
    Verb verb;

    bool operator()(const Sysctl& sysctl) const {
        enter(observed.sysctls, sysctl, Verb::replace,
              [](const Sysctl& a, const Sysctl& b) { return a.path < b.path; });
        return true;
    }
    bool operator()(const VxlanDevice&) const { return false; }
    bool operator()(const IpipDevice&) const { return false; }
    bool operator()(const Neighbour& neighbour) const {
        enter(observed.neighbours, neighbour, verb, [](const Neighbour& a, const Neighbour& b) {
            return std::tie(a.device, a.address) < std::tie(b.device, b.address);
        });
        return true;
    }
    bool operator()(const FdbEntry& entry) const {
        // Several destinations can stand under one MAC (appended by somebody): a removal takes out exactly its own.
        if (verb == Verb::remove) {
            const auto at = std::lower_bound(observed.fdb.begin(), observed.fdb.end(), entry);
            if (at != observed.fdb.end() && *at == entry) observed.fdb.erase(at);
            return true;
        }
        enter(observed.fdb, entry, verb, [](const FdbEntry& a, const FdbEntry& b) {
            return std::tie(a.device, a.mac) < std::tie(b.device, b.mac);
        });
        return true;
    }
    bool operator()(const Nexthop& nexthop) const {
        enter(observed.nexthops, nexthop, verb, [](const Nexthop& a, const Nexthop& b) { return a.id < b.id; });
        return true;
    }
    bool operator()(const ObservedRoute& route) const {
        enter(observed.routes, route, verb, [](const ObservedRoute& a, const ObservedRoute& b) {
            return std::tie(a.route.destination, a.route.metric) < std::tie(b.route.destination, b.route.metric);
        });
        return true;
    }
};

}  // namespace

bool record(Observed& observed, const Change& change) {
    return std::visit(Recorder{.observed = observed, .verb = change.verb}, change.object);
}

}  // namespace weft
