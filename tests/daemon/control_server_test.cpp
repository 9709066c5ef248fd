#include <utility>

#include "daemon/control_server.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "daemon/weftctl_connection.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kRows = 20'000;
std::atomic<std::size_t> pulled{0};

/// "rows" answers with kRows lines, "echo" and all else with itself.
Reply answer(std::string_view command) {
    if (command != "rows") return reply_of({{code::kOk, std::string(command)}});
    return [at = std::size_t{0}]() mutable -> std::optional<Line> {
        ++pulled;
        if (at < kRows) return Line{code::kRoute, fmt::format("row {:05} {}", at++, std::string(60, 'x'))};
        if (at++ == kRows) return Line{code::kOk, ""};
        return std::nullopt;
    };
}

/// A client that sees the bytes as they are.
class Raw {
  public:
    explicit Raw(const std::string& path) : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const timeval patience{.tv_sec = 10, .tv_usec = 0};
        setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        connected = connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~Raw() { close(descriptor_); }
    Raw(const Raw&) = delete;
    Raw& operator=(const Raw&) = delete;

    void send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t count = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            text.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    void finish() const { shutdown(descriptor_, SHUT_WR); }
    /// A line with its newline; what is left when the connection ends.
    std::string line() {
        while (buffer_.find('\n') == std::string::npos) {
            std::array<char, 4096> bytes{};
            const ssize_t count = recv(descriptor_, bytes.data(), bytes.size(), 0);
            if (count <= 0) return std::exchange(buffer_, {});
            buffer_.append(bytes.data(), static_cast<std::size_t>(count));
        }
        const std::size_t end = buffer_.find('\n') + 1;
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end);
        return line;
    }
    bool connected = false;

  private:
    int descriptor_;
    std::string buffer_;
};

class ControlSocket : public testing::Test {
  protected:
    ControlSocket() {
        std::string pattern = testing::TempDir() + "weftctl-XXXXXX";
        directory_ = mkdtemp(pattern.data());
        path_ = directory_ + "/weft.ctl";
        pulled = 0;
    }
    ~ControlSocket() override {
        stop();
        std::filesystem::remove_all(directory_);
    }
    void serve() {
        const auto listening = server_.listen(path_);
        ASSERT_TRUE(listening) << listening.error().message;
        loop_ = std::thread([this] { io_.run(); });
    }
    void stop() {
        work_.reset();
        io_.stop();
        if (loop_.joinable()) loop_.join();
    }
    /// Runs on the loop's thread, as everything about the server has to.
    template <class F>
    auto on_loop(F function) {
        std::packaged_task<decltype(function())()> task(std::move(function));
        auto result = task.get_future();
        boost::asio::post(io_, [&task] { task(); });
        return result.get();
    }

    std::string directory_;
    std::string path_;
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
    ControlServer server_{io_, answer};
    std::thread loop_;
};

TEST_F(ControlSocket, greets_and_answers_in_birds_protocol) {
    serve();
    Raw client(path_);
    EXPECT_EQ(client.line(), "0001 weft " WEFT_VERSION " ready.\n");
    client.send("hello\r\n");
    EXPECT_EQ(client.line(), "0000 hello\n");
}

