#include <utility>

#include "conf/http_connection.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

namespace weft {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr std::uint32_t kLargestHeader = 16 * 1024;

/// What tells that a file is not the one it was.
struct Stamp {
    std::int64_t seconds = 0, nanoseconds = 0;
    std::uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
};

std::array<Stamp, 3> stamps_of(const TlsFiles& files) {
    std::array<Stamp, 3> stamps{};
    std::size_t at = 0;
    for (const std::string& path : {files.ca, files.certificate, files.key}) {
        struct stat found {};
        if (!path.empty() && stat(path.c_str(), &found) == 0) {
            stamps.at(at) = {
                .seconds = found.st_mtim.tv_sec, .nanoseconds = found.st_mtim.tv_nsec, .inode = found.st_ino};
        }
        ++at;
    }
    return stamps;
}

/// A context with these files; an Error names the file.
Result<std::shared_ptr<asio::ssl::context>> make_context(const TlsFiles& files) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    error_code failure;
    const auto failed = [&](const char* what, const std::string& path) {
        return Error{
            fmt::format("{} {}: {}: it has to be a PEM file that weftd can read", what, path, failure.message())};
    };
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    context->set_verify_mode(asio::ssl::verify_peer, failure);
    if (files.ca.empty()) {
        context->set_default_verify_paths(failure);
    } else {
        context->load_verify_file(files.ca, failure);
        if (failure) return failed("ca", files.ca);
    }
    if (files.certificate.empty()) return context;
    context->use_certificate_chain_file(files.certificate, failure);
    if (failure) return failed("certificate", files.certificate);
    context->use_private_key_file(files.key, asio::ssl::context::pem, failure);
    if (failure) return failed("key", files.key);
    return context;
}

/// A socket, TLS on it where that is asked for, and all that a step under way refers to: steps share in owning it, so
/// that it goes only when the last of them has been called back.
struct Wire {
    explicit Wire(asio::io_context& io) : plain(io) {}
    tcp::socket plain;
    std::shared_ptr<asio::ssl::context> context;
    std::optional<asio::ssl::stream<tcp::socket&>> tls;
    std::string refusal;  ///< of the server's certificate
    std::vector<tcp::endpoint> candidates;
    http::request<http::string_body> request;
    bool written = false;  ///< all of it
    beast::flat_buffer buffer{std::size_t{kLargestHeader} + std::size_t{64} * 1024};
    std::optional<http::response_parser<http::empty_body>> header;
    std::optional<http::response_parser<http::string_body>> whole;
    std::optional<http::response_parser<http::buffer_body>> portions;
    std::array<char, 16UL * 1024> chunk{};

    /// Runs `action` with the stream that bytes go through.
    template <class Action>
    void through(Action action) {
        tls ? action(*tls) : action(plain);
    }
};

/// A peer that is gone without a word is noticed by the kernel too, whatever is under way.
void watch_over(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);                  // NOLINT(bugprone-unused-return-value)
    socket.set_option(asio::socket_base::keep_alive(true), ignored);  // NOLINT(bugprone-unused-return-value)
    const auto set = [&](int option, int value) {
        setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
    };
    set(TCP_KEEPIDLE, 10);
    set(TCP_KEEPINTVL, 5);
    set(TCP_KEEPCNT, 3);
    set(TCP_USER_TIMEOUT, 25'000);
}

