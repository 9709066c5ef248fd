#include <utility>

#include "conf/registrar.hpp"

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <random>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"
#include "conf/registration_reads.hpp"
#include "conf/text.hpp"

namespace weft {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

constexpr unsigned kMostRounds = 3'000;  ///< reads and changes before it pauses
constexpr std::chrono::milliseconds kFirstPause{200};
constexpr std::chrono::milliseconds kLongestPause{30'000};
/// An object of this node's that is gone is written anew after so long.
constexpr std::chrono::milliseconds kSecondLook{1'000};

/// What a weftd says of itself.
struct Sign {
    std::string address, since;
};

Sign read_sign(const EtcdKeyValue& kv) {
    const auto object = parse_json(kv.value);
    const auto text = [&](const char* name) {
        if (!object || !object->is_object()) return std::string("?");
        const auto found = object->find(name);
        return found != object->end() && found->is_string() ? shown(found->get<std::string>()) : std::string("?");
    };
    return {.address = text("address"), .since = text("since")};
}

std::string text_of(const Sign& sign) {
    return nlohmann::json{{"address", sign.address}, {"since", sign.since}}.dump();
}

std::string rival_words(const Sign& sign, const std::string& node, bool older) {
    return fmt::format("another weftd runs as node {}, at {} since {}: {}; give one of them another 'hostname'", node,
                       sign.address, sign.since,
                       older ? "it was first, so this one writes nothing" : "it came later, and writes nothing");
}

/// Calls `with(rest of the key, value)` for each key of the view that begins so.
template <class With>
void for_each(const StoreView& view, const std::string& prefix, With with) {
    for (auto at = view.there.lower_bound(prefix); at != view.there.end() && at->first.starts_with(prefix); ++at) {
        with(at->first.substr(prefix.size()), at->second);
    }
}

}  // namespace

std::string alive_keys(const std::string& node) {
    return fmt::format("/calico/weft/v1/alive/{}/", node);
}

std::string contender_keys(const std::string& node) {
    return fmt::format("/calico/weft/v1/contender/{}/", node);
}

std::string random_uuid() {
    std::random_device random;
    const auto bits = [&](std::uint32_t mask) { return static_cast<std::uint32_t>(random()) & mask; };
    return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:08x}{:04x}", bits(0xFFFFFFFF), bits(0xFFFF), bits(0xFFF),
                       0x8000U | bits(0x3FFF), bits(0xFFFFFFFF), bits(0xFFFF));
}

struct Registrar::Implementation : std::enable_shared_from_this<Registrar::Implementation> {
    Implementation(EtcdClient& owner, Options wanted, Told to)
        : client(owner),
          options(std::move(wanted)),
          told(std::move(to)),
          again(owner.io()),
          life(owner.io()),
          since(rfc3339(now_nanoseconds())) {
        wish.node = options.node;
        wish.uid = random_uuid();
    }

    template <class Step>
    auto still(Step step) {
        return [weak = weak_from_this(), step = std::move(step)](auto&&... rest) {
            const auto self = weak.lock();
            if (self && !self->over) step(*self, std::forward<decltype(rest)>(rest)...);
        };
    }
    void after(asio::steady_timer& timer, std::chrono::milliseconds pause, void (Implementation::*then)()) {
        timer.expires_after(pause);
        timer.async_wait(still([then](Implementation& self, const error_code& stopped) {
            if (!stopped) (self.*then)();
        }));
    }

    // The sign of life

    std::string alive_key() const { return alive_keys(options.node) + options.instance; }

    void live() {
        after(life, std::chrono::duration_cast<std::chrono::milliseconds>(options.life) / 3, &Implementation::live);
        if (lease == 0) return grant();
        client.keep_lease(lease, still([](Implementation& self, const Result<std::int64_t>& seconds) {
                              if (seconds && *seconds == 0) return self.grant();  // it has ended
                              if (seconds && !self.signs_stand) self.sign();
                          }));
    }

    void grant() {
        lease = 0;
        if (held) return;
        client.grant_lease(options.life, still([](Implementation& self, const Result<std::int64_t>& granted) {
                               if (!granted) return;  // the next time
                               self.lease = *granted;
                               self.sign();
                           }));
    }

