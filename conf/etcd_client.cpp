#include <utility>

#include "conf/etcd_client.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <stdexcept>

namespace weft {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::uint16_t kPort = 2379;

std::minstd_rand& chance() {
    static std::minstd_rand generator{std::random_device{}()};
    return generator;
}

/// Why a request failed.
struct Failure {
    std::string message;
    bool compacted = false;  ///< the revision asked for is gone
    bool too_large = false;  ///< the reply was
};

/// A request on its way through the endpoints.
struct Call {
    HttpRequest request;
    bool repeatable = true;                                  ///< doing it twice is no harm
    std::function<std::string(std::string_view body)> take;  ///< answers what is wrong with the reply
    std::function<void(const Failure*)> done;                ///< null: all well
    std::size_t tried = 0;                                   ///< endpoints
    bool logged_in_anew = false;
    std::string failures;  ///< of the endpoints tried so far
};

}  // namespace

std::chrono::milliseconds pause_after(unsigned failures, std::chrono::milliseconds first,
                                      std::chrono::milliseconds longest) {
    const auto doubled = first * (1U << std::min(failures == 0 ? 0U : failures - 1, 12U));
    const auto most = std::min<std::chrono::milliseconds>(doubled, longest).count();
    return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(most / 2, most)(chance()));
}

std::string etcd_trouble(const HttpUrl& url, const HttpOutcome& outcome) {
    if (!outcome.unreachable) return fmt::format("etcd {}: {}", url.text, outcome.failure);
    return fmt::format(
        "etcd {}: {}: check that etcd listens there and that this node reaches it ('etcdctl --endpoints={} "
        "endpoint health')",
        url.text, outcome.failure, url.text);
}

EtcdOptions etcd_options(const EtcdSource& source) {
    return {.endpoints = source.endpoints,
            .tls = {.ca = source.ca, .certificate = source.certificate, .key = source.key},
            .user = source.user,
            .password = source.password};
}

struct EtcdClient::Implementation : std::enable_shared_from_this<EtcdClient::Implementation> {
    Implementation(asio::io_context& context, EtcdOptions wanted)
        : io(context), options(std::move(wanted)), pause(context) {
        for (const std::string& endpoint : options.endpoints) {
            auto url = parse_url(endpoint, kPort);
            if (!url) throw std::invalid_argument(url.error().message);  // the reader has checked it
            urls.push_back(*std::move(url));
        }
        if (urls.empty()) throw std::invalid_argument("etcd without endpoints");
        // Many nodes have the same list: they must not all sit on its first.
        at = std::uniform_int_distribution<std::size_t>(0, urls.size() - 1)(chance());
    }

    template <class Decode, class Value>
    void call(const char* path, const std::string& body, bool repeatable, Decode decode,
              std::function<void(const Failure*, Value)> done) {
        const auto value = std::make_shared<Value>();
        queue.push_back(
            {.request = {.path = path, .body = body, .authorization = {}},
             .repeatable = repeatable,
             .take =
                 [value, decode](std::string_view reply) {
                     Result<Value> read = decode(reply);
                     if (!read) return read.error().message;
                     *value = *std::move(read);
                     return std::string{};
                 },
             .done = [value, done = std::move(done)](const Failure* failure) { done(failure, std::move(*value)); },
             .failures = {}});
        run_soon();
    }
    /// The same for owners that need no more than the words.
    template <class Decode, class Value>
    void ask(const char* path, const std::string& body, bool repeatable, Decode decode, Answer<Value> done) {
        call<Decode, Value>(path, body, repeatable, decode,
                            [done = std::move(done)](const Failure* failure, Value value) {
                                if (failure != nullptr) return done(Error{failure->message});
                                done(std::move(value));
                            });
    }

