#include "daemon/contention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace weft {
namespace {

constexpr std::size_t kHeard = 64;
constexpr std::size_t kNamed = 5;

/// What a notification calls the object by.
std::string notified_key(const Object& object) {
    if (const auto* route = std::get_if<ObservedRoute>(&object)) return to_string(route->route.destination);
    if (const auto* entry = std::get_if<Neighbour>(&object)) return to_string(entry->address);
    if (const auto* entry = std::get_if<FdbEntry>(&object)) return to_string(entry->mac);
    if (const auto* nexthop = std::get_if<Nexthop>(&object)) return std::to_string(nexthop->id);
    return {};
}

/// Whether both make the same of it: two removals do, whatever was there.
bool same_outcome(const Change& a, const Change& b) {
    if (a.verb == Verb::remove || b.verb == Verb::remove) return a.verb == b.verb;
    const auto* one = std::get_if<ObservedRoute>(&a.object);
    const auto* other = std::get_if<ObservedRoute>(&b.object);
    // Which nexthop object stands for the way is no difference.
    return one && other ? one->route == other->route : a.object == b.object;
}

/// Whether a route can depend on it.
bool carries(const Object& object) {
    return !std::holds_alternative<Sysctl>(object) && !std::holds_alternative<ObservedRoute>(object);
}

Device device_of(const Object& object) {
    if (const auto* route = std::get_if<ObservedRoute>(&object)) return route->route.via.device;
    if (const auto* entry = std::get_if<Neighbour>(&object)) return entry->device;
    if (const auto* entry = std::get_if<FdbEntry>(&object)) return entry->device;
    if (const auto* nexthop = std::get_if<Nexthop>(&object)) return nexthop->via.device;
    return Device::none;
}

}  // namespace

std::string netlink_user(std::uint32_t port) {
    if (port == 0) return {};
    std::string name;
    std::ifstream("/proc/" + std::to_string(port) + "/comm") >> name;
    return name.empty() ? fmt::format("netlink port {}", port) : fmt::format("process {} ({})", port, name);
}

void Contention::heard(const std::string& object, std::uint32_t by) {
    if (by == 0) return;
    heard_.push_back({object, user(by)});
    if (heard_.size() > kHeard) heard_.pop_front();
}

const std::string& Contention::user(std::uint32_t port) {
    if (user_.first != port) user_ = {port, netlink_user(port)};
    return user_.second;
}

std::string Contention::culprit_of(const Change& change) const {
    const std::string key = " " + notified_key(change.object) + " ";
    for (auto at = heard_.rbegin(); at != heard_.rend(); ++at) {
        if (key.size() > 2 && at->object.find(key) != std::string::npos) return at->who;
    }
    return {};
}

bool Contention::may_repair(const Change& change, bool drift, Clock::time_point now) {
    const std::string name = object_name(change.object);
    const auto known = objects_.find(name);
    if (known == objects_.end() && !drift) return true;
    Object& object = known != objects_.end() ? known->second : objects_[name];
    // A device that is made anew is removed and added in one go: both or neither.
    if (object.held) return false;
    if (object.repairs > 0 && object.last != now && !same_outcome(object.made, change)) {
        if (!drift) {
            objects_.erase(name);
            return true;
        }
        object = {};
    }
    // The first time is a slip, of which nobody is told; and of a thousand objects that are flushed it is the first.
    if (object.repairs > 0) {
        if (std::string who = culprit_of(change); !who.empty()) object.culprit = std::move(who);
    }
    object.held = now < object.due;
    if (object.held) return false;
    // The passes of one reconcile are one repair.
    if (object.last == now) return true;
    object.last = now;
    object.made = change;
    ++object.repairs;
    if (object.repairs >= kFree) {
        const unsigned doublings = std::min(object.repairs - kFree, 6U);
        object.due = now + std::min<Clock::duration>(kFirstWait * (1U << doublings), kLongestWait);
    }
    return true;
}

void Contention::hold_back(std::vector<Change>& changes, bool drift, Clock::time_point now) {
    std::erase_if(objects_, [&](const auto& at) { return now > std::max(at.second.last, at.second.due) + kForgotten; });
    for (auto& [name, object] : objects_) object.held = false;
    user_ = {};
    if (objects_.empty() && !drift) return;
    std::vector<Device> held_devices;
    std::set<std::uint32_t> held_nexthops;
    bool route_stays = false;
    const auto waits = [&](const Change& change) {
        const auto* route = std::get_if<ObservedRoute>(&change.object);
        if (change.verb == Verb::remove) return route_stays && carries(change.object);
        if (route && held_nexthops.contains(route->nexthop_id)) return true;
        return std::ranges::find(held_devices, device_of(change.object)) != held_devices.end();
    };
    // In their order: what something hangs on comes before it, and removals come last.
    std::erase_if(changes, [&](const Change& change) {
        if (!waits(change) && may_repair(change, drift, now)) return false;
        if (const auto* device = std::get_if<VxlanDevice>(&change.object)) held_devices.push_back(device->role);
        if (const auto* nexthop = std::get_if<Nexthop>(&change.object)) held_nexthops.insert(nexthop->id);
        route_stays |= change.verb == Verb::replace && std::holds_alternative<ObservedRoute>(change.object);
        return true;
    });
}

std::optional<Contention::Clock::time_point> Contention::next() const {
    std::optional<Clock::time_point> first;
    for (const auto& [name, object] : objects_) {
        if (object.held && (!first || object.due < *first)) first = object.due;
    }
    return first;
}

std::vector<Problem> Contention::problems() const {
    std::vector<Problem> problems;
    std::size_t more = 0;
    for (const auto& [name, object] : objects_) {
        if (!object.held) continue;
        if (problems.size() == kNamed) {
            ++more;
            continue;
        }
        const std::string who = object.culprit.empty() ? "the kernel does not tell who" : "last by " + object.culprit;
        problems.push_back({.object = name,
                            .text = fmt::format("somebody else changes it again and again ({}); it is repaired ever "
                                                "more rarely, at least every {} s: find and stop what changes it",
                                                who, kLongestWait.count()),
                            .unready = false});
    }
    if (more > 0) {
        problems.push_back({.object = "kernel",
                            .text = fmt::format("{} more objects are changed again and again by somebody else", more),
                            .unready = false});
    }
    return problems;
}

void Contention::clear() {
    objects_.clear();
    heard_.clear();
}

}  // namespace weft
