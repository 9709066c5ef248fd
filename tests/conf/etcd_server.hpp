// What the etcd tests talk to: the real etcd, a proxy that misbehaves in front of it, and a server that says what a
// test wants; all on loopback, all gone with the test.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/etcd_client.hpp"
#include "tests/run_until.hpp"
#include "tests/temporary_directory.hpp"

namespace weft::test {

/// A client with little patience, so that tests are quick.
EtcdOptions impatient(std::vector<std::string> endpoints);

/// Begins something that answers later, and waits for the answer.
template <class T>
Result<T> await(boost::asio::io_context& io, const std::function<void(EtcdClient::Answer<T>)>& begin) {
    const auto answer = std::make_shared<std::optional<Result<T>>>();
    begin([answer](Result<T> got) { *answer = std::move(got); });
    if (!run_until(io, [&] { return answer->has_value(); })) return Error{"no answer at all"};
    return **answer;
}
Result<EtcdSnapshot> read_all(boost::asio::io_context& io, EtcdClient& client, const std::string& prefix);
Result<EtcdTransacted> transact(boost::asio::io_context& io, EtcdClient& client, const EtcdTransaction& transaction);

/// Runs a program with a shell and answers its output; throws when it fails.
std::string shell(const std::string& command);

/// Debian's etcd, one member, in a directory of its own.
class EtcdServer {
  public:
    struct Options {
        std::string certificate, key;  ///< set: it speaks https
        std::string client_ca;         ///< set: it asks clients for a certificate of this CA
        std::vector<std::string> arguments;
    };
    explicit EtcdServer(Options options);
    EtcdServer() : EtcdServer(Options{}) {}
    ~EtcdServer();
    EtcdServer(const EtcdServer&) = delete;
    EtcdServer& operator=(const EtcdServer&) = delete;

    std::uint16_t port() const { return port_; }
    std::string url() const;
    /// Runs etcdctl with these arguments; throws when it fails.
    std::string etcdctl(const std::string& arguments) const;

    void stop();
    /// With the data it had, or with none.
    void start();
    void forget();
    /// While stopped: keeps a copy of the data, and goes back to it.
    void back_up() const;
    void go_back() const;
    /// It stays there and says nothing, until it thaws.
    void freeze() const;
    void thaw() const;

  private:
    TemporaryDirectory directory_;
    Options options_;
    std::uint16_t port_ = 0;
    std::uint16_t peer_port_ = 0;
    pid_t process_ = 0;
};

/// Passes bytes on to a port of this machine, or not.
class Proxy {
  public:
    enum class Mode : std::uint8_t {
        pass,
        swallow,   ///< takes connections and bytes and passes nothing on
        truncate,  ///< passes some of the server's bytes, then closes
        reset,     ///< as truncate, with a reset
        garble,    ///< the server's bytes arrive changed
    };
    Proxy(boost::asio::io_context& io, std::uint16_t target);
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    std::string url() const;
    /// For connections that there are, too.
    void set(Mode mode, std::size_t after = 200);
    std::size_t connections() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

/// A server whose answers a test writes itself.
class FakeServer {
  public:
    struct Peer {
        std::function<void(const std::string& bytes)> say;
        std::function<void()> hang_up;
        std::function<void()> reset;
    };
    struct Request {
        std::string path;
        std::string head;  ///< request line and header lines
        std::string body;
    };
    using Handler = std::function<void(const Request&, Peer)>;

    FakeServer(boost::asio::io_context& io, Handler handler);
    ~FakeServer();
    FakeServer(const FakeServer&) = delete;
    FakeServer& operator=(const FakeServer&) = delete;

    std::string url() const;
    const std::vector<Request>& requests() const;
    std::size_t connections() const;

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

/// A whole reply.
std::string reply(unsigned status, const std::string& body);
/// The head of a reply in chunks, and one chunk.
std::string chunked_head();
std::string chunk(const std::string& bytes);

}  // namespace weft::test
