#include <utility>

#include "conf/etcd_watch.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>

namespace weft {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kLongestLine =
    32UL * 1024 * 1024;                      ///< an event is at most 1.5 MiB, and etcd fragments more of them
constexpr unsigned kMostOlder = 3;           ///< streams in a row at a revision before the one that was read
constexpr std::chrono::seconds kSteady{10};  ///< a stream that lasted so long does not count as a failure
/// A stream's watches are asked for in one body, of which etcd's JSON gateway reads 512 bytes at first. If it begins to
/// answer before it has read on, the HTTP server throws the rest away (Go's net/http, cw.writeHeader), and those
/// watches never come to be: with etcd 3.4 up to 3 streams in 100, by load. All that do are confirmed together, so that
/// it shows soon.
constexpr std::chrono::milliseconds kTogether{1'000};
constexpr unsigned kMostPartial = 5;  ///< such streams in a row; they are no trouble to tell of

}  // namespace

struct EtcdWatch::Implementation : std::enable_shared_from_this<EtcdWatch::Implementation> {
    Implementation(EtcdClient& owner, std::vector<EtcdWatched> prefixes, std::uint64_t cluster, Told to)
        : client(owner),
          watched(std::move(prefixes)),
          cluster_id(cluster),
          told(std::move(to)),
          pause(owner.io()),
          silence(owner.io()),
          lines(kLongestLine),
          at(owner.current_url()) {}

    template <class Step>
    auto still(Step step) {
        return [weak = weak_from_this(), epoch = age, step = std::move(step)](auto&&... rest) {
            const auto self = weak.lock();
            if (self && self->age == epoch) step(*self, std::forward<decltype(rest)>(rest)...);
        };
    }

    /// Ends the stream that is under way, if one is; its steps are dropped.
    void drop() {
        ++age;
        connection.reset();
        pause.cancel();
        silence.cancel();
        lines = LineSplitter(kLongestLine);
        created = 0;
    }

    void open() {
        drop();
        client.token(still([](Implementation& self, Result<std::string> got) {
            if (!got) return self.failed(got.error().message);
            self.request(*std::move(got));
        }));
    }

    void request(std::string with) {
        token = std::move(with);
        ++streams;
        opened = steady_clock::now();
        connection = std::make_unique<HttpConnection>(client.io(), url(), client.options().tls);
        // No leader, no watch: a member that is cut off from the others would keep silent for ever.
        connection->stream(
            {.path = "/v3/watch", .body = encode_watch(watched), .authorization = token, .require_leader = true},
            client.options().patience, still([](Implementation& self, std::string_view bytes) { self.take(bytes); }),
            still([](Implementation& self, const HttpOutcome& outcome) { self.ended(outcome); }));
        listen(client.options().patience * 2);
    }

    const HttpUrl& url() const { return client.urls()[at % client.urls().size()]; }
    std::string named(std::string_view what) const { return fmt::format("etcd {}: {}", url().text, what); }

    /// A new stream unless a whole message comes within this time.
    void listen(std::chrono::milliseconds patience) {
        silence.expires_after(patience);
        silence.async_wait(still([](Implementation& self, const error_code& stopped) {
            if (stopped) return;
            const bool partly = !self.up() && self.created > 0 && ++self.partial < kMostPartial;
            if (!self.up() && !partly) return self.failed(self.named("it does not confirm the watch"));
            self.open();
        }));
    }

    bool up() const { return created == watched.size(); }

    void ended(const HttpOutcome& outcome) {
        if (outcome.status == 0 || (outcome.status == 200 && !outcome.failure.empty())) {
            return failed(etcd_trouble(url(), outcome));
        }
        if (outcome.status == 200) return failed(named("it ended the watch"));
        refused(refusal_of(outcome.status, outcome.body));
    }

    void refused(const EtcdRefusal& refusal) {
        if (refusal.kind == EtcdRefusal::Kind::compacted) return give_up(named(refusal.message));
        if (refusal.kind == EtcdRefusal::Kind::token) {
            client.token_refused(token);
            // Tokens end after a while, which is no trouble: with another one it goes on.
            if (!token.empty() && !std::exchange(logged_in_anew, true)) return open();
        }
        failed(named(refusal.message));
    }

