// The HTTP endpoint: GET /readiness, /liveness and /metrics for probes and Prometheus, 404 for anything else.
//
// It must never disturb routing. So: few connections (when all are taken, the one that has been idle longest makes
// room, so that 200 idle clients cannot lock a probe out), small requests (headers of at most 8 KiB, no bodies),
// and a deadline on each step (a client that sends a byte a second is gone after ten).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "conf/config.hpp"
#include "conf/result.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

struct HttpResponse {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
};

class HttpServer {
  public:
    /// Answers a GET for this path, query removed.
    using Handler = std::function<HttpResponse(const std::string& path)>;

    HttpServer(boost::asio::io_context& io, Handler handler);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Listens here, and no longer where it listened before; unchanged, it goes on. An error names the address and what
    /// to do, and leaves it listening nowhere.
    Result<Done> listen(const Endpoint& endpoint);
    /// The port it listens on (of use when port 0 was asked for), 0: none.
    std::uint16_t port() const;
    std::size_t connections() const;

    static constexpr std::size_t kMostConnections = 32;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
