// weftctl's side of the control socket: blocking, one command at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "conf/result.hpp"
#include "daemon/control_protocol.hpp"

namespace weft {

class Connection {
  public:
    /// The error names the socket and says what to do.
    static Result<Connection> open(const std::string& path);
    ~Connection();
    Connection(Connection&& other) noexcept;
    Connection& operator=(Connection&&) = delete;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// "weft 0.1.0 ready."
    const std::string& greeting() const { return greeting_; }
    /// Sends a command and hands each line of the answer over; the last one is returned instead.
    Result<Line> ask(std::string_view command, const std::function<void(const Line&)>& each);

  private:
    Connection(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
    Result<Line> answer(const std::function<void(const Line&)>& each);
    Result<std::string> line();

    int descriptor_;
    std::string path_;
    std::string greeting_;
    std::string received_;
    std::size_t consumed_ = 0;  ///< of received_
};

}  // namespace weft