    /// The stream is of no more use: another one at the next endpoint, after a pause unless this one had been of use.
    void failed(const std::string& why) {
        const bool of_use = up() && steady_clock::now() - opened > kSteady;
        failures = of_use ? 1 : failures + 1;
        at = (at + 1) % client.urls().size();
        drop();
        pause.expires_after(pause_after(failures, client.options().first_pause, client.options().longest_pause));
        pause.async_wait(still([](Implementation& self, const error_code& stopped) {
            if (!stopped) self.open();
        }));
        tell_trouble(why);
    }

    void tell_trouble(const std::string& why) {
        troubled = !why.empty();
        const auto tell = told.trouble;
        if (tell) tell(why);
    }

    void give_up(std::string why) {
        drop();
        const auto tell = told.lost;
        if (tell) tell(std::move(why));
    }

    void take(std::string_view bytes) {
        std::vector<std::string> complete;
        const bool bounded = lines.feed(bytes, complete);
        const unsigned epoch = age;
        for (const std::string& line : complete) {
            auto message = decode_watch_message(line);
            if (!message) return failed(named(message.error().message));
            handle(*message);
            if (age != epoch) return;
        }
        if (!bounded) failed(named("a watch message without end"));
    }

    void handle(const EtcdWatchMessage& message) {
        if (message.cancelled) return cancelled(message);
        if (message.header.cluster_id != 0) {
            if (cluster_id == 0) cluster_id = message.header.cluster_id;
            if (cluster_id != message.header.cluster_id)
                return give_up(named("another etcd cluster answers there now"));
        }
        if (message.created) return confirmed(message);
        if (up()) listen_on();
        if (message.watch < 0 || static_cast<std::size_t>(message.watch) >= created) {
            return failed(named("events of a watch that was not asked for"));
        }
        EtcdWatched& one = watched[static_cast<std::size_t>(message.watch)];
        if (message.events.empty()) {
            // Progress: all up to here has been told, so that is where to resume, compaction or not.
            one.from = std::max(one.from, message.header.revision + 1);
            return;
        }
        pass_on(one, message);
    }

    /// Between half and all of the time, so that many nodes do not come at once.
    void listen_on() {
        const auto most = client.options().silence;
        listen(pause_after(1, most, most));
    }

    void confirmed(const EtcdWatchMessage& message) {
        if (up()) return failed(named("a watch that was not asked for"));
        EtcdWatched& one = watched[created];
        if (one.from == 0) one.from = message.header.revision + 1;
        if (message.header.revision + 1 < one.from) {
            // A member that lags behind has this too, for a moment.
            if (++older >= kMostOlder) return give_up(named("its store is older than it was"));
            return failed(named("it has not seen yet what others have"));
        }
        if (++created == 1) listen(std::min(kTogether, client.options().patience));
        if (!up()) return;
        listen_on();
        older = partial = 0;
        logged_in_anew = false;
        if (troubled) tell_trouble({});
    }

    void pass_on(EtcdWatched& one, const EtcdWatchMessage& message) {
        std::vector<EtcdEvent> fresh;
        std::copy_if(message.events.begin(), message.events.end(), std::back_inserter(fresh),
                     [&](const EtcdEvent& event) { return event.kv.mod_revision >= one.from; });
        if (fresh.empty()) return;
        const std::int64_t last = fresh.back().kv.mod_revision;
        one.from = message.fragment ? last : last + 1;
        const auto tell = told.events;
        if (tell) tell(fresh);
    }

    void cancelled(const EtcdWatchMessage& message) {
        if (message.compact_revision != 0) {
            return give_up(
                named(fmt::format("what was changed before revision {} is compacted away", message.compact_revision)));
        }
        if (message.reason.empty()) return failed(named("it ended the watch"));
        refused(refusal_of_words(message.reason));
    }