    void run_soon() {
        asio::post(io, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->run();
        });
    }

    void run() {
        if (busy || pausing || queue.empty()) return;
        busy = true;
        if (!connection || connection->url() != urls[at]) {
            connection = std::make_unique<HttpConnection>(io, urls[at], options.tls);
        }
        if (!options.user.empty() && known_token.empty()) return log_in();
        Call& call = queue.front();
        if (call.request.path.empty()) return finish(nullptr);  // it wanted the token only
        call.request.authorization = known_token;
        ++status.requests;
        connection->exchange(call.request, options.patience, options.largest_reply,
                             [this](const HttpOutcome& outcome) { answered(outcome); });
    }

    void log_in() {
        ++status.logins;
        ++status.requests;
        connection->exchange({.path = "/v3/auth/authenticate",
                              .body = encode_authenticate(options.user, options.password),
                              .authorization = {}},
                             options.patience, options.largest_reply, [this](const HttpOutcome& outcome) {
                                 if (outcome.status != 200 || !outcome.failure.empty()) {
                                     // Each login costs the server a bcrypt, and the owner may ask at once again.
                                     failed_in_a_row += static_cast<unsigned>(urls.size());
                                     wait();
                                     return unwell(outcome, true);
                                 }
                                 auto token = decode_token(outcome.body);
                                 if (!token) return elsewhere(named(token.error().message), true);
                                 known_token = *std::move(token);
                                 busy = false;
                                 run();
                             });
    }

    void answered(const HttpOutcome& outcome) {
        if (outcome.status != 200 || !outcome.failure.empty()) return unwell(outcome, queue.front().repeatable);
        if (const std::string wrong = queue.front().take(outcome.body); !wrong.empty()) {
            return elsewhere(named(wrong), queue.front().repeatable);
        }
        failed_in_a_row = 0;
        finish(nullptr);
    }

    std::string named(std::string_view what) const { return fmt::format("etcd {}: {}", urls[at].text, what); }

    void unwell(const HttpOutcome& outcome, bool repeatable) {
        if (outcome.too_large) {
            const Failure failure{.message = etcd_trouble(urls[at], outcome), .too_large = true};
            return finish(&failure);
        }
        if (!outcome.failure.empty()) return elsewhere(etcd_trouble(urls[at], outcome), repeatable || !outcome.sent);
        const EtcdRefusal refusal = refusal_of(outcome.status, outcome.body);
        using Kind = EtcdRefusal::Kind;
        Call& call = queue.front();
        if (refusal.kind == Kind::token && !options.user.empty() && !call.logged_in_anew) {
            known_token.clear();
            call.logged_in_anew = true;
            busy = false;
            return run();
        }
        if (refusal.kind == Kind::elsewhere || refusal.kind == Kind::not_a_gateway) {
            return elsewhere(named(refusal.message), repeatable);
        }
        const Failure failure{.message = named(refusal.message), .compacted = refusal.kind == Kind::compacted};
        finish(&failure);
    }

    /// This endpoint did not answer: the next one, unless all have been tried or a second time might do harm.
    void elsewhere(const std::string& why, bool repeatable) {
        ++status.failures;
        ++failed_in_a_row;
        at = (at + 1) % urls.size();
        Call& call = queue.front();
        call.failures += (call.failures.empty() ? "" : "; ") + why;
        if (++call.tried < urls.size() && repeatable) {
            busy = false;
            return run();
        }
        const Failure failure{
            .message = repeatable ? call.failures
                                  : fmt::format("{}; whether it was done is unknown: read it again", call.failures)};
        if (failed_in_a_row >= urls.size()) wait();
        finish(&failure);
    }

    /// Nothing is sent for a while.
    void wait() {
        pausing = true;
        pause.expires_after(pause_after(failed_in_a_row / static_cast<unsigned>(urls.size()), options.first_pause,
                                        options.longest_pause));
        pause.async_wait([weak = weak_from_this()](const error_code& stopped) {
            const auto self = weak.lock();
            if (stopped || !self) return;
            self->pausing = false;
            self->run();
        });
    }

    void finish(const Failure* failure) {
        const auto kept = shared_from_this();  // the owner may end the client from its callback
        const Call over = std::move(queue.front());
        queue.pop_front();
        busy = false;
        if (!over.request.path.empty() || failure != nullptr)
            status.trouble = failure == nullptr ? std::string{} : failure->message;
        over.done(failure);
        run_soon();
    }

    asio::io_context& io;
    EtcdOptions options;
    std::vector<HttpUrl> urls;
    std::size_t at = 0;  ///< the endpoint in use
    std::unique_ptr<HttpConnection> connection;
    std::deque<Call> queue;
    bool busy = false;
    bool pausing = false;
    unsigned failed_in_a_row = 0;  ///< attempts
    asio::steady_timer pause;
    std::string known_token;
    EtcdStatus status;
};

namespace {

/// A read of several prefixes, page by page, at the revision of its first page.
struct PagedRead {
    std::vector<EtcdRangeRequest> left;  ///< the last one is next
    EtcdSnapshot snapshot;
    std::int64_t limit = 0;
    bool keys_only = false;
    EtcdClient::Page page;  ///< null: everything goes into the snapshot
    unsigned restarts = 0;
};

constexpr unsigned kMostRestarts = 5;

std::vector<EtcdRangeRequest> ranges_of(const std::vector<std::string>& prefixes) {
    std::vector<EtcdRangeRequest> made;
    for (auto prefix = prefixes.rbegin(); prefix != prefixes.rend(); ++prefix) {
        made.push_back({.key = *prefix, .end = prefix_end(*prefix)});
    }
    return made;
}

}  // namespace

EtcdClient::EtcdClient(asio::io_context& io, EtcdOptions options)
    : implementation_(std::make_shared<Implementation>(io, std::move(options))) {}

EtcdClient::~EtcdClient() {
    implementation_->connection.reset();
    implementation_->queue.clear();
}

void EtcdClient::read(std::vector<std::string> prefixes, Answer<EtcdSnapshot> done) {
    read(std::move(prefixes), false, nullptr, std::move(done));
}

void EtcdClient::read(std::vector<std::string> prefixes, Page page, Answer<EtcdSnapshot> done) {
    read(std::move(prefixes), false, std::move(page), std::move(done));
}

void EtcdClient::read_keys(std::vector<std::string> prefixes, Answer<EtcdSnapshot> done) {
    read(std::move(prefixes), true, nullptr, std::move(done));
}

void EtcdClient::read(std::vector<std::string> prefixes, bool keys_only, Page page, Answer<EtcdSnapshot> done) {
    const auto progress = std::make_shared<PagedRead>();
    progress->keys_only = keys_only;
    progress->page = std::move(page);
    progress->left = ranges_of(prefixes);
    progress->limit = implementation_->options.page;
    if (progress->left.empty()) {
        asio::post(implementation_->io, [done = std::move(done)] { done(EtcdSnapshot{}); });
        return;
    }
    // Calls itself for the next page; what it is called with keeps it.
    const auto next = std::make_shared<std::function<void()>>();
    *next = [weak = implementation_->weak_from_this(), progress, prefixes = std::move(prefixes), done = std::move(done),
             again = std::weak_ptr(next)] {
        const auto self = weak.lock();
        if (!self) return;
        EtcdRangeRequest request = progress->left.back();
        request.limit = progress->limit;
        request.keys_only = progress->keys_only;
        request.revision = progress->snapshot.header.revision;
        self->call<decltype(&decode_page), EtcdPage>(
            "/v3/kv/range", encode_range(request), true, &decode_page,
            [progress, prefixes, done, next = again.lock()](const Failure* failure, EtcdPage page) {
                if (failure != nullptr && failure->too_large && progress->limit > 1) {
                    progress->limit = std::max<std::int64_t>(1, progress->limit / 8);
                    return (*next)();
                }
                if (failure != nullptr && failure->compacted && progress->restarts++ < kMostRestarts) {
                    progress->snapshot = {};
                    progress->left = ranges_of(prefixes);
                    return (*next)();
                }
                if (failure != nullptr) return done(Error{failure->message});
                auto& snapshot = progress->snapshot;
                const bool first = snapshot.header.revision == 0;
                if (first) snapshot.header = page.header;
                if (page.more && !page.kvs.empty()) {
                    progress->left.back().key = page.kvs.back().key + '\0';
                } else {
                    progress->left.pop_back();
                }
                if (progress->page) {
                    progress->page(page.kvs, first);
                } else {
                    std::move(page.kvs.begin(), page.kvs.end(), std::back_inserter(snapshot.kvs));
                }
                if (!progress->left.empty()) return (*next)();
                done(std::move(snapshot));
            });
    };
    (*next)();
}

void EtcdClient::get(std::string key, Answer<EtcdSnapshot> done) {
    implementation_->call<decltype(&decode_page), EtcdPage>(
        "/v3/kv/range", encode_range({.key = std::move(key), .end = {}}), true, &decode_page,
        [done = std::move(done)](const Failure* failure, EtcdPage page) {
            if (failure != nullptr) return done(Error{failure->message});
            done(EtcdSnapshot{.header = page.header, .kvs = std::move(page.kvs)});
        });
}

void EtcdClient::transact(const EtcdTransaction& transaction, Answer<EtcdTransacted> done) {
    implementation_->ask("/v3/kv/txn", encode_transaction(transaction), false, &decode_transacted, std::move(done));
}

void EtcdClient::grant_lease(std::chrono::seconds life, Answer<std::int64_t> done) {
    implementation_->ask("/v3/lease/grant", encode_grant(life.count()), true, &decode_lease, std::move(done));
}

void EtcdClient::keep_lease(std::int64_t lease, Answer<std::int64_t> done) {
    implementation_->ask("/v3/lease/keepalive", encode_lease(lease), true, &decode_keep_alive, std::move(done));
}

void EtcdClient::revoke_lease(std::int64_t lease, Answer<Done> done) {
    const auto decode = [](std::string_view) { return Result<Done>(Done{}); };
    implementation_->ask("/v3/lease/revoke", encode_lease(lease), true, decode, std::move(done));
}

EtcdStatus EtcdClient::status() const {
    EtcdStatus status = implementation_->status;
    status.endpoint = implementation_->urls[implementation_->at].text;
    return status;
}

const EtcdOptions& EtcdClient::options() const {
    return implementation_->options;
}

asio::io_context& EtcdClient::io() const {
    return implementation_->io;
}

const std::vector<HttpUrl>& EtcdClient::urls() const {
    return implementation_->urls;
}

std::size_t EtcdClient::current_url() const {
    return implementation_->at;
}

void EtcdClient::token(Answer<std::string> done) {
    auto& self = *implementation_;
    self.queue.push_back({.request = {},
                          .take = {},
                          .done =
                              [&self, done = std::move(done)](const Failure* failure) {
                                  if (failure != nullptr) return done(Error{failure->message});
                                  done(self.known_token);
                              },
                          .failures = {}});
    self.run_soon();
}

void EtcdClient::token_refused(const std::string& token) {
    if (implementation_->known_token == token) implementation_->known_token.clear();
}

}  // namespace weft
