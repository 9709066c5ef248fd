#include <utility>

#include "daemon/control_server.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>

namespace weft {
namespace {

namespace asio = boost::asio;
using local = asio::local::stream_protocol;
using Failed = boost::system::error_code;

/// So much of an answer is written at a time.
constexpr std::size_t kChunk = 16UL * 1024;

class Client : public std::enable_shared_from_this<Client> {
  public:
    Client(local::socket socket, const std::shared_ptr<const ControlServer::Handler>& handler)
        : socket_(std::move(socket)), handler_(handler) {}

    void start() { begin(reply_of({{code::kWelcome, "weft " WEFT_VERSION " ready."}})); }
    void close() {
        Failed ignored;
        socket_.close(ignored);  // NOLINT(bugprone-unused-return-value)
        reply_ = nullptr;
    }
    bool open() const { return socket_.is_open(); }
    std::chrono::steady_clock::time_point active() const { return active_; }

  private:
    /// The next command that has arrived, else wait for more.
    void next() {
        if (ends_) return close();
        const std::size_t end = input_.find('\n');
        std::string command = input_.substr(0, end);
        std::erase(command, '\r');
        if (command.size() > kLongestCommand) {
            ends_ = true;
            return begin(reply_of(
                {{code::kTooLong, fmt::format("Command too long: a line has at most {} bytes", kLongestCommand)}}));
        }
        if (end == std::string::npos) return read();
        input_.erase(0, end + 1);
        begin((*handler_)(command));
    }

    void read() {
        socket_.async_read_some(asio::buffer(received_),
                                [self = shared_from_this()](const Failed& failed, std::size_t count) {
                                    if (failed) return self->close();
                                    self->active_ = std::chrono::steady_clock::now();
                                    self->input_.append(self->received_.data(), count);
                                    self->next();
                                });
    }

    void begin(Reply reply) {
        reply_ = std::move(reply);
        encoder_ = {};
        ahead_ = reply_();
        write();
    }

    void write() {
        output_.clear();
        while (ahead_ && output_.size() < kChunk) {
            std::optional<Line> line = std::exchange(ahead_, reply_());
            encoder_.encode(*line, !ahead_, output_);
        }
        asio::async_write(socket_, asio::buffer(output_),
                          [self = shared_from_this()](const Failed& failed, std::size_t) {
                              if (failed || !self->open()) return self->close();
                              self->active_ = std::chrono::steady_clock::now();
                              if (self->ahead_) return self->write();
                              self->reply_ = nullptr;
                              self->next();
                          });
    }

    local::socket socket_;
    std::shared_ptr<const ControlServer::Handler> handler_;
    std::array<char, 1024> received_{};
    std::string input_;  ///< not yet answered
    std::string output_;
    Reply reply_;
    Encoder encoder_;
    std::optional<Line> ahead_;  ///< the line after the one to be written: only then the last one is known
    bool ends_ = false;          ///< close when all is written
    std::chrono::steady_clock::time_point active_ = std::chrono::steady_clock::now();
};

Error cannot(const std::string& path, const std::string& why, std::string_view what_to_do) {
    return Error{fmt::format("control socket {}: {}; {}", path, why, what_to_do)};
}

/// Makes way for a socket at `path`: nothing there, or one that nobody answers on.
Result<Done> make_way(const std::string& path) {
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) {
        if (errno == ENOENT) return Done{};
        return cannot(path, std::strerror(errno), "give another one with -s or 'control { socket }'");
    }
    if (!S_ISSOCK(found.st_mode)) {
        return cannot(path, "there is something that is no socket",
                      "remove it, or give another path with -s or 'control { socket }'");
    }
    asio::io_context io;
    local::socket probe(io);
    Failed failed;
    probe.connect(local::endpoint(path), failed);  // NOLINT(bugprone-unused-return-value)
    if (!failed) {
        return cannot(path, "another program answers on it, probably a weftd",
                      "stop that one, or give this one another socket with -s");
    }
    if (failed != asio::error::connection_refused) {
        return cannot(path, failed.message(), "give another one with -s or 'control { socket }'");
    }
    if (unlink(path.c_str()) != 0) return cannot(path, std::strerror(errno), "remove the stale socket by hand");
    return Done{};
}

}  // namespace