    void sign() {
        signs_stand = false;
        if (lease == 0 || held) return;
        const auto& address = wish.address4 ? wish.address4 : wish.address6;
        const Sign own{.address = address ? to_string(*address) : "no address", .since = since};
        EtcdTransaction signs{.compares = {}, .then = {put(alive_key(), text_of(own), lease)}, .otherwise = {}};
        for (const auto& [holder, held] : contended) {
            const std::string key = contender_keys(holder) + options.node;
            const Sign sign{.address = held, .since = since};
            signs.then.push_back(held.empty() ? erase(key) : put(key, text_of(sign), lease));
        }
        client.transact(signs, still([](Implementation& self, const Result<EtcdTransacted>& done) {
                            if (!done) return;  // when the lease is renewed
                            self.signs_stand = true;
                            std::erase_if(self.contended, [](const auto& each) { return each.second.empty(); });
                            self.look();
                        }));
    }

    /// Whether another of this name has been there for longer. One that was there before this one's sign counts as
    /// first.
    bool rivalled(const StoreView& view) {
        const EtcdKeyValue* const own = view.find(alive_key());
        status.rival.clear();
        bool first = false;
        for_each(view, alive_keys(options.node), [&](const std::string& instance, const EtcdKeyValue& sign) {
            if (instance == options.instance) return;
            const bool older = own == nullptr || sign.create_revision < own->create_revision;
            if (status.rival.empty() || older) status.rival = rival_words(read_sign(sign), options.node, older);
            first = first || older;
        });
        return first;
    }

    void read_contenders() {
        status.contenders.clear();
        for_each(view, contender_keys(options.node), [&](const std::string& name, const EtcdKeyValue& kv) {
            const Sign sign = read_sign(kv);
            status.contenders.push_back(
                fmt::format("node {} has this node's address {} too, since {}, and does not register it: packets reach "
                            "one of them only; change one",
                            shown(name), sign.address, sign.since));
        });
    }

    // Looking and writing

    void look() {
        if (!started || held) return;
        if (busy) {
            dirty = true;
            return;
        }
        busy = true;
        dirty = false;
        rounds = 0;
        again.cancel();
        begin();
    }

    void begin() {
        client.transact(first_reads(options.node), still([](Implementation& self, Result<EtcdTransacted> found) {
                            if (!found) return self.failed(found.error().message);
                            self.view = first_view(self.options.node, *found);
                            self.decide();
                        }));
    }

    void decide() {
        if (held) return pause({}, options.audit);
        if (++rounds > kMostRounds) return failed("the store changes faster than this node can register");
        read_contenders();
        if (rivalled(view)) {
            status.lacks.clear();
            status.settled = false;
            return pause({}, options.audit);
        }
        wish.now = now_nanoseconds();
        wish.release = releasing_since && steady_clock::now() - *releasing_since >= options.release_after;
        RegistrationStep step = next_step(wish, view);
        if (!step.read.empty() || !step.probe.empty()) return read_more(step);
        if (step.change && gone_lately()) {
            status.settled = false;
            return pause({}, kSecondLook);
        }
        if (step.change) return write(*step.change, step.what);
        settled(step);
    }

    /// Whether this node's object stood in the store and has just gone. A store that lost it may have lost everything;
    /// who reads all of it notices that meanwhile, and has the registration held.
    bool gone_lately() {
        if (!stood || view.find(node_key(options.node)) != nullptr) {
            gone_since.reset();
            return false;
        }
        if (!gone_since) gone_since = steady_clock::now();
        return steady_clock::now() - *gone_since < kSecondLook;
    }

    void read_more(const RegistrationStep& step) {
        EtcdTransaction reads = further_reads(step);
        client.transact(reads, still([reads](Implementation& self, Result<EtcdTransacted> found) {
                            if (!found) return self.failed(found.error().message);
                            extend(self.view, reads, *found);
                            self.decide();
                        }));
    }

    void write(const EtcdTransaction& transaction, const std::string& what) {
        client.transact(transaction, still([what](Implementation& self, const Result<EtcdTransacted>& done) {
                            if (!done) return self.failed(done.error().message);
                            if (!done->succeeded) return self.refused();
                            self.refusals = 0;
                            ++self.status.changes;
                            const auto tell = self.told.done;
                            if (tell) tell(what);
                            if (!self.over) self.begin();
                        }));
    }

