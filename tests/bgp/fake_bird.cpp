#include <utility>

#include "fake_bird.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>
#include <stdexcept>

namespace weft::test {

namespace asio = boost::asio;
using boost::system::error_code;
using Stream = asio::local::stream_protocol;

struct FakeBird::Implementation : std::enable_shared_from_this<FakeBird::Implementation> {
    Implementation(asio::io_context& io, const std::string& path, Script said)
        : acceptor(io, Stream::endpoint(path)), socket(io), script(std::move(said)) {}

    void accept() {
        acceptor.async_accept([self = shared_from_this()](const error_code& failure, Stream::socket taken) {
            if (failure) return;
            self->socket = std::move(taken);
            self->input.clear();
            self->output.clear();
            ++self->connection;
            self->write(self->script.greeting);
            self->read();
            self->accept();
        });
    }

    void read() {
        asio::async_read_until(socket, asio::dynamic_buffer(input), '\n',
                               [self = shared_from_this()](const error_code& failure, std::size_t size) {
                                   if (failure) return;
                                   const std::string line = self->input.substr(0, size - 1);
                                   self->input.erase(0, size);
                                   self->commands.push_back(line);
                                   if (self->script.answer) self->reply(self->script.answer(line));
                                   self->read();
                               });
    }

    void reply(const std::string& text) {
        if (!script.delay) return write(text);
        const auto timer = std::make_shared<asio::steady_timer>(socket.get_executor(), script.delay());
        timer->async_wait([self = shared_from_this(), timer, text, asked = connection](const error_code&) {
            if (asked == self->connection && self->socket.is_open()) self->write(text);
        });
    }

    void write(const std::string& text) {
        output += text;
        if (!writing) flush();
    }

    void flush() {
        if (output.empty()) return;
        writing = true;
        const auto part = std::make_shared<std::string>(output.substr(0, script.portion));
        const bool repeat = script.endless && !commands.empty();
        if (!repeat) output.erase(0, part->size());
        asio::async_write(socket, asio::buffer(*part),
                          [self = shared_from_this(), part](const error_code& failure, std::size_t) {
                              self->writing = false;
                              if (failure) return self->output.clear();
                              if (self->output.empty() && self->script.hang_up && !self->commands.empty()) {
                                  self->socket.close();
                              }
                              self->flush();
                          });
    }

    Stream::acceptor acceptor;
    Stream::socket socket;
    Script script;
    std::string input;
    std::string output;
    std::vector<std::string> commands;
    bool writing = false;
    unsigned connection = 0;
};

FakeBird::FakeBird(asio::io_context& io, const std::string& path, Script script)
    : implementation_(std::make_shared<Implementation>(io, path, std::move(script))) {
    implementation_->accept();
}

FakeBird::~FakeBird() {
    error_code ignored;
    implementation_->acceptor.close(ignored);
    implementation_->socket.close(ignored);
}

const std::vector<std::string>& FakeBird::commands() const {
    return implementation_->commands;
}

void FakeBird::say(const std::string& text) {
    implementation_->write(text);
}

void FakeBird::hang_up() {
    implementation_->socket.close();
}

}  // namespace weft::test
