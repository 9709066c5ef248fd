#include "bgp/replaced_sessions.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace weft {
namespace {

constexpr std::string_view kBegin = "\nprotocol bgp ";
constexpr std::string_view kDescription = "    description ";
constexpr std::string_view kNeighbor = "    neighbor ";

bool opens_channel(std::string_view line) {
    return line == "    ipv4 {" || line == "    ipv6 {";
}

/// All that ends a session when it changes, by the neighbour's address.
std::map<std::string, std::string, std::less<>> sessions_in(std::string_view text) {
    std::map<std::string, std::string, std::less<>> sessions;
    for (std::size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at)) {
        std::string address;
        std::string options;
        while (true) {
            const std::size_t end = std::min(text.find('\n', ++at), text.size());
            const std::string_view line = text.substr(at, end - at);
            at = end;
            if (opens_channel(line) || line == "}" || end == text.size()) break;
            if (line.starts_with(kNeighbor)) {
                address = line.substr(kNeighbor.size(), line.find(' ', kNeighbor.size()) - kNeighbor.size());
            }
            if (!line.starts_with(kDescription)) options.append(line) += '\n';
        }
        sessions.emplace(std::move(address), std::move(options));
    }
    return sessions;
}

}  // namespace

bool replaces_sessions(std::string_view before, const BirdConfig& now) {
    const auto old_sessions = sessions_in(before);
    std::size_t kept = 0;
    std::size_t replaced = 0;
    for (const auto& [address, options] : sessions_in(now.text)) {
        if (!now.node_of_peer.contains(address)) return false;
        const auto old = old_sessions.find(address);
        if (old == old_sessions.end()) continue;
        ++(old->second == options ? kept : replaced);
    }
    return replaced > 0 && replaced >= kept;
}

}  // namespace weft