TEST_F(ControlSocket, is_for_its_owner_and_group_alone) {
    serve();
    struct stat found {};
    ASSERT_EQ(stat(path_.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0660U);
}

TEST_F(ControlSocket, joins_half_lines_and_answers_pipelined_commands_in_order) {
    serve();
    Raw client(path_);
    client.line();
    client.send("fir");
    client.send("st\nsecond\nthi");
    EXPECT_EQ(client.line(), "0000 first\n");
    EXPECT_EQ(client.line(), "0000 second\n");
    client.send("rd\n");
    client.finish();
    EXPECT_EQ(client.line(), "0000 third\n");
    EXPECT_EQ(client.line(), "");
}

TEST_F(ControlSocket, refuses_a_line_that_is_too_long_and_closes) {
    serve();
    for (const std::size_t length : {kLongestCommand + 1, std::size_t{100'000}}) {
        Raw client(path_);
        client.line();
        client.send(std::string(length, 'a') + "\n");
        EXPECT_THAT(client.line(), StartsWith("9000 "));
    }
    Raw client(path_);
    client.line();
    client.send(std::string(kLongestCommand, 'a') + "\n");
    EXPECT_EQ(client.line().size(), kLongestCommand + 6);
}

TEST_F(ControlSocket, survives_garbage) {
    serve();
    for (const std::string& garbage : {std::string("\0\0\n", 3), std::string("\xff\xfe\x01\n"), std::string("\n"),
                                       std::string("%s%n\n"), std::string(900, '"') + "\n"}) {
        Raw client(path_);
        client.line();
        client.send(garbage);
        const std::string line = client.line();
        EXPECT_THAT(line, StartsWith("0000 "));
        EXPECT_EQ(line.find_first_of(std::string("\0\x01", 2)), std::string::npos);
    }
    Raw hung_up(path_);
    hung_up.send("no end");
}

TEST_F(ControlSocket, sends_a_long_table_whole) {
    serve();
    auto client = Connection::open(path_);
    ASSERT_TRUE(client) << client.error().message;
    std::size_t rows = 0;
    const auto last = client->ask("rows", [&](const Line& line) {
        EXPECT_EQ(line.code, code::kRoute);
        EXPECT_THAT(line.text, StartsWith(fmt::format("row {:05} ", rows++)));
    });
    ASSERT_TRUE(last);
    EXPECT_EQ(rows, kRows);
}

TEST_F(ControlSocket, lets_a_client_that_does_not_read_stall_only_itself) {
    serve();
    Raw lazy(path_);
    lazy.send("rows\nrows\nrows\n");
    Raw other(path_);
    other.line();
    for (int i = 0; i < 100; ++i) {
        other.send("echo\n");
        ASSERT_EQ(other.line(), "0000 echo\n");
    }
    // Some chunks and the kernel's socket buffers, far from the table's 1.5 MB.
    EXPECT_LT(pulled.load(), kRows / 2);
    std::string line;
    std::size_t rows = 0;
    while (rows < 3 * kRows && !(line = lazy.line()).empty()) rows += line.find("row ") != std::string::npos ? 1U : 0U;
    EXPECT_EQ(rows, 3 * kRows);
}

TEST_F(ControlSocket, makes_room_for_the_newest_of_many_clients) {
    serve();
    std::vector<std::unique_ptr<Raw>> many;
    for (std::size_t i = 0; i < 2 * ControlServer::kMostClients; ++i) {
        many.push_back(std::make_unique<Raw>(path_));
        many.back()->line();
    }
    EXPECT_LE(on_loop([this] { return server_.clients(); }), ControlServer::kMostClients);
    many.back()->send("echo\n");
    EXPECT_EQ(many.back()->line(), "0000 echo\n");
    EXPECT_EQ(many.front()->line(), "");
}

TEST_F(ControlSocket, replaces_a_stale_socket_and_removes_its_own) {
    {
        const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        close(stale);
    }
    {
        ControlServer server(io_, answer);
        EXPECT_TRUE(server.listen(path_));
        EXPECT_TRUE(Raw(path_).connected);
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ControlSocket, refuses_a_socket_that_somebody_answers_on_and_what_is_no_socket) {
    serve();
    ControlServer second(io_, answer);
    const auto taken = second.listen(path_);
    ASSERT_FALSE(taken);
    EXPECT_THAT(taken.error().message, HasSubstr(path_));
    EXPECT_THAT(taken.error().message, HasSubstr("-s"));
    std::ofstream(directory_ + "/file") << "precious";
    EXPECT_FALSE(second.listen(directory_ + "/file"));
    EXPECT_EQ(std::filesystem::file_size(directory_ + "/file"), 8U);
    EXPECT_FALSE(second.listen(directory_ + "/" + std::string(200, 'x')));
    EXPECT_TRUE(Raw(path_).connected);
}

TEST_F(ControlSocket, moves_to_another_path_with_its_clients_kept) {
    serve();
    Raw client(path_);
    client.line();
    const std::string other = directory_ + "/other.ctl";
    EXPECT_TRUE(on_loop([&] { return static_cast<bool>(server_.listen(other)); }));
    EXPECT_FALSE(std::filesystem::exists(path_));
    client.send("echo\n");
    EXPECT_EQ(client.line(), "0000 echo\n");
    Raw late(other);
    EXPECT_THAT(late.line(), StartsWith("0001 "));
}

TEST_F(ControlSocket, is_named_by_a_client_that_cannot_connect) {
    const auto client = Connection::open(path_);
    ASSERT_FALSE(client);
    EXPECT_THAT(client.error().message, HasSubstr(path_));
    EXPECT_THAT(client.error().message, HasSubstr("weftd"));
}

}  // namespace
}  // namespace weft
