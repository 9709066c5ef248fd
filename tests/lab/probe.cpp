// The lab's traffic: numbered UDP packets between namespaces, and what became of each.
//
// Standard input names the streams, one a line (FROM-NAMESPACE FROM-ADDRESS TO-NAMESPACE TO-ADDRESS), up to an empty
// line; then "ready" is printed and every stream sends a packet each interval, until standard input ends. Packets still
// under way are waited for, then the counts are printed as JSON, in the order of the streams.
//
// A socket belongs to the namespace it was made in, so this one process has its sockets in all of them and one clock.
// A packet that the kernel refuses to send counts as sent and lost: to the workload it is the same.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint16_t kPort = 7777;
constexpr auto kDrain = std::chrono::milliseconds(500);

struct Message {
    std::uint32_t stream;
    std::uint32_t sequence;
};

struct Stream {
    int from = -1;
    sockaddr_storage to{};
    socklen_t to_size = 0;
    std::vector<std::uint8_t> received;   // by sequence number: how often
    std::vector<Clock::time_point> sent;  // by sequence number
    std::size_t reported = 0;             // the first packet whose loss has not been told
    Clock::time_point last{};
    std::chrono::duration<double, std::milli> longest_gap{0};
};

[[noreturn]] void die(const std::string& what) {
    std::cout << "weft-probe: " << what << ": " << std::strerror(errno) << std::endl;
    std::exit(1);
}

socklen_t parse(const std::string& text, sockaddr_storage& out) {
    out = {};
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(kPort);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(kPort);
        return sizeof *v6;
    }
    die("not an address: " + text);
}

/// A UDP socket in that namespace, bound to that address: made once for each.
int socket_in(const std::string& space, const std::string& address) {
    static std::map<std::pair<std::string, std::string>, int> open_sockets;
    auto [place, fresh] = open_sockets.try_emplace({space, address}, -1);
    if (!fresh) return place->second;
    const int target = open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
    if (target < 0 || setns(target, CLONE_NEWNET) != 0) die("enter " + space);
    close(target);
    sockaddr_storage local{};
    const socklen_t size = parse(address, local);
    const int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int buffer = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&local), size) != 0) die("bind " + address + " in " + space);
    return place->second = fd;
}

/// Many packets a system call: in User Mode Linux a call costs more than a packet.
constexpr std::size_t kBatch = 64;

void count(const Message& message, Clock::time_point now, std::vector<Stream>& streams) {
    if (message.stream >= streams.size()) return;
    Stream& stream = streams[message.stream];
    if (message.sequence >= stream.received.size()) return;
    if (stream.received[message.sequence] < 255) ++stream.received[message.sequence];
    if (stream.last != Clock::time_point{}) stream.longest_gap = std::max(stream.longest_gap, {now - stream.last});
    stream.last = now;
}

void receive(int fd, Clock::time_point now, std::vector<Stream>& streams) {
    std::array<Message, kBatch> messages{};
    std::array<iovec, kBatch> parts{};
    std::array<mmsghdr, kBatch> headers{};
    for (std::size_t i = 0; i < kBatch; ++i) {
        parts[i] = {&messages[i], sizeof(Message)};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (int got = kBatch; got == kBatch;) {
        got = recvmmsg(fd, headers.data(), kBatch, 0, nullptr);
        if (got < 0 && errno != EAGAIN) got = kBatch;  // an ICMP error that came back: read on
        for (int i = 0; i < got; ++i) {
            const auto at = static_cast<std::size_t>(i);
            if (headers[at].msg_len == sizeof(Message)) count(messages[at], now, streams);
            headers[at].msg_len = 0;
        }
    }
}

/// All streams that start at one socket, with what sendmmsg needs for a packet of each.
struct Origin {
    int fd = -1;
    std::vector<std::uint32_t> streams;
    std::vector<Message> messages;
    std::vector<iovec> parts;
    std::vector<mmsghdr> headers;
};

/// Points into `streams`, which must not move any more.
std::vector<Origin> origins_of(std::vector<Stream>& streams) {
    std::vector<Origin> origins;
    for (std::uint32_t i = 0; i < streams.size(); ++i) {
        auto origin =
            std::find_if(origins.begin(), origins.end(), [&](const Origin& o) { return o.fd == streams[i].from; });
        if (origin == origins.end()) origin = origins.insert(origins.end(), Origin{streams[i].from, {}, {}, {}, {}});
        origin->streams.push_back(i);
    }
    for (Origin& origin : origins) {
        const std::size_t count = origin.streams.size();
        origin.messages.resize(count);
        origin.parts.resize(count);
        origin.headers.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            origin.parts[i] = {&origin.messages[i], sizeof(Message)};
            msghdr& header = origin.headers[i].msg_hdr;
            header.msg_name = &streams[origin.streams[i]].to;
            header.msg_namelen = streams[origin.streams[i]].to_size;
            header.msg_iov = &origin.parts[i];
            header.msg_iovlen = 1;
        }
    }
    return origins;
}

