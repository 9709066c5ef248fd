// A NETLINK_ROUTE socket: requests with one answer, dumps, and batches.
//
// The kernel handles requests inside send(), so everything it has to say about a batch waits in the receive buffer when
// send() returns; receiving never waits for anybody but the kernel.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "conf/result.hpp"
#include "tunnel/netlink_message.hpp"

struct nl_sock;

namespace weft::netlink {

/// How a request ended: errno, 0 for success, and the kernel's own words where it had some.
struct Outcome {
    int error = 0;
    std::string text;

    bool ok() const { return error == 0; }
    /// "the kernel's words (EINVAL)".
    std::string words() const;
};

class Socket {
  public:
    /// Subscribed to these RTNLGRP_* groups. Fails where the process may not have such a socket.
    static Result<Socket> open(std::span<const int> groups = {});

    int fd() const;
    std::uint32_t port() const;  ///< what the kernel puts into nlmsg_pid of what this socket caused
    void set_receive_buffer(int size) const;
    std::uint32_t take_sequence() { return ++sequence_; }

    /// Sends the one message in `request` and hands its answers (mostly none or one) to `visit`.
    Outcome request(Writer& request, const std::function<void(const Message&)>& visit = {});
    /// Sends the one dump request in `request`, hands everything it yields to `visit`. When the kernel says that its
    /// tables changed meanwhile, calls `restart` and does it again, ten times at most.
    Outcome dump(const Writer& request, const std::function<void()>& restart,
                 const std::function<void(const Message&)>& visit);
    /// Sends a batch whose messages are numbered up to `last`; calls `failed` with the sequence number of each that the
    /// kernel refused. The outcome is about the exchange itself.
    Outcome exchange(Writer& batch, std::uint32_t last,
                     const std::function<void(std::uint32_t, const Answer&)>& failed);
    /// Next datagram without waiting; empty when there is none. Sets `lost` when the kernel dropped some.
    Bytes poll(bool& lost);

  private:
    struct Close {
        void operator()(nl_sock* socket) const;
    };
    explicit Socket(std::unique_ptr<nl_sock, Close> socket);

    Outcome send(Bytes bytes) const;
    Outcome receive(Bytes& datagram);
    Outcome dump_once(std::uint32_t sequence, bool& interrupted, const std::function<void(const Message&)>& visit);

    std::unique_ptr<nl_sock, Close> socket_;
    std::vector<std::byte> buffer_;
    std::uint32_t sequence_ = 0;
};

}  // namespace weft::netlink
