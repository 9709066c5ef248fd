#include "tests/bench/floor.hpp"

#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "tests/bench/measure.hpp"

namespace weft::bench {
namespace {

constexpr std::size_t kBatch = 128UL * 1024;

int family_of(const Address& address) {
    return address.family == Family::v4 ? AF_INET : AF_INET6;
}

/// One message after another in one buffer.
class Messages {
  public:
    template <class Header>
    void begin(std::uint16_t type, std::uint16_t flags, const Header& header) {
        start_ = bytes_.size();
        nlmsghdr message{.nlmsg_len = 0, .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 0, .nlmsg_pid = 0};
        append(&message, sizeof message);
        append(&header, sizeof header);
    }
    void attribute(std::uint16_t type, const void* data, std::size_t size) {
        const rtattr head{.rta_len = static_cast<unsigned short>(RTA_LENGTH(size)), .rta_type = type};
        append(&head, sizeof head);
        append(data, size);
    }
    void attribute(std::uint16_t type, const Address& address) {
        attribute(type, address.bytes.data(), address.size());
    }
    void attribute(std::uint16_t type, std::uint32_t value) { attribute(type, &value, sizeof value); }
    void end() {
        const auto length = static_cast<std::uint32_t>(bytes_.size() - start_);
        std::memcpy(bytes_.data() + start_, &length, sizeof length);
        starts_.push_back(start_);
    }

    std::size_t count() const { return starts_.size(); }
    std::size_t start(std::size_t i) const { return i < starts_.size() ? starts_[i] : bytes_.size(); }
    nlmsghdr* at(std::size_t i) { return reinterpret_cast<nlmsghdr*>(bytes_.data() + start(i)); }  // NOLINT
    const char* data() const { return bytes_.data(); }

