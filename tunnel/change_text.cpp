#include <fmt/format.h>

#include "tunnel/difference.hpp"

namespace weft {
namespace {

template <class... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // clang 14 does not deduce it

std::string object_text(const Object& object) {
    return std::visit(
        Overloaded{
            [](const Sysctl& setting) { return fmt::format("{} = {}", setting.path, setting.value); },
            [](const VxlanDevice& device) {
                return fmt::format("{} vxlan id {} port {} local {} parent {} mac {} mtu {} address {}", device.name,
                                   device.vni, device.port, to_string(device.local), to_string(device.parent),
                                   to_string(device.mac), device.mtu, to_string(device.address));
            },
            [](const IpipDevice& device) {
                return fmt::format("{} ipip mtu {} address {}", device.name, device.mtu, to_string(device.address));
            },
            [](const Neighbour& neighbour) { return to_string(neighbour); },
            [](const FdbEntry& entry) { return to_string(entry); },
            [](const Nexthop& nexthop) {
                return fmt::format("id {} {}", nexthop.id, nexthop.blackhole ? "blackhole" : to_string(nexthop.via));
            },
            [](const ObservedRoute& route) {
                const std::string text = to_string(route.route);
                return route.nexthop_id == 0 ? text : fmt::format("{} nhid {}", text, route.nexthop_id);
            },
        },
        object);
}

std::string_view verb_text(Verb verb) {
    if (verb == Verb::add) return "add";
    return verb == Verb::replace ? "replace" : "remove";
}

}  // namespace

std::string_view object_kind(const Object& object) {
    return std::visit(Overloaded{
                          [](const Sysctl&) { return std::string_view("sysctl"); },
                          [](const VxlanDevice&) { return std::string_view("device"); },
                          [](const IpipDevice&) { return std::string_view("device"); },
                          [](const Neighbour&) { return std::string_view("neighbour"); },
                          [](const FdbEntry&) { return std::string_view("fdb"); },
                          [](const Nexthop&) { return std::string_view("nexthop"); },
                          [](const ObservedRoute&) { return std::string_view("route"); },
                      },
                      object);
}

std::string object_name(const Object& object) {
    const std::string key =
        std::visit(Overloaded{
                       [](const Sysctl& setting) { return setting.path; },
                       [](const VxlanDevice& device) { return device.name; },
                       [](const IpipDevice& device) { return device.name; },
                       [](const Neighbour& entry) {
                           return fmt::format("{} dev {}", to_string(entry.address), to_string(entry.device));
                       },
                       [](const FdbEntry& entry) {
                           return fmt::format("{} dev {}", to_string(entry.mac), to_string(entry.device));
                       },
                       [](const Nexthop& nexthop) { return fmt::format("{}", nexthop.id); },
                       [](const ObservedRoute& route) { return to_string(route.route.destination); },
                   },
                   object);
    return fmt::format("{} {}", object_kind(object), key);
}

std::string to_string(const Change& change) {
    return fmt::format("{} {} {}", verb_text(change.verb), object_kind(change.object), object_text(change.object));
}

}  // namespace weft
