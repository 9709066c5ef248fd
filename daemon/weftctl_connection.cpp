#include "daemon/weftctl_connection.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weft {
namespace {

/// No line of weft's comes near it; something else answers on the socket.
constexpr std::size_t kLongestLine = 1024UL * 1024;

std::string advice(int error) {
    switch (error) {
        case ENOENT:
        case ECONNREFUSED:
            return "is weftd running (systemctl status weftd)? Another socket is named with -s";
        case EACCES:
        case EPERM:
            return "run weftctl as root, or as a member of the socket's group";
        default:
            return "name another socket with -s";
    }
}

}  // namespace

Result<Connection> Connection::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{fmt::format("{}: not a socket's path (1 to {} bytes)", path, sizeof address.sun_path - 1)};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    Connection connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), path);
    if (connection.descriptor_ < 0) return Error{fmt::format("socket: {}", std::strerror(errno))};
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: as the socket API has it
    if (connect(connection.descriptor_, generic, sizeof address) != 0) {
        return Error{fmt::format("cannot connect to {}: {}; {}", path, std::strerror(errno), advice(errno))};
    }
    auto greeting = connection.answer([](const Line&) {});
    if (!greeting) return greeting.error();
    if (greeting->code != code::kWelcome) {
        return Error{fmt::format("{}: {}", path, greeting->text)};
    }
    connection.greeting_ = greeting->text;
    return connection;
}

Connection::~Connection() {
    if (descriptor_ >= 0) close(descriptor_);
}

Connection::Connection(Connection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      greeting_(std::move(other.greeting_)),
      received_(std::move(other.received_)),
      consumed_(other.consumed_) {}

Result<Line> Connection::ask(std::string_view command, const std::function<void(const Line&)>& each) {
    std::string out(command);
    out += '\n';
    std::size_t sent = 0;
    while (sent < out.size()) {
        const ssize_t count = send(descriptor_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return Error{fmt::format("{}: {}; is weftd still running?", path_, std::strerror(errno))};
        sent += static_cast<std::size_t>(count);
    }
    return answer(each);
}

Result<Line> Connection::answer(const std::function<void(const Line&)>& each) {
    Decoder decoder;
    while (true) {
        auto text = line();
        if (!text) return text.error();
        auto decoded = decoder.decode(*text);
        if (!decoded) return Error{fmt::format("{}: what answers there is no weftd", path_)};
        if (decoded->asynchronous) continue;
        if (decoded->last) return std::move(decoded->line);
        each(decoded->line);
    }
}

Result<std::string> Connection::line() {
    while (true) {
        const std::size_t end = received_.find('\n', consumed_);
        if (end != std::string::npos) {
            std::string text = received_.substr(consumed_, end - consumed_);
            consumed_ = end + 1;
            return text;
        }
        received_.erase(0, std::exchange(consumed_, 0));
        if (received_.size() > kLongestLine) return Error{fmt::format("{}: what answers there is no weftd", path_)};
        std::array<char, 16384> buffer{};
        const ssize_t count = recv(descriptor_, buffer.data(), buffer.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return Error{fmt::format("{}: {}", path_, std::strerror(errno))};
        if (count == 0) return Error{fmt::format("{}: weftd has closed the connection", path_)};
        received_.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace weft
