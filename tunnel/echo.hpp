// Asks other nodes whether they accept an encapsulation: an ICMP echo request from this node's tunnel address to
// theirs, wrapped as the tunnel device would wrap it and sent over the underlay. An answer, by whatever way it comes
// back, means that the node decapsulates.
//
// A node that asks us the same question has read the change as well, and made its devices before it asked: that counts
// as an answer. Without it two nodes whose earlier way to each other does not work would wait for each other's answers.
//
// The wrapping is done here and not by the device, so that a node can be asked through a device that no route leads to
// yet, and through each of two devices while its routes stand on one of them. Needs CAP_NET_RAW; without it nobody
// answers, and `open` tells why.
//
// At most kAtOnce requests every kTick; one that is not answered is repeated, soon at first and then every
// kLongestWait.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "conf/result.hpp"
#include "tunnel/handover.hpp"

namespace weft {

/// Whom the requests come from, and what they are wrapped in.
struct EchoSource {
    std::optional<Address> own4, own6;            ///< underlay addresses
    std::optional<Address> vxlan4, vxlan6, ipip;  ///< tunnel addresses
    Mac mac4, mac6;                               ///< of the VTEPs
    std::uint32_t vni = 0;
    std::uint16_t port = 0;
    bool operator==(const EchoSource&) const = default;
};

/// What an echo request is wrapped in, as another weft reads it.
struct Asked {
    Device through = Device::none;
    std::uint32_t vni = 0;   ///< 0 for IPIP
    std::uint16_t port = 0;  ///< 0 for IPIP
    bool operator==(const Asked&) const = default;
};
Asked what_is_asked(const EchoSource& source, Device through);

/// What is in the outer IP packet's payload (IPIP) or in the UDP datagram (VXLAN): headers, then an echo request with
/// this identifier and number. Empty where the source has no address for it.
std::vector<std::byte> encapsulated_request(const EchoSource& source, const Echo& echo, std::uint16_t identifier,
                                            std::uint32_t number);
/// The number in an echo reply with this identifier; nullopt for any other packet. `packet`: as a raw socket yields it,
/// with the IP header for IPv4 and without for IPv6.
std::optional<std::uint32_t> number_in_reply(std::span<const std::byte> packet, Family family,
                                             std::uint16_t identifier);

/// What another weft's echo request was wrapped in; nullopt for any other packet, as above.
std::optional<Asked> question_in(std::span<const std::byte> packet, Family family);

class Prober {
  public:
    static constexpr std::size_t kAtOnce = 64;
    static constexpr std::chrono::milliseconds kTick{20};
    static constexpr std::chrono::milliseconds kFirstWait{100};
    static constexpr std::chrono::milliseconds kLongestWait{2'000};

    Prober(boost::asio::io_context& io, std::function<void(const Echo&)> answered);
    ~Prober();
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;

    /// Asks these and no others (Device::none: not asked). Those that it asked already go on as they were. An error:
    /// sockets that could not be had; what they are for remains unanswered.
    Result<Done> want(const EchoSource& source, const std::vector<Echo>& echoes);

  private:
    struct Question {
        Echo echo;
        std::uint32_t number = 0;
        std::chrono::steady_clock::time_point due{};
        std::chrono::milliseconds wait{kFirstWait};
    };
    struct Sockets;

    void tick();
    void wait_and_tick();
    void send(const Question& question);
    void receive(Family family);
    /// The question that this packet answers; end: none.
    std::vector<Question>::iterator answered_by(std::span<const std::byte> packet, const Address& from);

    boost::asio::io_context& io_;
    std::function<void(const Echo&)> answered_;
    EchoSource source_;
    std::vector<Question> questions_;  ///< sorted by echo
    std::uint32_t next_number_ = 1;
    std::uint16_t identifier_ = 0;
    std::unique_ptr<Sockets> sockets_;  ///< only while there are questions
    boost::asio::steady_timer timer_;
    bool ticking_ = false;
};

}  // namespace weft