    EtcdClient& client;
    std::vector<EtcdWatched> watched;
    std::uint64_t cluster_id;
    Told told;
    asio::steady_timer pause;
    asio::steady_timer silence;
    std::unique_ptr<HttpConnection> connection;
    LineSplitter lines;
    std::string token;
    std::size_t at;           ///< index of the endpoint
    std::size_t created = 0;  ///< watches that this stream has confirmed
    unsigned failures = 0;    ///< in a row
    unsigned older = 0;
    unsigned partial = 0;         ///< streams in a row on which only some watches were confirmed
    bool logged_in_anew = false;  ///< since a stream was up last
    bool troubled = false;
    steady_clock::time_point opened;
    std::uint64_t streams = 0;
    unsigned age = 0;  ///< of the stream: steps of an earlier one are dropped
};

EtcdWatch::EtcdWatch(EtcdClient& client, std::vector<EtcdWatched> watched, std::uint64_t cluster_id, Told told)
    : implementation_(std::make_shared<Implementation>(client, std::move(watched), cluster_id, std::move(told))) {
    implementation_->open();
}

EtcdWatch::~EtcdWatch() {
    implementation_->drop();
}

std::uint64_t EtcdWatch::streams() const {
    return implementation_->streams;
}

struct EtcdFollower::Implementation : std::enable_shared_from_this<EtcdFollower::Implementation> {
    Implementation(EtcdClient& owner, std::vector<std::string> what, Told to)
        : client(owner), prefixes(std::move(what)), told(std::move(to)), pause(owner.io()) {}

    void read() {
        EtcdTake take;
        if (told.page) {
            take = [weak = weak_from_this()](bool first, std::vector<EtcdKeyValue> kvs) {
                if (const auto self = weak.lock()) self->told.page(first, std::move(kvs));
            };
        }
        client.read(
            prefixes,
            [weak = weak_from_this()](Result<EtcdSnapshot> all) {
                if (const auto self = weak.lock()) self->got(std::move(all));
            },
            std::move(take));
    }

    void got(Result<EtcdSnapshot> all) {
        const auto kept = shared_from_this();
        if (!all) {
            read_later();
            return told.trouble(all.error().message);
        }
        ++snapshots;
        std::vector<EtcdWatched> from;
        for (const std::string& prefix : prefixes) from.push_back({.prefix = prefix, .from = all->header.revision + 1});
        const std::weak_ptr weak = kept;
        watch = std::make_unique<EtcdWatch>(client, std::move(from), all->header.cluster_id,
                                            EtcdWatch::Told{.events =
                                                                [weak](const std::vector<EtcdEvent>& events) {
                                                                    if (const auto self = weak.lock()) {
                                                                        self->failures = 0;
                                                                        self->told.events(events);
                                                                    }
                                                                },
                                                            .lost =
                                                                [weak](const std::string& why) {
                                                                    if (const auto self = weak.lock()) self->lost(why);
                                                                },
                                                            .trouble =
                                                                [weak](const std::string& why) {
                                                                    if (const auto self = weak.lock()) {
                                                                        self->told.trouble(why);
                                                                    }
                                                                }});
        told.snapshot(*std::move(all));
        if (!over && std::exchange(troubled, false)) told.trouble({});
    }

    void lost(const std::string& why) {
        troubled = true;
        streams += watch->streams();
        watch.reset();
        // A compaction reaches every node at the same moment; the store is not to be read by all of them at once.
        read_later(8);
        const auto tell = told.trouble;
        tell(why);
    }

    void read_later(int times = 1) {
        troubled = true;
        const auto& options = client.options();
        pause.expires_after(pause_after(++failures, options.first_pause * times, options.longest_pause));
        pause.async_wait([weak = weak_from_this()](const error_code& stopped) {
            const auto self = weak.lock();
            if (!stopped && self) self->read();
        });
    }

    EtcdClient& client;
    std::vector<std::string> prefixes;
    Told told;
    asio::steady_timer pause;
    std::unique_ptr<EtcdWatch> watch;
    unsigned failures = 0;  ///< in a row: reads that failed, watches that were lost before anything came
    bool troubled = false;
    bool over = false;  ///< the owner wants to hear no more
    std::uint64_t snapshots = 0;
    std::uint64_t streams = 0;  ///< of watches that are over
};

EtcdFollower::EtcdFollower(EtcdClient& client, std::vector<std::string> prefixes, Told told)
    : implementation_(std::make_shared<Implementation>(client, std::move(prefixes), std::move(told))) {
    implementation_->read();
}

EtcdFollower::~EtcdFollower() {
    implementation_->over = true;
    implementation_->watch.reset();
    implementation_->pause.cancel();
}

std::uint64_t EtcdFollower::snapshots() const {
    return implementation_->snapshots;
}

std::uint64_t EtcdFollower::streams() const {
    return implementation_->streams + (implementation_->watch ? implementation_->watch->streams() : 0);
}

}  // namespace weft