struct ControlServer::Implementation : std::enable_shared_from_this<ControlServer::Implementation> {
    Implementation(asio::io_context& context, Handler answer)
        : io(context), acceptor(context), pause(context), handler(std::make_shared<const Handler>(std::move(answer))) {}

    void accept() {
        acceptor.async_accept([weak = weak_from_this(), turn = turn](const Failed& failed, local::socket socket) {
            const auto self = weak.lock();
            if (!self || turn != self->turn) return;
            if (failed == asio::error::operation_aborted) return;
            if (failed) return self->accept_later();
            self->admit(std::move(socket));
            self->accept();
        });
    }

    /// Out of file descriptors, most likely: the connection still waits, so trying at once would be a busy loop.
    void accept_later() {
        pause.expires_after(std::chrono::seconds(1));
        pause.async_wait([weak = weak_from_this(), turn = turn](const Failed& failed) {
            const auto self = weak.lock();
            if (!failed && self && turn == self->turn) self->accept();
        });
    }

    void admit(local::socket socket) {
        forget_closed();
        if (clients.size() >= kMostClients) {
            const auto idlest = std::min_element(clients.begin(), clients.end(), [](const auto& a, const auto& b) {
                const auto left = a.lock();
                const auto right = b.lock();
                return left && right && left->active() < right->active();
            });
            if (const auto client = idlest->lock()) client->close();
            clients.erase(idlest);
        }
        const auto client = std::make_shared<Client>(std::move(socket), handler);
        clients.push_back(client);
        client->start();
    }

    void forget_closed() {
        std::erase_if(clients, [](const std::weak_ptr<Client>& known) {
            const auto client = known.lock();
            return !client || !client->open();
        });
    }

    void stop_listening() {
        ++turn;
        Failed ignored;
        acceptor.close(ignored);  // NOLINT(bugprone-unused-return-value)
        if (!path.empty()) unlink(path.c_str());
        path.clear();
    }

    asio::io_context& io;
    local::acceptor acceptor;
    asio::steady_timer pause;
    std::shared_ptr<const Handler> handler;
    std::list<std::weak_ptr<Client>> clients;
    std::string path;
    unsigned turn = 0;  ///< counts sockets, so that a late accept of a former one is known
};

ControlServer::ControlServer(asio::io_context& io, Handler handler)
    : implementation_(std::make_shared<Implementation>(io, std::move(handler))) {}

ControlServer::~ControlServer() {
    implementation_->stop_listening();
    for (const auto& known : implementation_->clients) {
        if (const auto client = known.lock()) client->close();
    }
}

Result<Done> ControlServer::listen(const std::string& path) {
    Implementation& self = *implementation_;
    if (path == self.path) return Done{};
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        return cannot(path,
                      fmt::format("the path has {} bytes, a socket's has at most {}", path.size(),
                                  sizeof(sockaddr_un::sun_path) - 1),
                      "give a shorter one");
    }
    std::error_code made;
    const auto directory = std::filesystem::path(path).parent_path();
    if (!directory.empty()) std::filesystem::create_directories(directory, made);
    if (auto way = make_way(path); !way) return way;

    Failed failed;
    local::acceptor acceptor(self.io);
    acceptor.open(local(), failed);                             // NOLINT(bugprone-unused-return-value)
    const mode_t before = umask(0117);                          // so that it never exists with more than 0660
    if (!failed) acceptor.bind(local::endpoint(path), failed);  // NOLINT(bugprone-unused-return-value)
    umask(before);
    if (!failed)
        acceptor.listen(asio::socket_base::max_listen_connections, failed);  // NOLINT(bugprone-unused-return-value)
    if (failed) {
        return cannot(path, made ? made.message() : failed.message(),
                      "create its directory for weftd's user, or give another one with -s or 'control { socket }'");
    }
    self.stop_listening();
    self.acceptor = std::move(acceptor);
    self.path = path;
    self.accept();
    return Done{};
}

std::size_t ControlServer::clients() const {
    implementation_->forget_closed();
    return implementation_->clients.size();
}

}  // namespace weft