  private:
    void append(const void* data, std::size_t size) {
        const auto* from = static_cast<const char*>(data);
        bytes_.insert(bytes_.end(), from, from + size);
        bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    }
    std::vector<char> bytes_;
    std::vector<std::size_t> starts_;
    std::size_t start_ = 0;
};

class Socket {
  public:
    Socket() : descriptor_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
        if (descriptor_ < 0) throw std::runtime_error("netlink socket");
        const int one = 1;
        setsockopt(descriptor_, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
        setsockopt(descriptor_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
        const int buffer = 4 << 20;
        setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    }
    ~Socket() { close(descriptor_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// Sends messages [first, last) in one call and waits for the acknowledgement of the last.
    void send(Messages& messages, std::size_t first, std::size_t last) const {
        const std::size_t from = messages.start(first);
        messages.at(last - 1)->nlmsg_flags |= NLM_F_ACK;
        if (::send(descriptor_, messages.data() + from, messages.start(last) - from, 0) < 0) {
            throw std::runtime_error("netlink send");
        }
        std::array<char, 65536> reply{};
        const ssize_t size = recv(descriptor_, reply.data(), reply.size(), 0);
        const auto* answer = reinterpret_cast<const nlmsghdr*>(reply.data());  // NOLINT
        if (size < static_cast<ssize_t>(sizeof(nlmsghdr)) || answer->nlmsg_type != NLMSG_ERROR) {
            throw std::runtime_error("netlink: no acknowledgement");
        }
        int error = 0;
        std::memcpy(&error, NLMSG_DATA(answer), sizeof error);
        if (error != 0) throw std::runtime_error(std::string("netlink: ") + std::strerror(-error));
    }

    /// Asks for a dump; answers how many objects came.
    template <class Header>
    std::size_t dump(std::uint16_t type, const Header& header, std::uint16_t attribute = 0, std::uint32_t value = 0) {
        Messages request;
        request.begin(type, NLM_F_REQUEST | NLM_F_DUMP, header);
        if (attribute != 0) request.attribute(attribute, value);
        request.end();
        if (::send(descriptor_, request.data(), request.start(1), 0) < 0) throw std::runtime_error("netlink send");
        std::size_t count = 0;
        buffer_.resize(1U << 18U);
        for (;;) {
            const ssize_t size = recv(descriptor_, buffer_.data(), buffer_.size(), 0);
            if (size <= 0) throw std::runtime_error("netlink: no dump");
            for (ssize_t at = 0; at + NLMSG_HDRLEN <= size;) {
                nlmsghdr head{};
                std::memcpy(&head, buffer_.data() + at, sizeof head);
                if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) return count;
                ++count;
                at += static_cast<ssize_t>(NLMSG_ALIGN(head.nlmsg_len));
            }
        }
    }

  private:
    int descriptor_;
    std::vector<char> buffer_;
};

void lay_out_vteps(const Desired& desired, int index, Messages& messages) {
    for (const Neighbour& neighbour : desired.neighbours) {
        ndmsg head{};
        head.ndm_family = static_cast<std::uint8_t>(family_of(neighbour.address));
        head.ndm_ifindex = index;
        head.ndm_state = NUD_PERMANENT;
        messages.begin(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, head);
        messages.attribute(NDA_DST, neighbour.address);
        messages.attribute(NDA_LLADDR, neighbour.mac.bytes.data(), neighbour.mac.bytes.size());
        messages.end();
    }
    for (const FdbEntry& entry : desired.fdb) {
        ndmsg head{};
        head.ndm_family = AF_BRIDGE;
        head.ndm_ifindex = index;
        head.ndm_state = NUD_PERMANENT;
        head.ndm_flags = NTF_SELF;
        messages.begin(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, head);
        messages.attribute(NDA_LLADDR, entry.mac.bytes.data(), entry.mac.bytes.size());
        messages.attribute(NDA_DST, entry.destination);
        messages.end();
    }
}

rtmsg route_head(const Route& route) {
    rtmsg head{};
    head.rtm_family = static_cast<std::uint8_t>(family_of(route.destination.address));
    head.rtm_dst_len = route.destination.length;
    head.rtm_table = RT_TABLE_MAIN;
    head.rtm_protocol = kProtocol;
    head.rtm_scope = RT_SCOPE_UNIVERSE;
    head.rtm_type = route.type == RouteType::blackhole ? RTN_BLACKHOLE : RTN_UNICAST;
    return head;
}

void lay_out_nexthop(const Via& via, std::uint32_t id, int family, std::uint32_t index, Messages& messages) {
    nhmsg head{};
    head.nh_family = static_cast<std::uint8_t>(family);
    head.nh_protocol = kProtocol;
    head.nh_flags = via.onlink ? RTNH_F_ONLINK : 0;
    messages.begin(RTM_NEWNEXTHOP, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, head);
    messages.attribute(NHA_ID, id);
    if (via.gateway) messages.attribute(NHA_GATEWAY, *via.gateway);
    messages.attribute(NHA_OIF, index);
    messages.end();
}

/// All routes, either by nexthop object or the classic way.
void lay_out_routes(const Desired& desired, std::uint32_t index, bool objects, std::uint32_t first_id,
                    Messages& messages) {
    std::map<Via, std::uint32_t> ids;
    if (objects) {
        for (const Route& route : desired.routes) {
            if (route.type == RouteType::blackhole) continue;
            const auto id = static_cast<std::uint32_t>(first_id + ids.size());
            if (ids.emplace(route.via, id).second) {
                lay_out_nexthop(route.via, id, family_of(route.destination.address), index, messages);
            }
        }
    }
    for (const Route& route : desired.routes) {
        rtmsg head = route_head(route);
        if (!objects && route.type == RouteType::unicast && route.via.onlink) head.rtm_flags = RTNH_F_ONLINK;
        messages.begin(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, head);
        messages.attribute(RTA_DST, route.destination.address);
        if (route.metric != 0) messages.attribute(RTA_PRIORITY, route.metric);
        if (route.type == RouteType::unicast && objects) {
            messages.attribute(RTA_NH_ID, ids.at(route.via));
        } else if (route.type == RouteType::unicast) {
            if (route.via.gateway) messages.attribute(RTA_GATEWAY, *route.via.gateway);
            messages.attribute(RTA_OIF, index);
        }
        messages.end();
    }
}

}  // namespace

Floor write_floor(const Desired& desired, unsigned device_index, std::uint32_t first_id) {
    Messages messages;
    lay_out_vteps(desired, static_cast<int>(device_index), messages);
    lay_out_routes(desired, device_index, desired.use_nexthop_objects, first_id, messages);
    const Socket socket;
    const Stopwatch watch;
    for (std::size_t first = 0; first < messages.count();) {
        std::size_t last = first + 1;
        while (last < messages.count() && messages.start(last + 1) - messages.start(first) <= kBatch) ++last;
        socket.send(messages, first, last);
        first = last;
    }
    return {watch.milliseconds(), watch.cpu_milliseconds(), messages.count()};
}

Floor write_rival(const Desired& desired, unsigned device_index) {
    Messages messages;
    lay_out_vteps(desired, static_cast<int>(device_index), messages);
    lay_out_routes(desired, device_index, false, 0, messages);
    const Socket socket;
    const Stopwatch watch;
    for (std::size_t i = 0; i < messages.count(); ++i) socket.send(messages, i, i + 1);
    return {watch.milliseconds(), watch.cpu_milliseconds(), messages.count()};
}

Floor dump_floor(Family family, unsigned device_index, bool objects) {
    Socket socket;
    const Stopwatch watch;
    std::size_t count = 0;
    if (objects) count += socket.dump(RTM_GETNEXTHOP, nhmsg{});
    rtmsg route{};
    route.rtm_family = family == Family::v4 ? AF_INET : AF_INET6;
    route.rtm_protocol = kProtocol;
    count += socket.dump(RTM_GETROUTE, route, RTA_TABLE, std::uint32_t{RT_TABLE_MAIN});
    ndmsg entries{};
    count += socket.dump(RTM_GETNEIGH, entries, NDA_IFINDEX, device_index);
    entries.ndm_family = AF_BRIDGE;
    entries.ndm_ifindex = static_cast<int>(device_index);
    count += socket.dump(RTM_GETNEIGH, entries);
    return {watch.milliseconds(), watch.cpu_milliseconds(), count};
}

}  // namespace weft::bench
