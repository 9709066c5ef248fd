#include "tunnel/host.hpp"

#include <algorithm>
#include <charconv>

namespace weft {

KernelVersion parse_kernel_version(std::string_view release) {
    KernelVersion version;
    const char* at = release.data();
    const char* const end = at + release.size();
    for (unsigned* part : {&version.major, &version.minor, &version.patch}) {
        const auto [next, error] = std::from_chars(at, end, *part);
        if (error != std::errc{} || next == end || *next != '.') break;
        at = next + 1;
    }
    return version;
}

const Link* Host::link(std::uint32_t index) const {
    const auto found = std::ranges::lower_bound(links, index, {}, &Link::index);
    return found != links.end() && found->index == index ? &*found : nullptr;
}

const Link* Host::link(std::string_view name) const {
    const auto found = std::ranges::find(links, name, &Link::name);
    return found != links.end() ? &*found : nullptr;
}

}  // namespace weft
