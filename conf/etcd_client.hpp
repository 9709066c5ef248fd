// A client of etcd (3.4 and later) over its JSON gateway, asynchronous, on the shared io_context.
//
//     EtcdClient etcd(io, {.endpoints = {"https://192.0.2.1:2379", "https://192.0.2.2:2379"}, .tls = {.ca = "..."}});
//     EtcdFollower nodes(etcd, {"/calico/ipam/v2/", "/calico/resources/v3/projectcalico.org/nodes/"}, {
//         .snapshot = [&](const EtcdSnapshot& all) { ... },          // everything, at all.header.revision; may come
//         again .events = [&](const std::vector<EtcdEvent>& some) { ... }, // what changed since, in order, again and
//         again .trouble = [&](const std::string& why) { ... },            // "": all is well again
//     });                                                            // (conf/etcd_watch.hpp)
//     etcd.transact({.compares = {unchanged(key, kv.mod_revision)}, .then = {put(key, value)}, .otherwise =
//     {read(key)}},
//                   [](const Result<EtcdTransacted>& done) { ... });
//
// One request is in flight, the others are queued. A request is tried at each endpoint in turn until one answers; what
// may have been done and cannot be told (a write whose reply was lost) is not tried again but an Error that says so.
// When all have failed, the requests behind it wait for a pause that doubles each time, with jitter: whatever the owner
// does, a store that is down is asked at most a few times a second. Every Error names the endpoint and what to do.
//
// The owner's callbacks are never called from the call that takes them, and not at all once the client is gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "conf/etcd_message.hpp"
#include "conf/http_connection.hpp"
#include "conf/result.hpp"

namespace weft {

struct EtcdOptions {
    std::vector<std::string> endpoints;  ///< http(s)://HOST[:2379]
    TlsFiles tls;
    std::string user, password;                  ///< empty: no login
    std::chrono::milliseconds patience{5'000};   ///< for one request at one endpoint
    std::chrono::milliseconds first_pause{200};  ///< after all endpoints have failed once; doubles
    std::chrono::milliseconds longest_pause{10'000};
    std::chrono::milliseconds silence{30'000};       ///< a watch that says nothing for so long is replaced
    std::int64_t page = 500;                         ///< keys read at a time
    std::size_t largest_reply = 64UL * 1024 * 1024;  ///< bytes
};
EtcdOptions etcd_options(const EtcdSource& source);

/// What is under some prefixes, all of it at one revision.
struct EtcdSnapshot {
    EtcdHeader header;
    std::vector<EtcdKeyValue> kvs;  ///< prefix by prefix, each in the order of its keys
};

struct EtcdStatus {
    std::string endpoint;  ///< the one in use, or that is tried next
    std::string trouble;   ///< of the last request; empty: it was answered
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;  ///< requests that one endpoint did not answer
    std::uint64_t logins = 0;
};

class EtcdClient {
  public:
    template <class T>
    using Answer = std::function<void(Result<T>)>;

    EtcdClient(boost::asio::io_context& io, EtcdOptions options);
    ~EtcdClient();
    EtcdClient(const EtcdClient&) = delete;
    EtcdClient& operator=(const EtcdClient&) = delete;

    /// Everything under these prefixes at one revision, page by page.
    void read(std::vector<std::string> prefixes, Answer<EtcdSnapshot> done);
    /// The same, handed over page by page, so that never all of it is in memory; what is answered has no kvs.
    /// `first`: a reading begins; what was handed over of an earlier one, which did not come to its end, is void.
    using Page = std::function<void(const std::vector<EtcdKeyValue>& kvs, bool first)>;
    void read(std::vector<std::string> prefixes, Page page, Answer<EtcdSnapshot> done);
    /// The same without the values.
    void read_keys(std::vector<std::string> prefixes, Answer<EtcdSnapshot> done);
    /// One key; no kvs: there is none.
    void get(std::string key, Answer<EtcdSnapshot> done);
    void transact(const EtcdTransaction& transaction, Answer<EtcdTransacted> done);
    /// A lease of so many seconds; answers its id. Keys put with it go when it ends.
    void grant_lease(std::chrono::seconds life, Answer<std::int64_t> done);
    /// Answers how many seconds it has from now on, 0: it has ended.
    void keep_lease(std::int64_t lease, Answer<std::int64_t> done);
    void revoke_lease(std::int64_t lease, Answer<Done> done);

    EtcdStatus status() const;
    const EtcdOptions& options() const;
    boost::asio::io_context& io() const;

    // For conf/etcd_watch.cpp, which has connections of its own.
    /// The parsed endpoints, and which of them answers at present.
    const std::vector<HttpUrl>& urls() const;
    std::size_t current_url() const;
    /// The token to send along, empty where no user is set; logs in when there is none.
    void token(Answer<std::string> done);
    /// Tells that this token was refused.
    void token_refused(const std::string& token);

  private:
    struct Implementation;
    void read(std::vector<std::string> prefixes, bool keys_only, Page page, Answer<EtcdSnapshot> done);

    std::shared_ptr<Implementation> implementation_;
};

/// A pause before trying again: doubles from `first` to `longest`, less up to a half by chance, so that many clients do
/// not come back at once.
std::chrono::milliseconds pause_after(unsigned failures, std::chrono::milliseconds first,
                                      std::chrono::milliseconds longest);
/// "etcd URL: what", with what to do when nothing answered there.
std::string etcd_trouble(const HttpUrl& url, const HttpOutcome& outcome);

}  // namespace weft
