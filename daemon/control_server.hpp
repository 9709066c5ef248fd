// The control socket: a local stream socket, mode 0660, that speaks BIRD's reply-code protocol.
//
// No client can disturb routing or another client. An answer is pulled from its Reply a few kilobytes at a time, as
// fast as the client reads and with other events in between, so a table of 20,000 routes neither stalls the daemon nor
// is held in memory; a client that does not read only stops its own. Commands are at most kLongestCommand bytes. When
// kMostClients are connected, the next one takes the place of the one that has been idle longest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "conf/result.hpp"
#include "daemon/control_protocol.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

class ControlServer {
  public:
    /// Answers a command line (without its newline). Called on the io_context's thread.
    using Handler = std::function<Reply(std::string_view command)>;

    ControlServer(boost::asio::io_context& io, Handler handler);
    /// Closes all connections and removes the socket.
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    /// Listens on `path`, and no longer where it listened before; connections stay. A socket that nothing answers on is
    /// replaced. An error (somebody answers there, no permission, not a socket) leaves it listening where it was.
    Result<Done> listen(const std::string& path);
    std::size_t clients() const;

    static constexpr std::size_t kMostClients = 32;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
