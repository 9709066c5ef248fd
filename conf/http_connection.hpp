// A client's HTTP/1.1 connection to one server, plain or TLS: one exchange at a time, kept alive between exchanges,
// every step under a deadline, every body bounded.
//
// The connection is made when it is needed, and made anew when the server has closed it or the TLS files have changed.
// A failure closes it. Trying again, and elsewhere, is the owner's business.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "conf/result.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

/// http://HOST:PORT or https://HOST:PORT; the port may be left out (`port_if_none` then), a path may not be given.
struct HttpUrl {
    bool tls = false;
    std::string host;  ///< a name or an address, without brackets
    std::uint16_t port = 0;
    std::string text;  ///< as it was written
    bool operator==(const HttpUrl&) const = default;
};
Result<HttpUrl> parse_url(const std::string& text, std::uint16_t port_if_none);

/// PEM files, read for every new connection. Empty ca: the system's certificates; empty certificate: none is shown.
struct TlsFiles {
    std::string ca, certificate, key;
    bool operator==(const TlsFiles&) const = default;
};

struct HttpRequest {
    std::string path;
    std::string body;           ///< JSON; it is a POST
    std::string authorization;  ///< empty: none
    bool require_leader = false;
};

/// What came of an exchange.
struct HttpOutcome {
    unsigned status = 0;       ///< 0: there was no reply
    std::string body;          ///< of a stream: only when the status was not 200
    std::string failure;       ///< why there was none, or why it ended early; empty: all well
    bool sent = false;         ///< the server may have got the request
    bool unreachable = false;  ///< there is not even a connection
    bool too_large = false;    ///< the reply was larger than allowed
};

class HttpConnection {
  public:
    using Finished = std::function<void(HttpOutcome)>;

    HttpConnection(boost::asio::io_context& io, HttpUrl url, TlsFiles files);
    ~HttpConnection();
    HttpConnection(const HttpConnection&) = delete;
    HttpConnection& operator=(const HttpConnection&) = delete;

    /// Sends a request and reads the reply, all within `patience`; `finished` is called once, never from here, and not
    /// at all after close(). No other exchange may be under way.
    void exchange(const HttpRequest& request, std::chrono::milliseconds patience, std::size_t largest,
                  Finished finished);
    /// The same for a reply without end: once its header is there (within `patience`), `received` is called with every
    /// portion of the body, and `finished` when it ends, which it does only by failure or by the server's will.
    void stream(const HttpRequest& request, std::chrono::milliseconds patience,
                std::function<void(std::string_view)> received, Finished finished);
    /// Ends what is under way without a word, and closes.
    void close();
    bool busy() const;
    const HttpUrl& url() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
