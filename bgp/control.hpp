// A client of BIRD's control socket: asynchronous, one command in flight, the others queued.
//
// Every failure (nobody there, no answer in time, bytes that are no reply, more than was asked for, the other end gone)
// closes the connection, fails what is queued, and is told once; connecting again is the owner's business. A reply can
// thus never be taken for the answer to another command.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "bgp/reply.hpp"
#include "conf/result.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

/// What came of an attempt to connect.
struct Greeting {
    std::string version;  ///< of the BIRD that answers; empty: none does
    std::string why;      ///< ... and why
    bool nobody = false;  ///< ... because nobody listens there: not even one that is stuck
};

class BirdControl {
  public:
    using Answer = std::function<void(Result<BirdReply>)>;

    explicit BirdControl(boost::asio::io_context& io);
    ~BirdControl();
    BirdControl(const BirdControl&) = delete;
    BirdControl& operator=(const BirdControl&) = delete;

    /// Connects and reads the greeting, both within `patience`. An earlier connection is closed.
    void connect(const std::string& path, std::chrono::milliseconds patience, std::function<void(Greeting)> done);
    bool connected() const;
    /// Queues a command (one line, at most 1000 bytes, or BIRD hangs up); `patience` begins when it is sent, and is for
    /// the whole reply. `answer` is called once, never from here; not at all when the owner closes or connects anew.
    void command(std::string text, std::chrono::milliseconds patience, Answer answer);
    /// Told when an established connection ends other than by close(): why.
    void on_lost(std::function<void(std::string)> lost);
    void close();

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft
