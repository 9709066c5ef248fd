#include <utility>

#include "tunnel/echo.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>

namespace weft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint8_t kTtl = 64;
constexpr std::uint8_t kEchoRequest4 = 8, kEchoReply4 = 0, kEchoRequest6 = 128, kEchoReply6 = 129;
// The ICMP header; the number, twice, so that a stray reply is told apart; a mark, the role and the VNI, and the port,
// so that another weft knows what it is asked.
constexpr std::size_t kMessage = 28;
constexpr std::uint32_t kMark = 0x77656674;  // "weft"

/// Bytes in network order, one header after another.
class Packet {
  public:
    void byte(unsigned value) { bytes_.push_back(static_cast<std::byte>(value)); }
    void word(unsigned value) {
        byte(value >> 8U & 0xffU);
        byte(value & 0xffU);
    }
    void number(std::uint32_t value) {
        word(value >> 16U);
        word(value & 0xffffU);
    }
    void address(const Address& value) {
        for (std::size_t i = 0; i < bits(value.family) / 8U; ++i) byte(value.bytes.at(i));
    }
    void mac(const Mac& value) {
        for (const auto one : value.bytes) byte(one);
    }
    std::size_t size() const { return bytes_.size(); }
    std::vector<std::byte> take() { return std::move(bytes_); }

    /// Sum of 16-bit words from `begin` on, on top of `start` (RFC 1071).
    std::uint16_t checksum(std::size_t begin, std::uint32_t start = 0) const {
        std::uint32_t sum = start;
        for (std::size_t i = begin; i + 1 < bytes_.size(); i += 2) {
            sum += std::to_integer<std::uint32_t>(bytes_[i]) << 8U | std::to_integer<std::uint32_t>(bytes_[i + 1]);
        }
        while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
        return static_cast<std::uint16_t>(~sum & 0xffffU);
    }
    void set_word(std::size_t at, unsigned value) {
        bytes_.at(at) = static_cast<std::byte>(value >> 8U & 0xffU);
        bytes_.at(at + 1) = static_cast<std::byte>(value & 0xffU);
    }

  private:
    std::vector<std::byte> bytes_;
};

// The roles' numbers are on the wire, between versions of weft.
static_assert(static_cast<int>(Device::vxlan4) == 1 && static_cast<int>(Device::vxlan6) == 2 &&
              static_cast<int>(Device::ipip) == 3);

/// What an echo request says.
struct Message {
    std::uint16_t identifier = 0;
    std::uint32_t number = 0;
    Asked asked;
};

void put_message(Packet& packet, unsigned type, const Message& message, std::uint32_t pseudo_header) {
    const std::size_t begin = packet.size();
    packet.byte(type);
    packet.byte(0);
    packet.word(0);
    packet.word(message.identifier);
    packet.word(message.number & 0xffffU);
    packet.number(message.number);
    packet.number(~message.number);
    packet.number(kMark);
    packet.number(static_cast<std::uint32_t>(message.asked.through) << 24U | message.asked.vni);
    packet.number(message.asked.port);
    packet.set_word(begin + 2, packet.checksum(begin, pseudo_header));
}

void put_ip4(Packet& packet, const Address& from, const Address& to, const Message& message) {
    const std::size_t begin = packet.size();
    packet.byte(0x45);
    packet.byte(0);
    packet.word(20 + kMessage);
    packet.number(0);
    packet.byte(kTtl);
    packet.byte(IPPROTO_ICMP);
    packet.word(0);
    packet.address(from);
    packet.address(to);
    packet.set_word(begin + 10, packet.checksum(begin));
    put_message(packet, kEchoRequest4, message, 0);
}

