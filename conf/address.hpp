// IP addresses, prefixes and MAC addresses: small values with the order and the text forms everybody expects.
#pragma once

#include <endian.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "conf/result.hpp"

namespace weft {

enum class Family : std::uint8_t { v4, v6 };
inline constexpr std::array<Family, 2> kFamilies{Family::v4, Family::v6};

/// An IPv4 or IPv6 address in network byte order; of an IPv4 address the first four bytes, the rest zero.
/// Ordered by family, then numerically.
struct Address {
    Family family = Family::v4;
    std::array<std::uint8_t, 16> bytes{};

    bool operator==(const Address&) const = default;
    std::strong_ordering operator<=>(const Address& other) const {
        if (family != other.family) return family <=> other.family;
        const std::uint64_t mine = half(0);
        const std::uint64_t theirs = other.half(0);
        return mine != theirs ? mine <=> theirs : half(8) <=> other.half(8);
    }
    /// The eight bytes from `first` on as a number. Comparing numbers, not bytes, because sorting and merging is most
    /// of what a plan for 20,000 blocks costs.
    std::uint64_t half(std::size_t first) const {
        std::uint64_t number = 0;
        std::memcpy(&number, bytes.data() + first, sizeof number);
        return be64toh(number);
    }
    bool is_unspecified() const { return bytes == std::array<std::uint8_t, 16>{}; }
    /// 4 or 16.
    std::size_t size() const { return family == Family::v4 ? 4 : 16; }
};

/// The length of an address in bits: 32 or 128.
constexpr std::uint8_t bits(Family family) {
    return family == Family::v4 ? 32 : 128;
}

/// Dotted quad or RFC 4291 text; nullopt for anything else (no zones, no leading zeros in IPv4).
std::optional<Address> parse_address(std::string_view text);
/// RFC 5952 form for IPv6.
std::string to_string(const Address& address);

/// A network: an address whose host bits are zero, and the number of its leading bits that count.
struct Prefix {
    Address address;
    std::uint8_t length = 0;

    auto operator<=>(const Prefix&) const = default;
    Family family() const { return address.family; }
    bool contains(const Address& other) const {
        if (other.family != address.family) return false;
        const std::uint64_t high = address.half(0) ^ other.half(0);
        if (length <= 64) return length == 0 || high >> (64U - length) == 0;
        return high == 0 && (address.half(8) ^ other.half(8)) >> (128U - length) == 0;
    }
    bool contains(const Prefix& other) const { return other.length >= length && contains(other.address); }
    bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }
    /// A /32 or /128.
    bool is_host() const { return length == bits(address.family); }
};

/// An address as an interface carries it: the address itself and the length of the subnet it is in.
struct InterfaceAddress {
    Address address;
    std::uint8_t length = 0;

    auto operator<=>(const InterfaceAddress&) const = default;
    /// The subnet: the address with its host bits cleared.
    Prefix network() const;
};

/// The /32 or /128 of one address.
Prefix host_prefix(const Address& address);
/// `address` with all but its first `length` bits cleared.
Prefix network_of(const Address& address, std::uint8_t length);

/// "10.65.0.0/16", length given; nullopt for text of another form or a length out of range. Host bits are kept, so
/// that the caller can tell a Prefix (none set) from an interface's address.
std::optional<InterfaceAddress> parse_interface_address(std::string_view text);
/// As above, nullopt also where host bits are set.
std::optional<Prefix> parse_prefix(std::string_view text);
std::string to_string(const Prefix& prefix);
std::string to_string(const InterfaceAddress& address);

struct Mac {
    std::array<std::uint8_t, 6> bytes{};
    bool operator==(const Mac&) const = default;
    std::strong_ordering operator<=>(const Mac& other) const { return number() <=> other.number(); }
    /// Its 48 bits as a number.
    std::uint64_t number() const {
        std::uint64_t number = 0;
        std::memcpy(&number, bytes.data(), bytes.size());
        return be64toh(number) >> 16U;
    }
};
/// "66:3e:ca:a4:db:65", either case; nullopt for any other form.
std::optional<Mac> parse_mac(std::string_view text);
std::string to_string(const Mac& mac);

}  // namespace weft

template <>
struct std::hash<weft::Address> {
    std::size_t operator()(const weft::Address& address) const noexcept;
};
