#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tunnel/kernel.hpp"

namespace weft {

std::vector<std::string> messages_of(std::span<const Failure> failures) {
    std::vector<std::string> messages;
    std::map<std::string, std::size_t> waiting;
    for (const Failure& failure : failures) {
        if (failure.waits_for.empty()) {
            messages.push_back(failure.message);
        } else {
            ++waiting[failure.waits_for];
        }
    }
    const auto refused = messages.size();
    for (const auto& [device, count] : waiting) {
        // Why the device is not there, the kernel has said already.
        const std::string subject = device + ":";
        const bool told = std::any_of(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(refused),
                                      [&](const std::string& message) { return message.starts_with(subject); });
        if (!told) messages.push_back(fmt::format("{} is not there, and {} changes wait for it", device, count));
    }
    return messages;
}

}  // namespace weft
