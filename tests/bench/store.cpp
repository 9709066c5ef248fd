#include "tests/bench/store.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "conf/etcd_message.hpp"

namespace weft::bench {
namespace {

using nlohmann::json;

std::string key_text(const Prefix& cidr) {
    std::string text = to_string(cidr);
    std::ranges::replace(text, '/', '-');
    return text;
}

std::string node_object(const Node& node) {
    json spec{{"bgp", json::object()}};
    if (node.address4) spec["bgp"]["ipv4Address"] = to_string(*node.address4);
    if (node.address6) spec["bgp"]["ipv6Address"] = to_string(*node.address6);
    if (node.vxlan4) spec["ipv4VXLANTunnelAddr"] = to_string(*node.vxlan4);
    if (node.vxlan6) spec["ipv6VXLANTunnelAddr"] = to_string(*node.vxlan6);
    return json{{"kind", "Node"},
                {"apiVersion", "projectcalico.org/v3"},
                {"metadata",
                 {{"name", node.name},
                  {"uid", "6e6ad2a5-5f09-4e3b-9f2c-2b9a1f0b8a11"},
                  {"creationTimestamp", "2024-03-07T09:21:13Z"},
                  {"labels",
                   {{"beta.kubernetes.io/arch", "amd64"},
                    {"kubernetes.io/hostname", node.name},
                    {"kubernetes.io/os", "linux"},
                    {"topology.kubernetes.io/zone", "zone-a"}}}}},
                {"spec", std::move(spec)}}
        .dump();
}

/// A block of 64 addresses with a third of them taken.
std::string block_object(const Block& block, const std::string& node) {
    json allocations = json::array();
    json unallocated = json::array();
    json attributes = json::array();
    for (int i = 0; i < 64; ++i) {
        if (i % 3 != 0) {
            allocations.push_back(nullptr);
            unallocated.push_back(i);
            continue;
        }
        allocations.push_back(attributes.size());
        attributes.push_back({{"handle_id", fmt::format("k8s-pod-network.{:064x}", i)},
                              {"secondary", {{"namespace", "default"}, {"node", node}, {"pod", "web-5d9c7b"}}}});
    }
    return json{{"cidr", to_string(block.cidr)},         {"affinity", "host:" + node},
                {"allocations", std::move(allocations)}, {"unallocated", std::move(unallocated)},
                {"attributes", std::move(attributes)},   {"deleted", false}}
        .dump();
}

std::string event_of(const std::string& key, const std::string* value, std::int64_t revision) {
    json kv{{"key", encode_base64(key)}, {"mod_revision", std::to_string(revision)}};
    if (value == nullptr) return json{{"type", "DELETE"}, {"kv", std::move(kv)}}.dump();
    kv["value"] = encode_base64(*value);
    kv["create_revision"] = kv["mod_revision"];
    kv["version"] = "1";
    return json{{"kv", std::move(kv)}}.dump();
}

void send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string chunk(std::string_view bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string bytes_at(const json& object, const char* name) {
    const auto decoded = decode_base64(object.value(name, std::string()));
    return decoded ? *decoded : std::string();
}

}  // namespace

std::map<std::string, std::string> calico_objects(const Cluster& cluster) {
    const std::string resources = "/calico/resources/v3/projectcalico.org/";
    std::map<std::string, std::string> objects;
    for (const Pool& pool : cluster.pools) {
        const std::string name = "pool-" + key_text(pool.cidr);
        objects[fmt::format("{}ippools/{}", resources, name)] = json{
            {"kind", "IPPool"},
            {"apiVersion", "projectcalico.org/v3"},
            {"metadata", {{"name", name}}},
            {"spec",
             {{"cidr", to_string(pool.cidr)},
              {"ipipMode", pool.ipip == Encapsulate::never ? "Never" : "Always"},
              {"vxlanMode", pool.vxlan == Encapsulate::never ? "Never" : "Always"},
              {"blockSize", pool.block_size}}}}.dump();
    }
    for (const Node& node : cluster.nodes) objects[fmt::format("{}nodes/{}", resources, node.name)] = node_object(node);
    for (const Block& block : cluster.blocks) {
        const std::string& node = cluster.nodes[block.node].name;
        const std::string where =
            fmt::format("{}/block/{}", block.cidr.family() == Family::v4 ? "ipv4" : "ipv6", key_text(block.cidr));
        objects["/calico/ipam/v2/assignment/" + where] = block_object(block, node);
        objects[fmt::format("/calico/ipam/v2/host/{}/{}", node, where)] = R"({"state":"confirmed"})";
    }
    return objects;
}

Store::Store(std::map<std::string, std::string> objects) : objects_(std::move(objects)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const at = reinterpret_cast<sockaddr*>(&address);  // NOLINT
    if (bind(listener_, at, size) != 0 || listen(listener_, 16) != 0 || getsockname(listener_, at, &size) != 0) {
        throw std::runtime_error("the store cannot listen on loopback");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
}

Store::~Store() {
    over_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
}

void Store::serve() {
    std::map<int, std::string> connections;  // and what was received of a request that is not whole yet
    while (!over_) {
        std::vector<pollfd> waiting{{.fd = listener_, .events = POLLIN, .revents = 0}};
        for (const auto& [connection, received] : connections) waiting.push_back({connection, POLLIN, 0});
        if (poll(waiting.data(), waiting.size(), -1) < 0) break;
        if (waiting.front().revents != 0) {
            const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (connection < 0) continue;
            const int one = 1;
            setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            connections[connection];
        }
        for (const pollfd& one : waiting) {
            if (one.fd == listener_ || one.revents == 0) continue;
            std::array<char, 16384> bytes{};
            const ssize_t got = recv(one.fd, bytes.data(), bytes.size(), 0);
            std::string& received = connections[one.fd];
            if (got > 0) received.append(bytes.data(), static_cast<std::size_t>(got));
            if (got > 0 && answer(one.fd, received)) continue;
            int gone = one.fd;
            watcher_.compare_exchange_strong(gone, -1);
            close(one.fd);
            connections.erase(one.fd);
        }
    }
    for (const auto& [connection, received] : connections) close(connection);
}

bool Store::answer(int connection, std::string& received) {
    const std::size_t end = received.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    std::string head = received.substr(0, end);
    std::ranges::transform(head, head.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::size_t length = 0;
    if (const auto at = head.find("content-length: "); at != std::string::npos) {
        std::from_chars(head.data() + at + 16, head.data() + head.size(), length);
    }
    if (received.size() < end + 4 + length) return true;
    const std::string body = received.substr(end + 4, length);
    received.erase(0, end + 4 + length);
    if (head.starts_with("post /v3/watch ")) return watch(connection, body), true;
    const bool known = head.starts_with("post /v3/kv/range ");
    const std::string reply = known ? range(body) : std::string("{}");
    send_all(connection, fmt::format("HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                                     known ? "200 OK" : "404 Not Found", reply.size(), reply));
    return true;
}

std::string Store::header() const {
    return fmt::format(R"("header":{{"cluster_id":"77","member_id":"1","revision":"{}","raft_term":"2"}})", revision_);
}

std::string Store::range(std::string_view body) const {
    const json request = json::parse(body);
    const std::string first = bytes_at(request, "key");
    const std::string last = bytes_at(request, "range_end");
    const std::size_t limit = std::stoul(request.value("limit", std::string("1000000")));
    const std::lock_guard lock(mutex_);
    std::string reply = "{" + header() + R"(,"kvs":[)";
    std::size_t count = 0;
    auto at = objects_.lower_bound(first);
    for (; at != objects_.end() && (last.empty() ? at->first == first : at->first < last) && count < limit; ++at) {
        reply +=
            fmt::format(R"({}{{"key":"{}","create_revision":"900","mod_revision":"900","version":"1","value":"{}"}})",
                        count++ == 0 ? "" : ",", encode_base64(at->first), encode_base64(at->second));
    }
    const bool more = count == limit && at != objects_.end() && !last.empty() && at->first < last;
    return reply + (more ? R"(],"more":true})" : "]}");
}

void Store::watch(int connection, std::string_view body) {
    const std::lock_guard lock(mutex_);
    watched_keys_.clear();
    std::string reply;
    while (!body.empty()) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        const json request = json::parse(body.substr(0, end), nullptr, false);
        body.remove_prefix(std::min(end + 1, body.size()));
        if (!request.is_object()) continue;
        reply +=
            fmt::format("{{\"result\":{{{},\"watch_id\":\"{}\",\"created\":true}}}}\n", header(), watched_keys_.size());
        watched_keys_.push_back(bytes_at(request.at("create_request"), "key"));
    }
    send_all(connection,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(reply));
    watcher_ = connection;
}

Clock::time_point Store::become(const std::map<std::string, std::string>& objects) {
    const std::lock_guard lock(mutex_);
    ++revision_;
    std::vector<std::vector<std::string>> events(watched_keys_.size());
    const auto tell = [&](const std::string& key, const std::string* value) {
        for (std::size_t i = 0; i < watched_keys_.size(); ++i) {
            if (key.starts_with(watched_keys_[i])) events[i].push_back(event_of(key, value, revision_));
        }
    };
    for (const auto& [key, value] : objects_) {
        if (!objects.contains(key)) tell(key, nullptr);
    }
    for (const auto& [key, value] : objects) {
        const auto known = objects_.find(key);
        if (known == objects_.end() || known->second != value) tell(key, &value);
    }
    objects_ = objects;
    std::string lines;
    for (std::size_t i = 0; i < events.size(); ++i) {
        if (events[i].empty()) continue;
        lines += fmt::format("{{\"result\":{{{},\"watch_id\":\"{}\",\"events\":[{}]}}}}\n", header(), i,
                             fmt::join(events[i], ","));
    }
    const std::string portion = chunk(lines);
    const auto begin = Clock::now();
    send_all(watcher_, portion);
    return begin;
}

}  // namespace weft::bench
