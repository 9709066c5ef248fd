#include <utility>

#include "bgp/control.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>

namespace weft {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// A connected socket, or -1 and errno. Not Asio's own connect: that waits when the queue of a BIRD that is stuck is
/// full, and weftd with it.
int connect_without_waiting(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
    const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {  // NOLINT: POSIX's way
        return descriptor;
    }
    const int failure = errno;
    close(descriptor);
    errno = failure;
    return -1;
}

Greeting not_connected(const std::string& path, int failure) {
    const std::string why = failure == EAGAIN ? "BIRD takes no connections; it is stuck" : std::strerror(failure);
    return {.version = {},
            .why = fmt::format("control socket {}: {}", path, why),
            .nobody = failure == ENOENT || failure == ECONNREFUSED};
}

}  // namespace

struct BirdControl::Implementation : std::enable_shared_from_this<BirdControl::Implementation> {
    explicit Implementation(asio::io_context& context) : io(context), socket(context), deadline(context) {}

    struct Pending {
        std::string text;  ///< empty: the greeting, which nobody asks for
        std::chrono::milliseconds patience;
        Answer answer;
    };

    void start(std::chrono::milliseconds patience) {
        deadline.expires_after(patience);
        deadline.async_wait([weak = weak_from_this(), epoch = age](const error_code& stopped) {
            const auto self = weak.lock();
            if (!stopped && self && self->age == epoch) self->fail("BIRD does not answer");
        });
    }

    void read() {
        socket.async_read_some(asio::buffer(chunk),
                               [weak = weak_from_this(), epoch = age](const error_code& failure, std::size_t size) {
                                   const auto self = weak.lock();
                                   if (!self || self->age != epoch) return;
                                   if (failure == asio::error::eof) return self->fail("BIRD closed the connection");
                                   if (failure) return self->fail(failure.message());
                                   self->take({self->chunk.data(), size});
                               });
    }

    void take(std::string_view bytes) {
        parser.feed(bytes);
        if (!parser.error().empty()) return fail(parser.error());
        if (in_flight) {
            if (auto reply = parser.next()) {
                const unsigned epoch = age;
                finish(*std::move(reply));
                if (age != epoch) return;
            }
        }
        if (!in_flight) {
            // It would be taken for the answer to the next command.
            if (!parser.quiet()) return fail("BIRD says more than it was asked for");
            send();
        }
        read();
    }

    void finish(BirdReply reply) {
        deadline.cancel();
        const Pending done = std::move(queue.front());
        queue.pop_front();
        in_flight = false;
        done.answer(std::move(reply));
    }

    void send() {
        if (in_flight || queue.empty() || !open) return;
        in_flight = true;
        start(queue.front().patience);
        const auto text = std::make_shared<const std::string>(queue.front().text);
        asio::async_write(socket, asio::buffer(*text),
                          [weak = weak_from_this(), epoch = age, text](const error_code& failure, std::size_t) {
                              const auto self = weak.lock();
                              // EOF and the last words before it are the reader's to find.
                              if (!failure || failure == asio::error::broken_pipe || !self) return;
                              if (self->age == epoch) self->fail(failure.message());
                          });
    }

    void fail(const std::string& what) {
        const std::string why = fmt::format("control socket {}: {}", path, what);
        const bool was_open = open;
        const auto told = lost;
        for (const Pending& pending : shut()) pending.answer(Error{why});
        if (was_open && told) told(why);
    }

    std::deque<Pending> shut() {
        ++age;  // whatever is still under way belongs to the past
        error_code ignored;
        socket.close(ignored);  // NOLINT(bugprone-unused-return-value)
        deadline.cancel();
        parser = {};
        open = in_flight = false;
        return std::exchange(queue, {});
    }

    /// `done` is called with the first reply, which must be a greeting.
    void greet(std::chrono::milliseconds patience, std::function<void(Greeting)> done) {
        in_flight = true;
        queue.push_back(
            {.text = {}, .patience = patience, .answer = [this, done = std::move(done)](Result<BirdReply> reply) {
                 if (!reply) return done({.version = {}, .why = reply.error().message});
                 const std::string version = version_of(*reply);
                 if (version.empty()) {
                     shut();
                     return done(
                         {.version = {}, .why = fmt::format("control socket {}: what answers is not BIRD", path)});
                 }
                 open = true;
                 done({.version = version, .why = {}});
             }});
        start(patience);
        read();
    }

    asio::io_context& io;
    asio::local::stream_protocol::socket socket;
    asio::steady_timer deadline;
    std::array<char, 16384> chunk{};
    BirdReplyParser parser;
    std::deque<Pending> queue;
    std::string path;
    bool open = false;
    bool in_flight = false;
    unsigned age = 0;  ///< of the connection: callbacks of an earlier one are dropped
    std::function<void(std::string)> lost;
};

BirdControl::BirdControl(asio::io_context& io) : implementation_(std::make_shared<Implementation>(io)) {}

BirdControl::~BirdControl() {
    implementation_->lost = nullptr;
    implementation_->shut();
}

void BirdControl::connect(const std::string& path, std::chrono::milliseconds patience,
                          std::function<void(Greeting)> done) {
    auto& self = *implementation_;
    self.shut();
    self.path = path;
    const int descriptor = connect_without_waiting(path);
    if (descriptor < 0) {
        asio::post(self.io, [weak = implementation_->weak_from_this(), epoch = self.age, done = std::move(done),
                             greeting = not_connected(path, errno)] {
            const auto still = weak.lock();
            if (still && still->age == epoch) done(greeting);
        });
        return;
    }
    self.socket.assign(asio::local::stream_protocol(), descriptor);
    self.greet(patience, std::move(done));
}

bool BirdControl::connected() const {
    return implementation_->open;
}

void BirdControl::command(std::string text, std::chrono::milliseconds patience, Answer answer) {
    auto& self = *implementation_;
    if (!self.open) {
        asio::post(self.io, [answer = std::move(answer)] { answer(Error{"not connected to BIRD"}); });
        return;
    }
    self.queue.push_back({.text = std::move(text) + "\n", .patience = patience, .answer = std::move(answer)});
    self.send();
}

void BirdControl::on_lost(std::function<void(std::string)> lost) {
    implementation_->lost = std::move(lost);
}

void BirdControl::close() {
    implementation_->shut();
}

}  // namespace weft