void put_ip6(Packet& packet, const Address& from, const Address& to, const Message& message) {
    packet.number(0x60000000U);
    packet.word(kMessage);
    packet.byte(IPPROTO_ICMPV6);
    packet.byte(kTtl);
    const std::size_t addresses = packet.size();
    packet.address(from);
    packet.address(to);
    // The pseudo header: both addresses, the length and the next header (RFC 8200, 8.1).
    const auto pseudo = static_cast<std::uint16_t>(~packet.checksum(addresses, kMessage + IPPROTO_ICMPV6));
    put_message(packet, kEchoRequest6, message, pseudo);
}

/// Closed with its end.
class Descriptor {
  public:
    explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
    ~Descriptor() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    int get() const { return descriptor_; }
    int release() { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_;
};

sockaddr_storage socket_address(const Address& address, std::uint16_t port, socklen_t& size) {
    sockaddr_storage storage{};
    if (address.family == Family::v4) {
        auto* at = reinterpret_cast<sockaddr_in*>(&storage);
        at->sin_family = AF_INET;
        at->sin_port = htons(port);
        std::memcpy(&at->sin_addr, address.bytes.data(), sizeof at->sin_addr);
        size = sizeof *at;
    } else {
        auto* at = reinterpret_cast<sockaddr_in6*>(&storage);
        at->sin6_family = AF_INET6;
        at->sin6_port = htons(port);
        std::memcpy(&at->sin6_addr, address.bytes.data(), sizeof at->sin6_addr);
        size = sizeof *at;
    }
    return storage;
}

Descriptor open_socket(int family, int type, int protocol) {
    return Descriptor(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

/// A socket that sends from this address.
Result<Descriptor> open_sender(const Address& from, int type, int protocol, std::string_view what) {
    Descriptor descriptor = open_socket(from.family == Family::v4 ? AF_INET : AF_INET6, type, protocol);
    socklen_t size = 0;
    const sockaddr_storage address = socket_address(from, 0, size);
    if (descriptor.get() < 0 || bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        return Error{fmt::format("cannot send {} echoes from {}: {}", what, to_string(from), std::strerror(errno))};
    }
    return descriptor;
}

/// A socket that hears echo requests and replies only.
Result<Descriptor> open_receiver(Family family) {
    const bool v4 = family == Family::v4;
    Descriptor descriptor =
        open_socket(v4 ? AF_INET : AF_INET6, SOCK_RAW, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
    if (descriptor.get() < 0) return Error{fmt::format("cannot hear echo replies: {}", std::strerror(errno))};
    if (v4) {
        icmp_filter filter{};
        filter.data = ~(1U << kEchoReply4 | 1U << kEchoRequest4);
        setsockopt(descriptor.get(), SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    } else {
        icmp6_filter filter{};
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(kEchoRequest6, &filter);
        ICMP6_FILTER_SETPASS(kEchoReply6, &filter);
        setsockopt(descriptor.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
    return descriptor;
}

std::uint32_t number_at(std::span<const std::byte> bytes, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return ntohl(value);
}

}  // namespace

Asked what_is_asked(const EchoSource& source, Device through) {
    if (through == Device::ipip) return {.through = through, .vni = 0, .port = 0};
    return {.through = through, .vni = source.vni, .port = source.port};
}

std::vector<std::byte> encapsulated_request(const EchoSource& source, const Echo& echo, std::uint16_t identifier,
                                            std::uint32_t number) {
    const bool v6 = echo.through == Device::vxlan6;
    const auto& from = echo.through == Device::ipip ? source.ipip : v6 ? source.vxlan6 : source.vxlan4;
    if (!from || from->family != echo.tunnel.family) return {};
    Packet packet;
    if (echo.through != Device::ipip) {
        packet.number(0x08000000U);  // the VNI is valid
        packet.number(source.vni << 8U);
        packet.mac(echo.mac);
        packet.mac(v6 ? source.mac6 : source.mac4);
        packet.word(v6 ? 0x86dd : 0x0800);
    }
    const Message message{identifier, number, what_is_asked(source, echo.through)};
    if (v6) {
        put_ip6(packet, *from, echo.tunnel, message);
    } else {
        put_ip4(packet, *from, echo.tunnel, message);
    }
    return packet.take();
}

namespace {

/// The ICMP message; empty where it is cut off.
std::span<const std::byte> icmp_in(std::span<const std::byte> packet, Family family) {
    if (family == Family::v4) {
        if (packet.empty()) return {};
        const std::size_t header = (std::to_integer<std::size_t>(packet[0]) & 15U) * 4;
        if (packet.size() < header) return {};
        packet = packet.subspan(header);
    }
    return packet.size() < kMessage ? std::span<const std::byte>{} : packet;
}

Address address_of(const sockaddr_storage& from) {
    Address address;
    if (from.ss_family == AF_INET6) {
        address.family = Family::v6;
        std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&from)->sin6_addr, 16);
    } else {
        std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(&from)->sin_addr, 4);
    }
    return address;
}

}  // namespace

std::optional<std::uint32_t> number_in_reply(std::span<const std::byte> packet, Family family,
                                             std::uint16_t identifier) {
    const auto icmp = icmp_in(packet, family);
    if (icmp.empty()) return std::nullopt;
    const unsigned type = family == Family::v4 ? kEchoReply4 : kEchoReply6;
    const std::uint32_t number = number_at(icmp, 8);
    const bool ours = std::to_integer<unsigned>(icmp[0]) == type && number_at(icmp, 4) >> 16U == identifier &&
                      number_at(icmp, 12) == ~number;
    return ours ? std::optional(number) : std::nullopt;
}

std::optional<Asked> question_in(std::span<const std::byte> packet, Family family) {
    const auto icmp = icmp_in(packet, family);
    if (icmp.empty()) return std::nullopt;
    const unsigned type = family == Family::v4 ? kEchoRequest4 : kEchoRequest6;
    if (std::to_integer<unsigned>(icmp[0]) != type || number_at(icmp, 16) != kMark) return std::nullopt;
    const std::uint32_t wrapping = number_at(icmp, 20);
    return Asked{static_cast<Device>(wrapping >> 24U), wrapping & 0xffffffU,
                 static_cast<std::uint16_t>(number_at(icmp, 24) & 0xffffU)};
}

struct Prober::Sockets {
    Descriptor udp4, udp6, ipip;
    std::optional<boost::asio::posix::stream_descriptor> replies4, replies6;
    Result<Done> outcome = Done{};

    Sockets(boost::asio::io_context& io, const EchoSource& source) {
        const auto keep = [&](Result<Descriptor> opened, Descriptor& place) {
            if (opened) {
                place = *std::move(opened);
            } else {
                outcome = opened.error();
            }
        };
        const auto hear = [&](Family family, std::optional<boost::asio::posix::stream_descriptor>& place) {
            Descriptor descriptor;
            keep(open_receiver(family), descriptor);
            if (descriptor.get() >= 0) place.emplace(io, descriptor.release());
        };
        if (source.own4) {
            if (source.vxlan4) keep(open_sender(*source.own4, SOCK_DGRAM, 0, "VXLAN"), udp4);
            if (source.ipip) keep(open_sender(*source.own4, SOCK_RAW, IPPROTO_IPIP, "IPIP"), ipip);
            hear(Family::v4, replies4);
        }
        if (source.own6 && source.vxlan6) {
            keep(open_sender(*source.own6, SOCK_DGRAM, 0, "VXLAN"), udp6);
            hear(Family::v6, replies6);
        }
    }
};

Prober::Prober(boost::asio::io_context& io, std::function<void(const Echo&)> answered)
    : io_(io),
      answered_(std::move(answered)),
      identifier_(static_cast<std::uint16_t>(std::random_device{}() & 0xffffU)),
      timer_(io) {}

Prober::~Prober() = default;

Result<Done> Prober::want(const EchoSource& source, const std::vector<Echo>& echoes) {
    if (source != source_) {
        source_ = source;
        questions_.clear();
        sockets_.reset();
    }
    std::vector<Question> questions;
    for (const Echo& echo : echoes) {
        if (echo.through == Device::none) continue;
        const auto known = std::ranges::lower_bound(questions_, echo, {}, &Question::echo);
        if (known != questions_.end() && known->echo == echo) {
            questions.push_back(*known);
        } else {
            questions.push_back({.echo = echo, .number = next_number_++});
        }
    }
    questions_ = std::move(questions);
    if (questions_.empty()) {
        sockets_.reset();
        return Done{};
    }
    if (!sockets_) {
        sockets_ = std::make_unique<Sockets>(io_, source_);
        if (sockets_->replies4) receive(Family::v4);
        if (sockets_->replies6) receive(Family::v6);
    }
    // Not at once: whoever is asked may conclude that our devices are there, and they are about to be made.
    if (!ticking_) wait_and_tick();
    return sockets_->outcome;
}

void Prober::tick() {
    ticking_ = !questions_.empty();
    if (!ticking_) return;
    const auto now = Clock::now();
    std::size_t sent = 0;
    for (Question& question : questions_) {
        if (question.due > now) continue;
        if (++sent > kAtOnce) break;
        send(question);
        question.due = now + question.wait;
        question.wait = std::min(question.wait * 2, kLongestWait);
    }
    wait_and_tick();
}

void Prober::wait_and_tick() {
    ticking_ = true;
    timer_.expires_after(kTick);
    timer_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) tick();
    });
}