/// Whether the other end has closed a connection that nothing is under way on. What is readable then is either the end
/// or nothing that belongs to us.
bool gone(tcp::socket& socket) {
    std::array<char, 1> byte{};
    const ssize_t size = recv(socket.native_handle(), byte.data(), byte.size(), MSG_PEEK | MSG_DONTWAIT);
    return size >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::string date_of(const ASN1_TIME* time) {
    std::tm date{};
    if (ASN1_TIME_to_tm(time, &date) != 1) return "an unreadable date";
    return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", date);
}

/// Why a certificate of the server's is not taken, with what that means for the one who has to repair it.
std::string refusal_of(X509_STORE_CTX* checked, const std::string& host) {
    const int why = X509_STORE_CTX_get_error(checked);
    const X509* const refused = X509_STORE_CTX_get_current_cert(checked);
    const char* const whose = X509_STORE_CTX_get_error_depth(checked) == 0 ? "its certificate" : "its CA's certificate";
    if (why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        return fmt::format("its certificate is not for '{}': use a name or address that it has", host);
    }
    if (why == X509_V_ERR_CERT_HAS_EXPIRED && refused != nullptr) {
        return fmt::format(
            "{} has expired on {}: renew it for etcd (a new CA in 'ca' in 'source etcd' too); it is tried "
            "again by itself",
            whose, date_of(X509_get0_notAfter(refused)));
    }
    if (why == X509_V_ERR_CERT_NOT_YET_VALID && refused != nullptr) {
        return fmt::format("{} is not valid before {}: check this node's clock, and etcd's", whose,
                           date_of(X509_get0_notBefore(refused)));
    }
    return fmt::format("{} is not trusted ({}): check 'ca' in 'source etcd'", whose,
                       X509_verify_cert_error_string(why));
}

/// "certificate FILE has expired on DATE" of this node's own; empty: it has not, or there is none.
std::string own_expiry(asio::ssl::context& context, const TlsFiles& files) {
    const X509* const own = SSL_CTX_get0_certificate(context.native_handle());
    if (own == nullptr || X509_cmp_current_time(X509_get0_notAfter(own)) >= 0) return {};
    return fmt::format(
        "this node's certificate {} has expired on {}: replace it and its key, they are read again by "
        "themselves",
        files.certificate, date_of(X509_get0_notAfter(own)));
}

/// OpenSSL's words for a handshake that failed.
std::string tls_trouble(const error_code& failure) {
    if (failure == asio::error::eof || failure == asio::ssl::error::stream_truncated ||
        failure == asio::error::connection_reset) {
        return "it ended the TLS handshake: does it speak https?";
    }
    return fmt::format("TLS: {}", failure.message());
}

}  // namespace

Result<HttpUrl> parse_url(const std::string& text, std::uint16_t port_if_none) {
    const Error bad{fmt::format("'{}' is no endpoint: expected https://HOST:PORT or http://HOST:PORT", text)};
    HttpUrl url{.tls = text.starts_with("https://"), .host = {}, .port = port_if_none, .text = text};
    if (!url.tls && !text.starts_with("http://")) return bad;
    std::string rest = text.substr(url.tls ? 8 : 7);
    if (!rest.empty() && rest.back() == '/') rest.pop_back();
    std::string port;
    if (rest.starts_with('[')) {
        const std::size_t end = rest.find(']');
        if (end == std::string::npos) return bad;
        url.host = rest.substr(1, end - 1);
        port = rest.substr(end + 1);
    } else {
        url.host = rest.substr(0, rest.find(':'));
        port = rest.substr(url.host.size());
    }
    if (url.host.empty() || url.host.find_first_of("/[]@ ") != std::string::npos) return bad;
    if (port.empty()) return url;
    const auto [at, failure] = std::from_chars(port.data() + 1, port.data() + port.size(), url.port);
    if (port.front() != ':' || failure != std::errc{} || at != port.data() + port.size() || url.port == 0) return bad;
    return url;
}

struct HttpConnection::Implementation : std::enable_shared_from_this<HttpConnection::Implementation> {
    Implementation(asio::io_context& context, HttpUrl where, TlsFiles with)
        : io(context), resolver(context), deadline(context), url(std::move(where)), files(std::move(with)) {}

    /// Wraps a step's handler: it keeps the wire, and is dropped when the exchange it belongs to is over.
    template <class Step>
    auto still(Step step) {
        return [weak = weak_from_this(), kept = wire, epoch = age, step = std::move(step)](const error_code& failure,
                                                                                           const auto&... rest) {
            const auto self = weak.lock();
            if (self && self->age == epoch) step(*self, failure, rest...);
        };
    }

    void start(const HttpRequest& asked, std::chrono::milliseconds within, Finished told) {
        ++age;
        patience = within;
        outcome = {};
        finished = std::move(told);
        doing = "connecting";
        deadline.expires_after(patience);
        deadline.async_wait(still([](Implementation& self, const error_code& stopped) {
            if (!stopped) self.late();
        }));
        const auto now = url.tls ? stamps_of(files) : std::array<Stamp, 3>{};
        if (wire && (now != stamps || gone(wire->plain))) disconnect();
        stamps = now;
        const bool connected = wire != nullptr;
        if (!connected) wire = std::make_shared<Wire>(io);
        make(asked);
        connected ? send() : connect();
    }

    void make(const HttpRequest& asked) {
        auto& request = wire->request;
        request = {http::verb::post, asked.path, 11};
        const std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
        request.set(http::field::host, fmt::format("{}:{}", host, url.port));
        request.set(http::field::user_agent, "weftd/" WEFT_VERSION);
        request.set(http::field::content_type, "application/json");
        if (!asked.authorization.empty()) request.set(http::field::authorization, asked.authorization);
        if (asked.require_leader) request.set("Grpc-Metadata-hasleader", "true");
        request.body() = asked.body;
        request.prepare_payload();
        wire->written = false;
    }

