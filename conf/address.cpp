#include "conf/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weft {
std::optional<Address> parse_address(std::string_view text) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    if (text.size() >= buffer.size()) return std::nullopt;
    if (text.find('\0') != std::string_view::npos) return std::nullopt;
    std::copy(text.begin(), text.end(), buffer.begin());
    Address address;
    address.family = text.find(':') == std::string_view::npos ? Family::v4 : Family::v6;
    const int family = address.family == Family::v4 ? AF_INET : AF_INET6;
    if (inet_pton(family, buffer.data(), address.bytes.data()) != 1) return std::nullopt;
    return address;
}

std::string to_string(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const int family = address.family == Family::v4 ? AF_INET : AF_INET6;
    inet_ntop(family, address.bytes.data(), buffer.data(), static_cast<socklen_t>(buffer.size()));
    return buffer.data();
}

Prefix network_of(const Address& address, std::uint8_t length) {
    Prefix prefix{.address = address, .length = length};
    for (std::size_t i = 0; i < address.size(); ++i) {
        const std::size_t first_bit = i * 8;
        if (first_bit >= length) {
            prefix.address.bytes.at(i) = 0;
        } else if (first_bit + 8 > length) {
            const unsigned mask = 0xFFU << (8U - (length - first_bit)) & 0xFFU;
            prefix.address.bytes.at(i) = static_cast<std::uint8_t>(prefix.address.bytes.at(i) & mask);
        }
    }
    return prefix;
}

Prefix InterfaceAddress::network() const {
    return network_of(address, length);
}

Prefix host_prefix(const Address& address) {
    return {.address = address, .length = bits(address.family)};
}

std::optional<InterfaceAddress> parse_interface_address(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = parse_address(text.substr(0, slash));
    if (!address) return std::nullopt;
    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (failure != std::errc{} || end != digits.data() + digits.size() || length > bits(address->family)) {
        return std::nullopt;
    }
    return InterfaceAddress{.address = *address, .length = static_cast<std::uint8_t>(length)};
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    const auto address = parse_interface_address(text);
    if (!address || address->network().address != address->address) return std::nullopt;
    return address->network();
}

std::string to_string(const Prefix& prefix) {
    return fmt::format("{}/{}", to_string(prefix.address), prefix.length);
}

std::string to_string(const InterfaceAddress& address) {
    return fmt::format("{}/{}", to_string(address.address), address.length);
}

std::optional<Mac> parse_mac(std::string_view text) {
    Mac mac;
    if (text.size() != 17) return std::nullopt;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        const char* const at = text.data() + 3 * i;
        if (i > 0 && at[-1] != ':') return std::nullopt;
        const auto [end, failure] = std::from_chars(at, at + 2, mac.bytes.at(i), 16);
        if (failure != std::errc{} || end != at + 2) return std::nullopt;
    }
    return mac;
}

std::string to_string(const Mac& mac) {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac.bytes[0], mac.bytes[1], mac.bytes[2],
                       mac.bytes[3], mac.bytes[4], mac.bytes[5]);
}

}  // namespace weft

std::size_t std::hash<weft::Address>::operator()(const weft::Address& address) const noexcept {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()});  // NOLINT
}
