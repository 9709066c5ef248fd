// The HTTP endpoint as its clients meet it: over a real socket on loopback, well-behaved and hostile.
#include <utility>

#include "daemon/health.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

/// A client's socket.
class Client {
  public:
    explicit Client(std::uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        static_cast<void>(connect(descriptor_, reinterpret_cast<sockaddr*>(&to), sizeof to));  // NOLINT
    }
    ~Client() { close(descriptor_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0) return;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
    }
    /// What has come so far is added to `received`; true when the server has closed.
    bool drain() {
        std::array<char, 65536> chunk{};
        for (;;) {
            const ssize_t size = recv(descriptor_, chunk.data(), chunk.size(), 0);
            if (size == 0) return true;
            if (size < 0) return errno != EAGAIN && errno != ENOTCONN;
            received.append(chunk.data(), static_cast<std::size_t>(size));
        }
    }
    std::string received;

  private:
    int descriptor_;
};

class HealthTest : public testing::Test {
  protected:
    HealthTest() {
        state_.config_loaded = state_.source_synced = state_.kernel_synced = true;
        state_.config.backend.value = Backend::vxlan;
        state_.node = "a";
        const auto listening = server_.listen({.address = *parse_address("127.0.0.1"), .port = 0});
        EXPECT_TRUE(listening);
    }

    bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 5s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(10ms);
        }
        return condition();
    }
    std::string get(const std::string& path, const std::string& method = "GET") {
        Client client(server_.port());
        io_.run_one_for(10ms);
        client.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        eventually([&] { return client.drain(); });
        return client.received;
    }

    State state_;
    boost::asio::io_context io_{1};
    HttpServer server_{
        io_, [this](const std::string& path) { return answer(state_, path, std::chrono::steady_clock::now()); }};
};

TEST_F(HealthTest, readiness_is_200_or_503_with_the_reasons_in_words) {
    EXPECT_THAT(get("/readiness"), StartsWith("HTTP/1.1 200"));
    state_.problems = {{.object = "device tunl0", .text = "no ipip \xff module", .unready = true}};
    const std::string response = get("/readiness?verbose");
    EXPECT_THAT(response, StartsWith("HTTP/1.1 503"));
    const auto json = nlohmann::json::parse(response.substr(response.find("\r\n\r\n") + 4));
    EXPECT_EQ(json["reasons"][0]["object"], "device tunl0");
    EXPECT_TRUE(json["reasons"][0]["blocking"]);
}

TEST_F(HealthTest, liveness_is_200_whatever_the_peers_do) {
    state_.kernel_synced = false;
    state_.config.backend.value = Backend::bird;
    EXPECT_THAT(get("/liveness"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HealthTest, anything_else_is_404_and_other_methods_are_405) {
    EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(get("/readiness/../../etc/passwd"), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(get("/readiness", "POST"), StartsWith("HTTP/1.1 405"));
    const std::string head = get("/readiness", "HEAD");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HealthTest, a_megabyte_of_header_is_refused_and_costs_nobody_else_anything) {
    Client hostile(server_.port());
    io_.run_one_for(10ms);
    hostile.send("GET /readiness HTTP/1.1\r\nX: ");
    const std::string junk(65536, 'x');
    bool closed = false;
    for (int i = 0; i < 16 && !closed; ++i) {
        hostile.send(junk);
        io_.restart();
        io_.run_one_for(10ms);
        closed = hostile.drain();
    }
    EXPECT_TRUE(closed || eventually([&] { return hostile.drain(); }));
    EXPECT_THAT(get("/readiness"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HealthTest, garbage_is_answered_with_400_or_closed) {
    for (const char* garbage : {"\x16\x03\x01\x02\x00", "GET\r\n\r\n", "\r\n\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                                "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
        Client client(server_.port());
        io_.run_one_for(10ms);
        client.send(garbage);
        client.send("\r\n\r\n");
        EXPECT_TRUE(eventually([&] { return client.drain() || !client.received.empty(); })) << garbage;
        EXPECT_THAT(client.received, testing::Not(StartsWith("HTTP/1.1 200"))) << garbage;
    }
}

TEST_F(HealthTest, two_hundred_idle_connections_and_slow_ones_do_not_lock_a_probe_out) {
    std::vector<std::unique_ptr<Client>> idle;
    for (int i = 0; i < 200; ++i) {
        idle.push_back(std::make_unique<Client>(server_.port()));
        if (i % 2 == 0) idle.back()->send("GET /rea");
        io_.restart();
        io_.poll();
    }
    EXPECT_THAT(get("/readiness"), StartsWith("HTTP/1.1 200"));
    EXPECT_LE(server_.connections(), HttpServer::kMostConnections);
}

TEST_F(HealthTest, one_connection_serves_many_requests) {
    Client client(server_.port());
    io_.run_one_for(10ms);
    for (int i = 0; i < 50; ++i) client.send("GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto count = [&] {
        std::size_t found = 0;
        for (std::size_t at = 0; (at = client.received.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++found;
        return found;
    };
    EXPECT_TRUE(eventually([&] {
        client.drain();
        return count() == 50;
    }));
}

TEST_F(HealthTest, a_port_in_use_is_named) {
    boost::asio::io_context io;
    HttpServer second(io, [](const std::string&) { return HttpResponse{}; });
    const auto listening = second.listen({.address = *parse_address("127.0.0.1"), .port = server_.port()});
    ASSERT_FALSE(listening);
    EXPECT_THAT(listening.error().message, HasSubstr("127.0.0.1 port"));
}

TEST_F(HealthTest, metrics_are_prometheus_text) {
    const std::string response = get("/metrics");
    EXPECT_THAT(response, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(response, HasSubstr("Content-Type: text/plain; version=0.0.4\r\n"));
    EXPECT_THAT(response, HasSubstr("\nweft_ready 1\n"));
}

}  // namespace
}  // namespace weft