    void connect() {
        if (url.tls) {
            auto context = make_context(files);
            if (!context) return fail_soon(context.error().message);
            wire->context = *std::move(context);
        }
        error_code not_literal;
        const auto address = asio::ip::make_address(url.host, not_literal);
        if (!not_literal) return connect_to({tcp::endpoint(address, url.port)});
        resolver.async_resolve(
            url.host, std::to_string(url.port),
            still([](Implementation& self, const error_code& failure, const tcp::resolver::results_type& found) {
                if (failure) return self.fail(fmt::format("its name: {}", failure.message()));
                std::vector<tcp::endpoint> all(found.begin(), found.end());
                // One address that swallows everything must not hide the others for good.
                const auto first = static_cast<std::ptrdiff_t>(self.attempt++ % all.size());
                std::rotate(all.begin(), all.begin() + first, all.end());
                self.connect_to(std::move(all));
            }));
    }

    void connect_to(std::vector<tcp::endpoint> all) {
        wire->candidates = std::move(all);
        asio::async_connect(wire->plain, wire->candidates,
                            still([](Implementation& self, const error_code& failure, const tcp::endpoint&) {
                                if (failure) return self.unreachable(failure.message());
                                watch_over(self.wire->plain);
                                self.url.tls ? self.shake_hands() : self.send();
                            }));
    }

