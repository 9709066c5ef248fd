#include "tunnel/netlink_socket.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "tunnel/netlink_codec.hpp"

namespace weft::netlink {
namespace {

constexpr int kReceiveBuffer = 8 * 1024 * 1024;
constexpr int kSendBuffer = 1024 * 1024;
constexpr std::size_t kDatagram = 65536;  // dumps come in pieces of 32 KiB at most
constexpr int kDumpAttempts = 10;

/// The plain option is limited by net.core.[rw]mem_max; the forced one needs CAP_NET_ADMIN.
void set_buffer(int fd, int forced, int plain, int size) {
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0) {
        setsockopt(fd, SOL_SOCKET, plain, &size, sizeof size);
    }
}

void set_options(int fd) {
    const int on = 1;
    // Kernels before 4.20 lack strict checking; dumps are then unfiltered, and what they yield is filtered here anyway.
    for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
        setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
    }
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBuffer);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, kSendBuffer);
    const timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

Outcome from_errno(std::string_view doing) {
    const int error = errno;
    return {error, fmt::format("{}: {}", doing, std::strerror(error))};
}

Outcome from_answer(const Answer& answer) {
    return {answer.error, std::string(answer.text)};
}

/// NLMSG_DONE carries the dump's result as an int.
int done_error(const Message& message) {
    const int error = message.fixed<int>();
    return error < 0 ? positive_errno(error) : 0;
}

}  // namespace

std::string Outcome::words() const {
    return fmt::format("{} ({})", text.empty() ? std::strerror(error) : text, errno_name(error));
}

void Socket::Close::operator()(nl_sock* socket) const {
    nl_socket_free(socket);
}

Socket::Socket(std::unique_ptr<nl_sock, Close> socket) : socket_(std::move(socket)), buffer_(kDatagram) {}

Result<Socket> Socket::open(std::span<const int> groups) {
    std::unique_ptr<nl_sock, Close> socket(nl_socket_alloc());
    if (!socket) return Error{"netlink: out of memory"};
    if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
        return Error{fmt::format("netlink: cannot open a socket: {}", nl_geterror(error))};
    }
    set_options(nl_socket_get_fd(socket.get()));
    for (const int group : groups) {
        if (const int error = nl_socket_add_membership(socket.get(), group); error < 0) {
            // Groups that this kernel does not have yet (nexthops, before 5.3) announce nothing that we could miss.
            if (error != -NLE_INVAL && error != -NLE_OBJ_NOTFOUND) {
                return Error{fmt::format("netlink: cannot subscribe to group {}: {}", group, nl_geterror(error))};
            }
        }
    }
    return Socket(std::move(socket));
}

void Socket::set_receive_buffer(int size) const {
    set_buffer(fd(), SO_RCVBUFFORCE, SO_RCVBUF, size);
}

int Socket::fd() const {
    return nl_socket_get_fd(socket_.get());
}

std::uint32_t Socket::port() const {
    return nl_socket_get_local_port(socket_.get());
}

Outcome Socket::send(Bytes bytes) const {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent = 0;
    do {
        sent = sendto(fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? from_errno("netlink send") : Outcome{};
}

Outcome Socket::receive(Bytes& datagram) {
    for (;;) {
        sockaddr_nl from{};
        socklen_t size = sizeof from;
        const ssize_t got =
            recvfrom(fd(), buffer_.data(), buffer_.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return from_errno("netlink receive");
        if (from.nl_pid != 0) continue;  // any process may send to us; only the kernel is believed
        if (static_cast<std::size_t>(got) > buffer_.size()) return {EMSGSIZE, "netlink: message cut off"};
        datagram = Bytes(buffer_).first(static_cast<std::size_t>(got));
        return {};
    }
}

Outcome Socket::request(Writer& request, const std::function<void(const Message&)>& visit) {
    request.acknowledge_last();
    Bytes sent = request.bytes();
    const auto head = next_message(sent);
    if (Outcome outcome = send(request.bytes()); !outcome.ok()) return outcome;
    for (;;) {
        Bytes datagram;
        if (Outcome outcome = receive(datagram); !outcome.ok()) return outcome;
        while (const auto message = next_message(datagram)) {
            if (message->header.nlmsg_seq != head->header.nlmsg_seq) continue;
            if (message->header.nlmsg_type == NLMSG_ERROR) {
                const auto answer = parse_answer(*message);
                return answer ? from_answer(*answer) : Outcome{EBADMSG, "netlink: answer cut off"};
            }
            if (visit) visit(*message);
        }
    }
}

Outcome Socket::dump_once(std::uint32_t sequence, bool& interrupted, const std::function<void(const Message&)>& visit) {
    for (;;) {
        Bytes datagram;
        if (Outcome outcome = receive(datagram); !outcome.ok()) return outcome;
        while (const auto message = next_message(datagram)) {
            if (message->header.nlmsg_seq != sequence) continue;
            if ((message->header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
            if (message->header.nlmsg_type == NLMSG_DONE) return {done_error(*message), {}};
            if (message->header.nlmsg_type == NLMSG_ERROR) {
                const auto answer = parse_answer(*message);
                return answer ? from_answer(*answer) : Outcome{EBADMSG, "netlink: answer cut off"};
            }
            visit(*message);
        }
    }
}

Outcome Socket::dump(const Writer& request, const std::function<void()>& restart,
                     const std::function<void(const Message&)>& visit) {
    Bytes sent = request.bytes();
    const auto head = next_message(sent);
    for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
        restart();
        if (Outcome outcome = send(request.bytes()); !outcome.ok()) return outcome;
        bool interrupted = false;
        Outcome outcome = dump_once(head->header.nlmsg_seq, interrupted, visit);
        if (!outcome.ok() || !interrupted) return outcome;
    }
    return {EINTR, fmt::format("the kernel's tables changed during each of {} dumps", kDumpAttempts)};
}

Outcome Socket::exchange(Writer& batch, std::uint32_t last,
                         const std::function<void(std::uint32_t, const Answer&)>& failed) {
    batch.acknowledge_last();
    if (Outcome outcome = send(batch.bytes()); !outcome.ok()) return outcome;
    for (;;) {
        Bytes datagram;
        if (Outcome outcome = receive(datagram); !outcome.ok()) return outcome;
        while (const auto message = next_message(datagram)) {
            if (message->header.nlmsg_type != NLMSG_ERROR) continue;
            const auto answer = parse_answer(*message);
            if (!answer) return {EBADMSG, "netlink: answer cut off"};
            if (answer->error != 0) failed(message->header.nlmsg_seq, *answer);
            if (message->header.nlmsg_seq == last) return {};
        }
    }
}

Bytes Socket::poll(bool& lost) {
    for (;;) {
        sockaddr_nl from{};
        socklen_t size = sizeof from;
        const ssize_t got = recvfrom(fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC,
                                     reinterpret_cast<sockaddr*>(&from), &size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == ENOBUFS) {
            lost = true;
            continue;
        }
        if (got <= 0) return {};
        if (from.nl_pid != 0) continue;
        if (static_cast<std::size_t>(got) > buffer_.size()) {
            lost = true;
            continue;
        }
        return Bytes(buffer_).first(static_cast<std::size_t>(got));
    }
}

}  // namespace weft::netlink