    /// Others write the same: after a few times not at the same moment.
    void refused() {
        ++status.conflicts;
        if (++refusals < 3) return begin();
        after(again, pause_after(refusals - 2, std::chrono::milliseconds(10), std::chrono::milliseconds(1'000)),
              &Implementation::begin);
    }

    void settled(const RegistrationStep& step) {
        failures = 0;
        stood = view.find(node_key(options.node)) != nullptr;
        gone_since.reset();
        status.settled = true;
        status.lacks = step.lacks;
        if (!wish.address4 && !wish.address6) {
            status.lacks.insert(status.lacks.begin(), "this node has no address that others could reach it at");
        }
        status.addresses = registered_addresses(view, options.node);
        if (!step.releases) releasing_since.reset();
        if (step.releases && !releasing_since) releasing_since = steady_clock::now();
        std::chrono::milliseconds next = pause_after(1, options.audit, options.audit);
        if (releasing_since) {
            const auto left = *releasing_since + options.release_after - steady_clock::now();
            next = std::min(next,
                            std::max(std::chrono::milliseconds(1), std::chrono::ceil<std::chrono::milliseconds>(left)));
        }
        pause({}, next);
    }

    void failed(const std::string& why) {
        status.settled = false;
        pause(why, pause_after(++failures, kFirstPause, kLongestPause));
    }

    void pause(const std::string& trouble, std::chrono::milliseconds next) {
        busy = false;
        refusals = 0;
        view = {};
        status.trouble = trouble;
        if (!held) after(again, next, &Implementation::look);
        const bool looked_meanwhile = std::exchange(dirty, false);
        if (looked_meanwhile && trouble.empty()) look();
        if (status == last_told) return;
        last_told = status;
        const auto tell = told.status;
        if (tell) tell(last_told);
    }

    EtcdClient& client;
    Options options;
    Told told;
    RegistrationWish wish;
    Status status;
    Status last_told;
    StoreView view;
    asio::steady_timer again;
    asio::steady_timer life;
    std::string since;
    std::map<std::string, std::string> contended;  ///< holder -> address; empty: not any more, its key is to go
    std::int64_t lease = 0;                        ///< 0: none
    bool signs_stand = false;
    bool stood = false;  ///< this node's object was in the store when it was last settled
    std::optional<steady_clock::time_point> gone_since;
    bool started = false;
    bool held = false;
    bool busy = false;
    bool dirty = false;  ///< something changed while busy
    bool over = false;
    unsigned rounds = 0;
    unsigned refusals = 0;  ///< in a row
    unsigned failures = 0;  ///< in a row
    std::optional<steady_clock::time_point> releasing_since;
};

Registrar::Registrar(EtcdClient& client, Options options, Told told)
    : implementation_(std::make_shared<Implementation>(client, std::move(options), std::move(told))) {}

Registrar::~Registrar() {
    implementation_->over = true;
    // Another life of this node must not be taken for a rival; without an answer the lease ends by itself.
    if (implementation_->lease != 0) implementation_->client.revoke_lease(implementation_->lease, [](const auto&) {});
    implementation_->again.cancel();
    implementation_->life.cancel();
}

void Registrar::set_addresses(std::optional<InterfaceAddress> address4, std::optional<InterfaceAddress> address6) {
    auto& self = *implementation_;
    if (self.started && self.wish.address4 == address4 && self.wish.address6 == address6) return;
    self.wish.address4 = address4;
    self.wish.address6 = address6;
    if (std::exchange(self.started, true)) return self.lease == 0 ? self.look() : self.sign();
    self.live();  // looks when it has signed
    self.look();
}

void Registrar::contend(const std::map<std::string, std::string>& held) {
    auto& self = *implementation_;
    const auto before = self.contended;
    for (auto& [holder, address] : self.contended) {
        if (!held.contains(holder)) address.clear();
    }
    for (const auto& [holder, address] : held) self.contended[holder] = address;
    if (self.contended != before) self.sign();
}

void Registrar::look() {
    implementation_->look();
}

void Registrar::hold(bool held) {
    auto& self = *implementation_;
    if (self.held == held) return;
    self.held = held;
    // While busy the timer stands for a step that is to go on: it finds that nothing is to be written.
    if (held && !self.busy) self.again.cancel();
    if (held || !self.started) return;
    if (self.lease == 0) {
        self.grant();
    } else if (!self.signs_stand) {
        self.sign();
    }
    self.look();
}

const Registrar::Status& Registrar::status() const {
    return implementation_->status;
}

}  // namespace weft
