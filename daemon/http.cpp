#include <utility>

#include "daemon/http.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <list>
#include <optional>

namespace weft {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr std::chrono::seconds kPatience{10};
constexpr std::uint32_t kLargestHeader = 8 * 1024;
constexpr std::uint64_t kLargestBody = 4UL * 1024;

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(tcp::socket socket, const HttpServer::Handler& handler)
        : stream_(std::move(socket)), handler_(handler) {}

    void start() { read(); }
    void close() {
        beast::error_code ignored;
        stream_.socket().close(ignored);  // NOLINT(bugprone-unused-return-value)
    }
    bool open() const { return stream_.socket().is_open(); }

  private:
    void read() {
        parser_.emplace();
        parser_->header_limit(kLargestHeader);
        parser_->body_limit(kLargestBody);
        stream_.expires_after(kPatience);
        http::async_read(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](const beast::error_code& failure, std::size_t) { self->answer(failure); });
    }

    void answer(const beast::error_code& failure) {
        if (failure == http::error::header_limit) return refuse(http::status::request_header_fields_too_large);
        if (failure == http::error::body_limit) return refuse(http::status::payload_too_large);
        if (failure == http::error::end_of_stream || failure == beast::error::timeout) return close();
        if (failure.category() == http::make_error_code(http::error::bad_method).category()) {
            return refuse(http::status::bad_request);
        }
        if (failure) return close();
        const auto& request = parser_->get();
        if (request.method() != http::verb::get && request.method() != http::verb::head) {
            response_ = {http::status::method_not_allowed, request.version()};
            response_.set(http::field::allow, "GET, HEAD");
            response_.keep_alive(request.keep_alive());
        } else {
            const auto target = request.target();
            const std::string path(target.substr(0, target.find('?')));
            HttpResponse made = handler_(path);
            response_ = {static_cast<http::status>(made.status), request.version()};
            response_.set(http::field::content_type, made.content_type);
            response_.set(http::field::cache_control, "no-store");
            response_.body() = std::move(made.body);
            response_.keep_alive(request.keep_alive());
        }
        head_ = request.method() == http::verb::head;
        write();
    }

    void refuse(http::status status) {
        response_ = {status, 11};
        response_.keep_alive(false);
        head_ = false;
        write();
    }

    void write() {
        response_.prepare_payload();
        if (head_) response_.body().clear();  // the length stays as a GET would have it
        stream_.expires_after(kPatience);
        http::async_write(stream_, response_,
                          [self = shared_from_this()](const beast::error_code& failure, std::size_t) {
                              if (failure || !self->response_.keep_alive()) return self->finish();
                              self->read();
                          });
    }

    void finish() {
        beast::error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);  // NOLINT(bugprone-unused-return-value)
        close();
    }

    beast::tcp_stream stream_;
    const HttpServer::Handler& handler_;
    beast::flat_buffer buffer_{kLargestHeader + kLargestBody};
    std::optional<http::request_parser<http::string_body>> parser_;
    http::response<http::string_body> response_;
    bool head_ = false;
};

tcp::endpoint endpoint_of(const Endpoint& endpoint) {
    if (endpoint.address.family == Family::v4) {
        asio::ip::address_v4::bytes_type bytes{};
        std::copy_n(endpoint.address.bytes.begin(), bytes.size(), bytes.begin());
        return {asio::ip::address_v4(bytes), endpoint.port};
    }
    return {asio::ip::address_v6(endpoint.address.bytes), endpoint.port};
}

}  // namespace

struct HttpServer::Implementation : std::enable_shared_from_this<HttpServer::Implementation> {
    Implementation(asio::io_context& context, Handler answer)
        : io(context), acceptor(context), handler(std::move(answer)) {}

    void accept() {
        acceptor.async_accept([weak = weak_from_this()](const beast::error_code& failure, tcp::socket socket) {
            const auto self = weak.lock();
            if (!self || failure == asio::error::operation_aborted || !self->acceptor.is_open()) return;
            if (!failure) self->admit(std::move(socket));
            self->accept();
        });
    }

    void admit(tcp::socket socket) {
        connections.remove_if([](const std::weak_ptr<Connection>& known) {
            const auto connection = known.lock();
            return !connection || !connection->open();
        });
        if (connections.size() >= kMostConnections) {
            // The oldest: a probe or a scrape is over in milliseconds, what has been here longest only sits.
            if (const auto oldest = connections.front().lock()) oldest->close();
            connections.pop_front();
        }
        const auto connection = std::make_shared<Connection>(std::move(socket), handler);
        connections.push_back(connection);
        connection->start();
    }

    asio::io_context& io;
    tcp::acceptor acceptor;
    Handler handler;
    std::list<std::weak_ptr<Connection>> connections;  ///< oldest first
    std::optional<Endpoint> listening;
};

HttpServer::HttpServer(asio::io_context& io, Handler handler)
    : implementation_(std::make_shared<Implementation>(io, std::move(handler))) {}

HttpServer::~HttpServer() {
    beast::error_code ignored;
    implementation_->acceptor.close(ignored);  // NOLINT(bugprone-unused-return-value)
    for (const auto& known : implementation_->connections) {
        if (const auto connection = known.lock()) connection->close();
    }
}

Result<Done> HttpServer::listen(const Endpoint& endpoint) {
    Implementation& self = *implementation_;
    if (self.listening == endpoint && self.acceptor.is_open()) return Done{};
    beast::error_code failure;
    self.acceptor.close(failure);  // NOLINT(bugprone-unused-return-value)
    self.listening.reset();
    const tcp::endpoint where = endpoint_of(endpoint);
    failure = {};
    self.acceptor.open(where.protocol(), failure);
    if (!failure) self.acceptor.set_option(asio::socket_base::reuse_address(true), failure);
    if (!failure) self.acceptor.bind(where, failure);
    if (!failure) self.acceptor.listen(asio::socket_base::max_listen_connections, failure);
    if (failure) {
        beast::error_code ignored;
        self.acceptor.close(ignored);  // NOLINT(bugprone-unused-return-value)
        return Error{
            fmt::format("health endpoint {} port {}: {}; set another 'health {{ listen ... }}', or end what "
                        "uses it (ss -ltnp)",
                        to_string(endpoint.address), endpoint.port, failure.message())};
    }
    self.listening = endpoint;
    self.accept();
    return Done{};
}

std::uint16_t HttpServer::port() const {
    beast::error_code failure;
    const auto endpoint = implementation_->acceptor.local_endpoint(failure);
    return failure ? std::uint16_t{0} : endpoint.port();
}

std::size_t HttpServer::connections() const {
    std::size_t open = 0;
    for (const auto& known : implementation_->connections) {
        const auto connection = known.lock();
        if (connection && connection->open()) ++open;
    }
    return open;
}

}  // namespace weft
