#include <utility>

#include "etcd_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <list>
#include <stdexcept>
#include <thread>

namespace weft::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

EtcdOptions impatient(std::vector<std::string> endpoints) {
    EtcdOptions options;
    options.endpoints = std::move(endpoints);
    options.patience = std::chrono::seconds(2);
    options.first_pause = std::chrono::milliseconds(20);
    options.longest_pause = std::chrono::milliseconds(200);
    options.silence = std::chrono::seconds(2);
    return options;
}

Result<EtcdSnapshot> read_all(asio::io_context& io, EtcdClient& client, const std::string& prefix) {
    return await<EtcdSnapshot>(io, [&](auto done) { client.read({prefix}, std::move(done)); });
}

Result<EtcdTransacted> transact(asio::io_context& io, EtcdClient& client, const EtcdTransaction& transaction) {
    return await<EtcdTransacted>(io, [&](auto done) { client.transact(transaction, std::move(done)); });
}

std::string shell(const std::string& command) {
    FILE* const pipe = popen((command + " 2>&1").c_str(), "re");  // NOLINT(cert-env33-c)
    if (pipe == nullptr) throw std::runtime_error("no shell");
    std::string output;
    std::array<char, 4096> part{};
    while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), size);
    if (pclose(pipe) != 0) throw std::runtime_error(command + ": " + output);
    return output;
}

namespace {

/// A port that nobody listens on at present.
std::uint16_t free_port() {
    asio::io_context io;
    return tcp::acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0), false).local_endpoint().port();
}

bool says(const std::string& path, const std::string& words) {
    std::ifstream in(path);
    const std::string all{std::istreambuf_iterator<char>(in), {}};
    return all.find(words) != std::string::npos;
}

}  // namespace

EtcdServer::EtcdServer(Options options) : options_(std::move(options)) {
    // A port that was free may be another test's by the time etcd wants it.
    for (int again = 3;; --again) {
        port_ = free_port();
        peer_port_ = free_port();
        try {
            start();
            return;
        } catch (const std::runtime_error&) {
            if (again == 0 || !says(directory_ / "log", "address already in use")) throw;
            stop();
            forget();
        }
    }
}

EtcdServer::~EtcdServer() {
    stop();
}

std::string EtcdServer::url() const {
    return fmt::format("{}://127.0.0.1:{}", options_.certificate.empty() ? "http" : "https", port_);
}

std::string EtcdServer::etcdctl(const std::string& arguments) const {
    return shell(fmt::format("ETCDCTL_API=3 etcdctl --endpoints {} {}", url(), arguments));
}

