#include "daemon/contention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

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
    // The first time is a slip, of which nobody is told; and of a thousand objects that are flushed it is the first.
    if (object.repairs > 0) {
        if (std::string who = culprit_of(change); !who.empty()) object.culprit = std::move(who);
    }
    object.held = now < object.due;
    if (object.held) return false;
    // The passes of one reconcile are one repair.
    if (object.last == now) return true;
    object.last = now;
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
    std::erase_if(changes, [&](const Change& change) {
        const Device on = device_of(change.object);
        const bool waits = std::find(held_devices.begin(), held_devices.end(), on) != held_devices.end();
        if (waits || !may_repair(change, drift, now)) {
            if (const auto* device = std::get_if<VxlanDevice>(&change.object)) held_devices.push_back(device->role);
            return true;
        }
        return false;
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