    void shake_hands() {
        doing = "TLS handshake";
        auto& tls = wire->tls.emplace(wire->plain, *wire->context);
        error_code not_literal;
        asio::ip::make_address(url.host, not_literal);
        // OpenSSL's own check of the name, not Asio's: it tells apart why a certificate is not taken.
        if (not_literal) {
            SSL_set_tlsext_host_name(tls.native_handle(), url.host.c_str());
            SSL_set1_host(tls.native_handle(), url.host.c_str());
        } else {
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.native_handle()), url.host.c_str());
        }
        // Judged by OpenSSL; listened to, because afterwards it does not tell which certificate it was about.
        tls.set_verify_callback([at = wire.get(), host = url.host](bool good, asio::ssl::verify_context& checked) {
            if (!good) at->refusal = refusal_of(checked.native_handle(), host);
            return good;
        });
        tls.async_handshake(asio::ssl::stream_base::client, still([](Implementation& self, const error_code& failure) {
                                if (failure && !self.wire->refusal.empty()) return self.fail(self.wire->refusal);
                                if (failure) return self.fail(tls_trouble(failure));
                                self.send();
                            }));
    }

    void send() {
        doing = "waiting for the reply";
        outcome.sent = true;
        wire->buffer.clear();
        wire->header.emplace();
        wire->header->header_limit(kLargestHeader);
        wire->through([this](auto& stream) {
            http::async_write(stream, wire->request,
                              still([](Implementation& self, const error_code& failure, std::size_t) {
                                  // What the server says before it hangs up is the reader's to find.
                                  self.wire->written = !failure;
                              }));
            http::async_read_header(stream, wire->buffer, *wire->header,
                                    still([](Implementation& self, const error_code& failure, std::size_t) {
                                        if (failure) return self.fail(words(failure));
                                        self.read_body();
                                    }));
        });
    }

    void read_body() {
        outcome.status = wire->header->get().result_int();
        if (received && outcome.status == 200) {
            deadline.cancel();
            wire->portions.emplace(std::move(*wire->header));
            wire->portions->body_limit(boost::none);
            return read_portion();
        }
        auto& whole = wire->whole.emplace(std::move(*wire->header));
        whole.body_limit(largest);
        doing = "reading the reply";
        wire->through([this, &whole](auto& stream) {
            http::async_read(stream, wire->buffer, whole,
                             still([](Implementation& self, const error_code& failure, std::size_t) {
                                 self.outcome.too_large = failure == http::error::body_limit;
                                 if (failure) return self.fail(words(failure));
                                 auto& read = *self.wire->whole;
                                 self.outcome.body = std::move(read.get().body());
                                 self.end(read.keep_alive() && self.wire->written);
                             }));
        });
    }

    void read_portion() {
        auto& body = wire->portions->get().body();
        body.data = wire->chunk.data();
        body.size = wire->chunk.size();
        wire->through([this](auto& stream) {
            http::async_read_some(stream, wire->buffer, *wire->portions,
                                  still([](Implementation& self, const error_code& failure, std::size_t) {
                                      const bool full = failure == http::error::need_buffer;
                                      if (failure && !full) return self.fail(words(failure));
                                      self.pass_on();
                                  }));
        });
    }

    void pass_on() {
        const auto kept = wire;
        const unsigned epoch = age;
        const std::size_t size = kept->chunk.size() - kept->portions->get().body().size;
        const auto told = received;  // which may close, and with that forget, itself
        if (size != 0) told({kept->chunk.data(), size});
        if (age != epoch) return;  // it was closed from there
        if (kept->portions->is_done()) return end(false);
        read_portion();
    }

    static std::string words(const error_code& failure) {
        if (failure == http::error::end_of_stream || failure == asio::error::eof ||
            failure == http::error::partial_message || failure == asio::ssl::error::stream_truncated) {
            return "it closed the connection";
        }
        if (failure == http::error::body_limit) return "its reply is larger than allowed";
        if (failure.category() == http::make_error_code(http::error::bad_version).category()) {
            return fmt::format("what answers is not HTTP ({})", failure.message());
        }
        return failure.message();
    }

    /// For what goes wrong before anything asynchronous has begun: `finished` is never called from the caller's call.
    void fail_soon(std::string why) {
        asio::post(io, [weak = weak_from_this(), epoch = age, why = std::move(why)] {
            const auto self = weak.lock();
            if (self && self->age == epoch) self->fail(why);
        });
    }

    void late() {
        outcome.unreachable = !outcome.sent && !wire->tls;
        fail(fmt::format("no answer within {} ms ({})", patience.count(), doing));
    }

    void unreachable(std::string why) {
        outcome.unreachable = true;
        fail(std::move(why));
    }

    void fail(std::string why) {
        outcome.failure = std::move(why);
        const bool refused = wire && wire->tls && wire->refusal.empty();
        if (const std::string expired = refused ? own_expiry(*wire->context, files) : ""; !expired.empty()) {
            outcome.failure += "; " + expired;
        }
        end(false);
    }

    void end(bool keep) {
        const auto told = std::exchange(finished, nullptr);
        HttpOutcome what = std::exchange(outcome, {});
        finish();
        if (!keep) disconnect();
        if (told) told(std::move(what));
    }

    void finish() {
        ++age;  // whatever is still under way belongs to the past
        deadline.cancel();
        resolver.cancel();
        finished = nullptr;
        received = nullptr;
    }

    void disconnect() {
        if (!wire) return;
        error_code ignored;
        wire->plain.close(ignored);  // NOLINT(bugprone-unused-return-value)
        wire = nullptr;
    }

    asio::io_context& io;
    tcp::resolver resolver;
    asio::steady_timer deadline;
    HttpUrl url;
    TlsFiles files;
    std::array<Stamp, 3> stamps{};  ///< of the files that the connection was made with
    std::size_t attempt = 0;
    std::chrono::milliseconds patience{};
    const char* doing = "";
    std::size_t largest = 0;
    std::shared_ptr<Wire> wire;  ///< null: not connected
    HttpOutcome outcome;
    Finished finished;  ///< null: nothing is under way
    std::function<void(std::string_view)> received;
    unsigned age = 0;  ///< of the exchange: steps of an earlier one are dropped
};

HttpConnection::HttpConnection(asio::io_context& io, HttpUrl url, TlsFiles files)
    : implementation_(std::make_shared<Implementation>(io, std::move(url), std::move(files))) {}

HttpConnection::~HttpConnection() {
    close();
}

void HttpConnection::exchange(const HttpRequest& request, std::chrono::milliseconds patience, std::size_t largest,
                              Finished finished) {
    implementation_->largest = largest;
    implementation_->received = nullptr;
    implementation_->start(request, patience, std::move(finished));
}

void HttpConnection::stream(const HttpRequest& request, std::chrono::milliseconds patience,
                            std::function<void(std::string_view)> received, Finished finished) {
    constexpr std::size_t kLargestRefusal = 64UL * 1024;
    implementation_->largest = kLargestRefusal;
    implementation_->received = std::move(received);
    implementation_->start(request, patience, std::move(finished));
}

void HttpConnection::close() {
    implementation_->finish();
    implementation_->disconnect();
}

bool HttpConnection::busy() const {
    return implementation_->finished != nullptr;
}

const HttpUrl& HttpConnection::url() const {
    return implementation_->url;
}

}  // namespace weft
