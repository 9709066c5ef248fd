#include "tunnel/desired.hpp"

#include <fmt/format.h>

namespace weft {

std::string_view to_string(Device device) {
    switch (device) {
        case Device::none:
            return "none";
        case Device::vxlan4:
            return "vxlan4";
        case Device::vxlan6:
            return "vxlan6";
        case Device::ipip:
            return "ipip";
        case Device::old4:
            return "old4";
        case Device::old6:
            return "old6";
        case Device::older4:
            return "older4";
        case Device::older6:
            return "older6";
        case Device::under4:
            return "under4";
        case Device::under6:
            return "under6";
        case Device::other:
            break;
    }
    return "other";
}

std::string to_string(const Via& via) {
    std::string text;
    if (via.gateway) text = fmt::format("via {} ", to_string(*via.gateway));
    return fmt::format("{}dev {}{}", text, to_string(via.device), via.onlink ? " onlink" : "");
}

std::string to_string(const Route& route) {
    const std::string metric = route.metric == 0 ? "" : fmt::format(" metric {}", route.metric);
    if (route.type == RouteType::blackhole) return fmt::format("blackhole {}{}", to_string(route.destination), metric);
    return fmt::format("{} {}{}", to_string(route.destination), to_string(route.via), metric);
}

std::string to_string(const Neighbour& neighbour) {
    return fmt::format("{} lladdr {} dev {}", to_string(neighbour.address), to_string(neighbour.mac),
                       to_string(neighbour.device));
}

std::string to_string(const FdbEntry& entry) {
    return fmt::format("{} dst {} dev {}", to_string(entry.mac), to_string(entry.destination), to_string(entry.device));
}

}  // namespace weft