std::vector<Prober::Question>::iterator Prober::answered_by(std::span<const std::byte> packet, const Address& from) {
    if (const auto number = number_in_reply(packet, from.family, identifier_)) {
        return std::ranges::find(questions_, *number, &Question::number);
    }
    const auto asked = question_in(packet, from.family);
    // Who asks through another VNI or port takes what comes that way, and not yet what this node wants to send.
    if (!asked || *asked != what_is_asked(source_, asked->through)) return questions_.end();
    return std::ranges::find_if(questions_, [&](const Question& question) {
        return question.echo.through == asked->through && question.echo.tunnel == from;
    });
}

void Prober::send(const Question& question) {
    const bool ipip = question.echo.through == Device::ipip;
    const Descriptor& descriptor = ipip                                          ? sockets_->ipip
                                   : question.echo.underlay.family == Family::v4 ? sockets_->udp4
                                                                                 : sockets_->udp6;
    const auto packet = encapsulated_request(source_, question.echo, identifier_, question.number);
    if (descriptor.get() < 0 || packet.empty()) return;
    socklen_t size = 0;
    const sockaddr_storage to = socket_address(question.echo.underlay, ipip ? 0 : source_.port, size);
    // What cannot be sent now is sent again later. An ICMP error that came back for an earlier one is read away.
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (sendto(descriptor.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), size) >=
            0) {
            return;
        }
    }
}

void Prober::receive(Family family) {
    auto& replies = family == Family::v4 ? sockets_->replies4 : sockets_->replies6;
    replies->async_wait(
        boost::asio::posix::stream_descriptor::wait_read, [this, family](const boost::system::error_code& stopped) {
            if (stopped || !sockets_) return;
            auto& open = family == Family::v4 ? sockets_->replies4 : sockets_->replies6;
            std::vector<Echo> answered;
            std::array<std::byte, 2048> buffer{};
            sockaddr_storage from{};
            socklen_t size = sizeof from;
            for (ssize_t got = 0; (got = recvfrom(open->native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                                  reinterpret_cast<sockaddr*>(&from), &size)) > 0;) {
                const auto packet = std::span(buffer).first(static_cast<std::size_t>(got));
                const auto question = answered_by(packet, address_of(from));
                size = sizeof from;
                if (question == questions_.end()) continue;
                answered.push_back(question->echo);
                questions_.erase(question);
            }
            receive(family);
            // Last: what is told may well change what is asked.
            for (const Echo& echo : answered) answered_(echo);
        });
}

}  // namespace weft