void EtcdServer::start() {
    const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
    std::vector<std::string> arguments{"etcd",
                                       "--name",
                                       "one",
                                       "--data-dir",
                                       directory_ / "data",
                                       "--listen-client-urls",
                                       url(),
                                       "--advertise-client-urls",
                                       url(),
                                       "--listen-peer-urls",
                                       peer,
                                       "--initial-advertise-peer-urls",
                                       peer,
                                       "--initial-cluster",
                                       "one=" + peer,
                                       "--heartbeat-interval",
                                       "20",
                                       "--election-timeout",
                                       "200"};
    if (!options_.certificate.empty()) {
        arguments.insert(arguments.end(), {"--cert-file", options_.certificate, "--key-file", options_.key});
    }
    if (!options_.client_ca.empty()) {
        arguments.insert(arguments.end(), {"--client-cert-auth", "--trusted-ca-file", options_.client_ca});
    }
    arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
    std::vector<char*> raw;
    raw.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    const std::string log = directory_ / "log";
    std::remove(log.c_str());
    process_ = fork();
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive a test that crashes
        const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execvp(raw[0], raw.data());
        _exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!says(log, "client requests on")) {
        int status = 0;
        const bool ended = waitpid(process_, &status, WNOHANG) != 0;
        if (ended) process_ = 0;
        if (ended || std::chrono::steady_clock::now() > end) {
            std::ifstream in(log);
            throw std::runtime_error("etcd does not start: " + std::string{std::istreambuf_iterator<char>(in), {}});
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void EtcdServer::stop() {
    if (process_ == 0) return;
    kill(process_, SIGKILL);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = 0;
}

void EtcdServer::forget() {
    std::filesystem::remove_all(directory_ / "data");
}

void EtcdServer::back_up() const {
    std::filesystem::copy(directory_ / "data", directory_ / "backup", std::filesystem::copy_options::recursive);
}

void EtcdServer::go_back() const {
    std::filesystem::remove_all(directory_ / "data");
    std::filesystem::copy(directory_ / "backup", directory_ / "data", std::filesystem::copy_options::recursive);
}

void EtcdServer::freeze() const {
    kill(process_, SIGSTOP);
}

void EtcdServer::thaw() const {
    kill(process_, SIGCONT);
}

namespace {

/// One connection through a proxy: two sockets and what passes between them.
struct Pair : std::enable_shared_from_this<Pair> {
    Pair(tcp::socket from, asio::io_context& io) : client(std::move(from)), server(io) {}

    tcp::socket client;
    tcp::socket server;
    std::array<char, 4096> up{};
    std::array<char, 4096> down{};
    std::size_t passed = 0;  ///< of the server's bytes, since the mode was set

    void close() {
        error_code ignored;
        client.close(ignored);
        server.close(ignored);
    }
};

void reset(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
}

}  // namespace

struct Proxy::Implementation : std::enable_shared_from_this<Proxy::Implementation> {
    Implementation(asio::io_context& context, std::uint16_t port)
        : io(context), acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), target(port) {}

    void accept() {
        acceptor.async_accept([self = shared_from_this()](const error_code& failure, tcp::socket socket) {
            if (failure) return;
            ++self->connections;
            const auto pair = std::make_shared<Pair>(std::move(socket), self->io);
            self->pairs.push_back(pair);
            error_code refused;
            pair->server.connect(tcp::endpoint(asio::ip::address_v4::loopback(), self->target), refused);
            if (refused) pair->close();
            if (!refused) self->pump(pair, true), self->pump(pair, false);
            self->accept();
        });
    }

    void pump(const std::shared_ptr<Pair>& pair, bool upwards) {
        auto& from = upwards ? pair->client : pair->server;
        auto& bytes = upwards ? pair->up : pair->down;
        from.async_read_some(asio::buffer(bytes),
                             [self = shared_from_this(), pair, upwards](const error_code& failure, std::size_t size) {
                                 if (failure) return pair->close();
                                 self->pass(pair, upwards, size);
                             });
    }

    void pass(const std::shared_ptr<Pair>& pair, bool upwards, std::size_t size) {
        auto& bytes = upwards ? pair->up : pair->down;
        if (mode == Mode::swallow) return pump(pair, upwards);
        const bool cut = !upwards && (mode == Mode::truncate || mode == Mode::reset);
        if (cut) size = std::min(size, limit - std::min(limit, pair->passed));
        if (!upwards && mode == Mode::garble) {
            for (std::size_t i = 0; i < size; ++i) bytes.at(i) = static_cast<char>(bytes.at(i) ^ 0x55);
        }
        if (!upwards) pair->passed += size;
        asio::async_write(upwards ? pair->server : pair->client, asio::buffer(bytes.data(), size),
                          [self = shared_from_this(), pair, upwards, cut](const error_code& failure, std::size_t) {
                              if (failure) return pair->close();
                              if (!cut || pair->passed < self->limit) return self->pump(pair, upwards);
                              if (self->mode == Mode::reset) reset(pair->client);
                              pair->close();
                          });
    }

    asio::io_context& io;
    tcp::acceptor acceptor;
    std::uint16_t target;
    Mode mode = Mode::pass;
    std::size_t limit = 0;
    std::size_t connections = 0;
    std::list<std::weak_ptr<Pair>> pairs;
};

Proxy::Proxy(asio::io_context& io, std::uint16_t target)
    : implementation_(std::make_shared<Implementation>(io, target)) {
    implementation_->accept();
}

Proxy::~Proxy() {
    error_code ignored;
    implementation_->acceptor.close(ignored);
    for (const auto& known : implementation_->pairs) {
        if (const auto pair = known.lock()) pair->close();
    }
}

std::string Proxy::url() const {
    return fmt::format("http://127.0.0.1:{}", implementation_->acceptor.local_endpoint().port());
}

void Proxy::set(Mode mode, std::size_t after) {
    implementation_->mode = mode;
    implementation_->limit = after;
    for (const auto& known : implementation_->pairs) {
        if (const auto pair = known.lock()) pair->passed = 0;
    }
}

std::size_t Proxy::connections() const {
    return implementation_->connections;
}

namespace {

struct Conversation : std::enable_shared_from_this<Conversation> {
    explicit Conversation(tcp::socket taken) : socket(std::move(taken)) {}

    FakeServer::Peer peer() {
        return {.say = [self = shared_from_this()](const std::string& bytes) { self->say(bytes); },
                .hang_up =
                    [self = shared_from_this()] {
                        self->ending = true;
                        self->flush();
                    },
                .reset = [self = shared_from_this()] { reset(self->socket); }};
    }

    void say(const std::string& bytes) {
        output += bytes;
        flush();
    }

    void flush() {
        if (writing) return;
        error_code ignored;
        if (output.empty() && ending) socket.close(ignored);
        if (output.empty() || !socket.is_open()) return;
        writing = true;
        const auto part = std::make_shared<std::string>(std::exchange(output, {}));
        asio::async_write(socket, asio::buffer(*part),
                          [self = shared_from_this(), part](const error_code& failure, std::size_t) {
                              self->writing = false;
                              if (!failure) self->flush();
                          });
    }

    tcp::socket socket;
    std::string input;
    std::string output;
    bool writing = false;
    bool ending = false;
};

}  // namespace

struct FakeServer::Implementation : std::enable_shared_from_this<FakeServer::Implementation> {
    Implementation(asio::io_context& context, Handler answer)
        : acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), handler(std::move(answer)) {}

    void accept() {
        acceptor.async_accept([self = shared_from_this()](const error_code& failure, tcp::socket socket) {
            if (failure) return;
            ++self->connections;
            const auto conversation = std::make_shared<Conversation>(std::move(socket));
            self->conversations.push_back(conversation);
            self->read(conversation);
            self->accept();
        });
    }

    void read(const std::shared_ptr<Conversation>& with) {
        asio::async_read_until(with->socket, asio::dynamic_buffer(with->input), "\r\n\r\n",
                               [self = shared_from_this(), with](const error_code& failure, std::size_t size) {
                                   if (!failure) self->read_body(with, size);
                               });
    }

    void read_body(const std::shared_ptr<Conversation>& with, std::size_t head) {
        const std::string length = "Content-Length: ";
        const std::size_t found = with->input.find(length);
        const std::size_t body = found == std::string::npos ? 0 : std::stoul(with->input.substr(found + length.size()));
        const std::size_t have = with->input.size() - head;
        const auto take = [self = shared_from_this(), with, head, body] {
            Request request{.path = with->input.substr(5, with->input.find(' ', 5) - 5),
                            .head = with->input.substr(0, head),
                            .body = with->input.substr(head, body)};
            with->input.erase(0, head + body);
            self->requests.push_back(request);
            self->handler(request, with->peer());
            if (with->socket.is_open()) self->read(with);
        };
        if (have >= body) return take();
        asio::async_read(with->socket, asio::dynamic_buffer(with->input), asio::transfer_exactly(body - have),
                         [take](const error_code& failure, std::size_t) {
                             if (!failure) take();
                         });
    }

    tcp::acceptor acceptor;
    Handler handler;
    std::vector<Request> requests;
    std::size_t connections = 0;
    std::list<std::weak_ptr<Conversation>> conversations;
};

FakeServer::FakeServer(asio::io_context& io, Handler handler)
    : implementation_(std::make_shared<Implementation>(io, std::move(handler))) {
    implementation_->accept();
}

FakeServer::~FakeServer() {
    error_code ignored;
    implementation_->acceptor.close(ignored);
    for (const auto& known : implementation_->conversations) {
        if (const auto conversation = known.lock()) conversation->socket.close(ignored);
    }
}

std::string FakeServer::url() const {
    return fmt::format("http://127.0.0.1:{}", implementation_->acceptor.local_endpoint().port());
}

const std::vector<FakeServer::Request>& FakeServer::requests() const {
    return implementation_->requests;
}

std::size_t FakeServer::connections() const {
    return implementation_->connections;
}

std::string reply(unsigned status, const std::string& body) {
    return fmt::format("HTTP/1.1 {} Some Words\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                       status, body.size(), body);
}

std::string chunked_head() {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(const std::string& bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

}  // namespace weft::test
