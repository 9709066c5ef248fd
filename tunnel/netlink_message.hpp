// Netlink messages as bytes: a writer that packs many into one buffer, and readers that never look past the end.
//
// The kernel is trusted to be the kernel, but not to be the one these structures were compiled for: every length is
// checked against the bytes that are there, an attribute of another size than expected counts as absent, and what
// follows a malformed attribute is not read.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "conf/address.hpp"

namespace weft::netlink {

using Bytes = std::span<const std::byte>;

/// Packs messages one after another. begin, fixed header, attributes, end; then the next.
class Writer {
  public:
    void begin(std::uint16_t type, unsigned flags, std::uint32_t sequence);
    void end();
    /// Asks for an acknowledgement of the last message.
    void acknowledge_last();

    template <class T>
    void fixed(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        append(std::as_bytes(std::span(&value, 1)));
    }
    void put(unsigned type, Bytes value);
    template <class T>
    void put_value(unsigned type, T value) {
        static_assert(std::is_integral_v<T>);
        put(type, std::as_bytes(std::span(&value, 1)));
    }
    /// Zero-terminated, as interface names are.
    void put_text(unsigned type, std::string_view value);
    void put_address(unsigned type, const Address& address);
    void put_mac(unsigned type, const Mac& mac);
    /// Opens a nested attribute; `close` takes what it returns.
    std::size_t open(unsigned type);
    void close(std::size_t mark);

    Bytes bytes() const { return bytes_; }
    void clear();

  private:
    void append(Bytes value);

    std::vector<std::byte> bytes_;
    std::size_t message_ = 0;  ///< where the last one begins
};

/// One message out of a datagram.
struct Message {
    nlmsghdr header{};
    Bytes body;  ///< after the header

    /// The family's fixed header, zero-filled where the message is shorter.
    template <class T>
    T fixed() const {
        T value{};
        std::memcpy(&value, body.data(), body.size() < sizeof value ? body.size() : sizeof value);
        return value;
    }
    /// What follows the family's fixed header.
    template <class T>
    Bytes attributes() const {
        constexpr std::size_t size = NLMSG_ALIGN(sizeof(T));
        return body.size() > size ? body.subspan(size) : Bytes{};
    }
};

/// Takes the first message off `datagram`; nullopt at its end and where it is malformed.
std::optional<Message> next_message(Bytes& datagram);

struct Attribute {
    unsigned type = 0;  ///< without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
    Bytes value;

    /// An integer of exactly this size; nullopt otherwise.
    template <class T>
    std::optional<T> as() const {
        if (value.size() != sizeof(T)) return std::nullopt;
        T result;
        std::memcpy(&result, value.data(), sizeof result);
        return result;
    }
    /// Text up to its zero byte or its end.
    std::string_view text() const;
    /// By its length: 4 or 16 bytes.
    std::optional<Address> address() const;
    std::optional<Mac> mac() const;
};

/// Takes the first attribute off `attributes`; nullopt at the end and where it is malformed.
inline std::optional<Attribute> next_attribute(Bytes& attributes) {
    nlattr header{};
    if (attributes.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, attributes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > attributes.size()) return std::nullopt;
    const Attribute found{static_cast<unsigned>(header.nla_type & NLA_TYPE_MASK),
                          attributes.subspan(sizeof header, header.nla_len - sizeof header)};
    const std::size_t step = NLA_ALIGN(header.nla_len);
    attributes = step < attributes.size() ? attributes.subspan(step) : Bytes{};
    return found;
}

/// What an NLMSG_ERROR says: errno (0: an acknowledgement) and, with NETLINK_EXT_ACK, the kernel's words.
struct Answer {
    int error = 0;
    std::string_view text;
};
/// The kernel's -errno as errno; EBADMSG for what cannot be one.
int positive_errno(int error);
/// nullopt where the message is too short to be one.
std::optional<Answer> parse_answer(const Message& message);

}  // namespace weft::netlink