/// The next packet of every stream that starts here. What the kernel refuses is lost.
void send_all(Origin& origin, Clock::time_point now, std::vector<Stream>& streams) {
    for (std::size_t i = 0; i < origin.streams.size(); ++i) {
        Stream& stream = streams[origin.streams[i]];
        origin.messages[i] = {origin.streams[i], static_cast<std::uint32_t>(stream.received.size())};
        stream.received.push_back(0);
        stream.sent.push_back(now);
    }
    bool again = false;
    for (std::size_t at = 0; at < origin.headers.size();) {
        const int sent = sendmmsg(origin.fd, &origin.headers[at], static_cast<unsigned>(origin.headers.size() - at), 0);
        if (sent > 0) {
            at += static_cast<std::size_t>(sent);
            again = false;
        } else if (!again) {
            again = true;  // the error may be an earlier packet's, only told now
        } else {
            ++at;
            again = false;
        }
    }
}

void print(const Stream& stream) {
    std::size_t received = 0, lost = 0, duplicates = 0;
    std::ostringstream ranges;
    for (std::size_t i = 0; i < stream.received.size(); ++i) {
        const unsigned times = stream.received[i];
        received += times > 0;
        duplicates += times > 1 ? times - 1 : 0;
        if (times > 0) continue;
        ++lost;
        if (i > 0 && stream.received[i - 1] == 0) continue;
        std::size_t last = i;
        while (last + 1 < stream.received.size() && stream.received[last + 1] == 0) ++last;
        ranges << (ranges.tellp() > 0 ? "," : "") << '[' << i << ',' << last << ']';
    }
    std::cout << "{\"sent\":" << stream.received.size() << ",\"received\":" << received << ",\"lost\":" << lost
              << ",\"duplicates\":" << duplicates << ",\"longest_gap_ms\":" << stream.longest_gap.count()
              << ",\"ranges\":[" << ranges.str() << "]}";
}

/// Losses since the last time, of packets that have been under way for long enough: for each stream a list of
/// [first sent at, last sent at, how many], in seconds of the monotonic clock; packets in a row are told as one.
void print_losses(Clock::time_point now, std::vector<Stream>& streams) {
    const auto seconds = [](Clock::time_point at) {
        return std::chrono::duration<double>(at.time_since_epoch()).count();
    };
    std::cout << std::fixed << '[';
    for (std::size_t i = 0; i < streams.size(); ++i) {
        Stream& stream = streams[i];
        std::cout << (i > 0 ? ",[" : "[");
        bool first = true;
        std::size_t& at = stream.reported;
        while (at < stream.sent.size() && stream.sent[at] + kDrain <= now) {
            const std::size_t begin = at;
            while (at < stream.sent.size() && stream.sent[at] + kDrain <= now && stream.received[at] == 0) ++at;
            if (at == begin) {
                ++at;
                continue;
            }
            std::cout << (first ? "[" : ",[") << seconds(stream.sent[begin]) << ',' << seconds(stream.sent[at - 1])
                      << ',' << at - begin << ']';
            first = false;
        }
        std::cout << ']';
    }
    std::cout << ']' << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
    const std::chrono::duration<double, std::milli> wanted(argc > 1 ? std::atof(argv[1]) : 1.0);
    const auto interval = std::chrono::duration_cast<Clock::duration>(wanted);
    std::vector<Stream> streams;
    std::vector<int> sockets;
    for (std::string line; std::getline(std::cin, line) && !line.empty();) {
        std::istringstream words(line);
        std::string from_space, from, to_space, to;
        words >> from_space >> from >> to_space >> to;
        Stream stream;
        stream.from = socket_in(from_space, from);
        stream.to_size = parse(to, stream.to);
        for (const int fd : {stream.from, socket_in(to_space, to)}) {
            if (std::find(sockets.begin(), sockets.end(), fd) == sockets.end()) sockets.push_back(fd);
        }
        streams.push_back(std::move(stream));
    }
    std::vector<Origin> origins = origins_of(streams);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    std::cout << "ready" << std::endl;

    bool sending = true;
    auto now = Clock::now();
    auto next = now;
    auto end = Clock::time_point::max();
    while (now < end) {
        if (sending && now >= next) {
            for (Origin& origin : origins) send_all(origin, now, streams);
            next = std::max(next + interval, now - 10 * interval);
        }
        // Packets that have come wait for the next turn: to be woken by each would cost more than the packets.
        const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>((sending ? next : now + interval) - now);
        const timespec pause{0, std::clamp<long>(left.count(), 0, 999'999'999)};
        if (ppoll(&input, 1, &pause, nullptr) < 0) break;
        now = Clock::now();
        for (const int fd : sockets) receive(fd, now, streams);
        if (sending && input.revents != 0) {
            char discard[64];
            if (read(STDIN_FILENO, discard, sizeof discard) > 0) {
                print_losses(now, streams);
            } else {
                sending = false;
                input.fd = -1;
                end = now + kDrain;
            }
        }
    }
    std::cout << '[';
    for (std::size_t i = 0; i < streams.size(); ++i) {
        std::cout << (i > 0 ? "," : "");
        print(streams[i]);
    }
    std::cout << "]\n";
}
