#include <utility>

#include "bgp/bird.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>

#include "bgp/check.hpp"
#include "bgp/config_file.hpp"
#include "bgp/process.hpp"
#include "bgp/replaced_sessions.hpp"

namespace weft {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kConnectPatience{3'000};
constexpr std::chrono::milliseconds kFirstRetry{500};
constexpr std::chrono::milliseconds kLastRetry{30'000};
/// How often a BIRD that is about to listen is looked for, and for how long.
constexpr std::chrono::milliseconds kListenLook{20};
constexpr std::chrono::seconds kListenPatience{10};
/// How often somebody else's BIRD is looked for (`spawn no`).
constexpr std::chrono::seconds kAttachLook{1};
constexpr std::chrono::milliseconds kConfigureLook{50};
constexpr std::chrono::seconds kConfigurePatience{20};
constexpr std::chrono::milliseconds kBusyPoll{250};
constexpr std::chrono::seconds kSlowPoll{1};
constexpr std::chrono::seconds kQuietPoll{3};
/// So long after a change what is not up yet is expected any moment.
constexpr std::chrono::seconds kBusy{60};
/// A BIRD that ran for so long did not die of its start.
constexpr std::chrono::seconds kRanWell{30};
/// How often what BIRD gives up for good (a port in use) or cannot be checked is tried again.
constexpr std::chrono::seconds kAgain{5};

/// All that is left of weft in a BIRD that includes its file. One that includes nothing else would refuse a
/// configuration without any protocol, and go on with the routes that are to go.
constexpr std::string_view kNothing =
    "# BGP is switched off (calico_backend).\n"
    "define WEFT_GEN = \"off\";\n"
    "protocol device weft_device { scan time 10; }\n";
constexpr const char* kNothingGeneration = "off";

}  // namespace

struct Bird::Implementation : std::enable_shared_from_this<Bird::Implementation> {
    enum class Goal : std::uint8_t { none, run, end };

    Implementation(asio::io_context& context, Surroundings around)
        : io(context), surroundings(std::move(around)), control(context), timer(context) {}

    /// A callback that is dropped when something else is wanted by the time it comes.
    template <class Function>
    auto unless_superseded(Function function) {
        return [weak = weak_from_this(), epoch = age, function](auto&&... arguments) {
            if (const auto self = weak.lock(); self && self->age == epoch) {
                function(std::forward<decltype(arguments)>(arguments)...);
            }
        };
    }

    void supersede() {
        ++age;
        timer.cancel();
    }

    void later(std::chrono::milliseconds delay, std::function<void()> what) {
        timer.expires_after(delay);
        timer.async_wait(unless_superseded([what = std::move(what)](const boost::system::error_code& stopped) {
            if (!stopped) what();
        }));
    }

    void tell() {
        if (status == told || telling) return;
        telling = true;
        asio::post(io, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            self->telling = false;
            self->told = self->status;
            if (self->surroundings.changed) self->surroundings.changed();
        });
    }

    // -- what is wanted

    void want(BirdSettings next, BirdConfig text) {
        if (goal == Goal::run && settings == next && config == text) return;
        const bool moved = settings.socket != next.socket || settings.state_directory != next.state_directory;
        if (goal == Goal::run && moved) {
            spdlog::info("BIRD moves to {}", next.socket);
            end(Goodbye::quiet, [this, next, text] { want(next, text); });
            return;
        }
        if (goal == Goal::end && after_end) {  // still on the move
            after_end = [this, next, text] { want(next, text); };
            return;
        }
        if (goal != Goal::run) status.started = Clock::now();
        goal = Goal::run;
        after_end = nullptr;
        settings = std::move(next);
        files = BirdFiles(settings.state_directory);
        config = std::move(text);
        not_accepted();
        status.config_error.clear();
        busy_until = Clock::now() + kBusy;
        pursue();
    }

    void unwanted(BirdSettings last, Goodbye goodbye) {
        after_end = nullptr;
        if (goal == Goal::end || (goal == Goal::none && off)) return;
        if (goal == Goal::none) {
            settings = std::move(last);
            files = BirdFiles(settings.state_directory);
        }
        end(goodbye, nullptr);
    }

    void end(Goodbye how, std::function<void()> then) {
        goal = Goal::end;
        off = false;
        farewell = how;
        after_end = std::move(then);
        status.bird = BirdState::stopping;
        status.reason.clear();
        status.sessions.clear();
        not_accepted();
        pursue();
    }

    /// Sets out for the goal from where things are.
    void pursue() {
        supersede();
        if (goal == Goal::run && status.bird != BirdState::running) status.bird = BirdState::starting;
        if (!control.connected()) {
            attempt();
        } else if (goal == Goal::end) {
            part();
        } else {
            compare();
        }
        tell();
    }

    // -- from nothing to an answer

    void attempt() {
        control.connect(settings.socket, kConnectPatience, unless_superseded([this](const Greeting& greeting) {
                            if (!greeting.version.empty()) {
                                answers(greeting.version);
                            } else if (greeting.nobody) {
                                nobody();
                            } else {
                                fail(greeting.why);
                            }
                        }));
    }

    void answers(const std::string& version) {
        status.version = version;
        process_answered = true;
        if (goal == Goal::end) return part();
        if (std::string why = why_not(version); !why.empty()) {
            control.close();
            return fail(std::move(why));
        }
        compare();
    }

    void nobody() {
        if (alive()) return wait_for_listening();
        if (goal == Goal::end) return gone();
        if (process != 0) {
            process = 0;
            const std::string words = without_passwords(files.last_words(), config.text);
            if (!process_answered) {
                return fail(fmt::format("BIRD ended as soon as it was started{}{}", words.empty() ? "" : ": ", words));
            }
            if (!leaving) spdlog::warn("BIRD has ended{}{}", words.empty() ? "" : "; its last words: ", words);
        }
        // What is to be started is checked anew: the program may be another one by now, or gone.
        if (settings.spawn) checked.clear();
        hand_over();
    }

    /// Whether there is the process of an earlier start, listening or not.
    bool alive() {
        if (runs_with(process, settings.socket)) return true;
        const pid_t written = files.process();
        if (!runs_with(written, settings.socket)) return false;
        process = written;
        process_answered = false;
        listen_until = Clock::now() + kListenPatience;
        return true;
    }

    void wait_for_listening() {
        if (Clock::now() < listen_until) return later(kListenLook, [this] { attempt(); });
        fail(
            fmt::format("BIRD (process {}) runs and does not listen on {}: end it with 'kill -9 {}', which keeps its "
                        "routes, and weftd starts another",
                        process, settings.socket, process));
    }

    void start() {
        if (Clock::now() < not_before) {
            return later(std::chrono::ceil<std::chrono::milliseconds>(not_before - Clock::now()),
                         [this] { attempt(); });
        }
        // One that was sent away has promised its peers to be back, even where it has no route in the kernel: without
        // recovery they would drop its routes as soon as it is.
        const bool sent_away = std::exchange(leaving, false);
        const bool has_routes = surroundings.kernel_has_routes && surroundings.kernel_has_routes();
        const bool recovery = sent_away || has_routes;
        if (const auto made = make_directory_of(settings.socket); !made) return fail(made.error().message);
        files.empty_log();
        std::vector<std::string> arguments{settings.program, "-f", "-c",       files.live(), "-s",
                                           settings.socket,  "-P", files.pid()};
        if (recovery) arguments.emplace_back("-R");
        const auto started = start_detached(arguments, files.log());
        if (!started) return fail(fmt::format("BIRD cannot be started: {}", started.error().message));
        spdlog::info("BIRD started, process {}{}", *started,
                     recovery ? ", which takes over what the one before it left" : "");
        if (ran && !sent_away) ++status.restarts;
        process = *started;
        process_answered = false;
        started_at = Clock::now();
        listen_until = started_at + kListenPatience;
        not_before = started_at + start_pause;
        start_pause = std::min(start_pause * 2, kLastRetry);
        later(kListenLook, [this] { attempt(); });
        tell();
    }

    void fail(std::string reason) {
        status.sessions.clear();
        not_accepted();
        // On its way out there is nothing to be had; and what has to go is still there.
        if (goal == Goal::run) status.bird = BirdState::failed;
        say(std::move(reason));
        later(retry_after, [this] { attempt(); });
        retry_after = std::min(retry_after * 2, kLastRetry);
        tell();
    }

    /// The same trouble is logged once.
    void say(std::string reason) {
        if (reason != status.reason && !reason.empty()) spdlog::error("bird: {}", reason);
        status.reason = std::move(reason);
    }

    // -- from an answer to the wanted configuration

    void compare() {
        ask_generation(control, unless_superseded([this](const std::string& generation) {
                           status.bird = BirdState::running;
                           status.reason.clear();
                           ran = true;
                           if (generation != config.generation) return hand_over();
                           keep_file();
                           accepted();
                       }));
    }

    /// What runs needs no check; its file may have gone with a state directory.
    void keep_file() {
        if (files.live_is(config.text)) return files.confirm();
        const auto staged = files.stage(config.text);
        const auto placed = staged ? files.place() : staged;
        if (!placed) return say(placed.error().message);
        files.confirm();
    }

    void hand_over() {
        if (checked == config.generation && files.live_is(config.text)) return placed();
        stage_and_check(io, settings.program, files, config.text, unless_superseded([this](const Verdict& verdict) {
                            if (verdict.kind == Verdict::Kind::good) {
                                if (const auto done = files.place(); !done) {
                                    return unable(done.error().message);
                                }
                                checked = config.generation;
                                return placed();
                            }
                            files.discard();
                            if (verdict.kind == Verdict::Kind::unable) return unable(verdict.words);
                            refused(verdict.words);
                        }));
    }

    void unable(const std::string& words) {
        if (!control.connected()) return fail(words);
        status.config_error = words;
        again_at = Clock::now() + kAgain;
        say(words);
        poll();
    }

    /// The earlier configuration stays, and is good for a start as well.
    void refused(const std::string& words) {
        if (status.config_error != words) spdlog::error("bird: the configuration is refused: {}", words);
        status.config_error = words;
        again_at = Clock::time_point::max();
        if (control.connected()) return poll();
        if (settings.spawn && files.has_live()) return start();
        fail(fmt::format("BIRD is not started, because it refuses its configuration: {}", words));
    }

    void placed() {
        if (control.connected()) return reconfigure();
        if (settings.spawn) return start();
        status.bird = BirdState::starting;
        const std::string reason = fmt::format(
            "nobody answers on {}: start BIRD ('spawn no': 'systemctl start weft-bird', or your own)", settings.socket);
        if (status.reason != reason) spdlog::warn("bird: {}", reason);
        status.reason = reason;
        later(kAttachLook, [this] { attempt(); });
        tell();
    }

    std::string named_file() const { return settings.spawn ? files.live() : std::string{}; }

    void reconfigure() {
        if (!settings.spawn || !replaces_sessions(files.earlier_text(), config)) return configure_live();
        ask_config_file(control, unless_superseded([this](const std::string& file) {
                            file == files.live() ? start_anew() : configure_live();
                        }));
    }

    void start_anew() {
        spdlog::info("BIRD is started anew: this configuration replaces sessions, and so their routes stay");
        if (process == 0) process = files.process();
        process_answered = leaving = true;
        not_before = {};
        status.bird = BirdState::starting;
        status.sessions.clear();
        send_away(control, Goodbye::quiet);
        // It closes the connection when it goes, and then nobody answers any more.
        later(kListenPatience, [this] {
            leaving = false;
            does_not_end();
        });
        tell();
    }

    void configure_live() {
        configure(control, named_file(), unless_superseded([this](const Configured& answer) {
                      if (answer.refused) {
                          files.restore();
                          return refused(without_passwords(answer.words, config.text));
                      }
                      configure_until = Clock::now() + (answer.in_progress ? kConfigurePatience : 0s);
                      verify(answer.file);
                  }));
    }

    void verify(const std::string& file) {
        ask_generation(control, unless_superseded([this, file](const std::string& generation) {
                           if (generation == config.generation) {
                               files.confirm();
                               return accepted();
                           }
                           if (Clock::now() < configure_until) {
                               return later(kConfigureLook, [this, file] { verify(file); });
                           }
                           unable(
                               fmt::format("BIRD has read {} and runs another configuration than {}: include that "
                                           "file there",
                                           file, files.live()));
                       }));
    }

    void not_accepted() { runs_wanted = status.config_accepted = false; }

    /// Told only with the sessions, or a BIRD of which none is known yet would pass for one that has no peers.
    void accepted() {
        if (!runs_wanted) spdlog::info("BIRD {} runs configuration {}", status.version, config.generation);
        runs_wanted = true;
        status.config_error.clear();
        status.reason.clear();
        checked = config.generation;
        if (std::exchange(device_appeared, false)) reload_exports(control, status.version, "weft_krt4");
        poll();
    }

    // -- watching

    void poll() {
        tell();
        ask_state(control, config.node_of_peer, unless_superseded([this](BirdReport report) {
                      status.sessions = std::move(report.sessions);
                      status.config_accepted = runs_wanted;
                      status.graceful_restart = report.graceful_restart;
                      retry_after = kFirstRetry;
                      if (Clock::now() > started_at + kRanWell) start_pause = kFirstRetry;
                      files.limit_log();
                      look_for_port();
                      tell();
                      next_look();
                  }));
    }

    /// A port that another has is told of by nothing but the sessions, and they never try again by themselves.
    void look_for_port() {
        const bool taken = std::ranges::any_of(status.sessions, [](const Session& session) {
            return session.info.find("No listening socket") != std::string::npos;
        });
        if (!taken) {
            if (std::exchange(port_taken, false)) say({});
            return;
        }
        const std::string owner = surroundings.port_owner ? surroundings.port_owner(settings.port) : std::string{};
        say(fmt::format(
            "BIRD cannot listen on BGP port {}: {} has it; end that, or choose another with 'listen port' in "
            "protocol bgp",
            settings.port, owner.empty() ? "another process" : owner));
        if (!std::exchange(port_taken, true)) again_at = Clock::now() + kAgain;
    }

    void next_look() {
        const bool due = Clock::now() >= again_at;
        if (due && status.config_accepted && port_taken) {
            again_at = Clock::now() + kAgain;
            return reconfigure();
        }
        if (due && !status.config_accepted) {
            again_at = Clock::time_point::max();
            return hand_over();
        }
        const bool up = !status.graceful_restart && std::ranges::all_of(status.sessions, &Session::established);
        const bool busy = !up && Clock::now() < busy_until;
        later(busy ? kBusyPoll : std::chrono::milliseconds(up ? kQuietPoll : kSlowPoll), [this] { poll(); });
    }

    void lost(const std::string& why) {
        supersede();
        const bool was_well = status.config_accepted && retry_after == kFirstRetry;
        busy_until = Clock::now() + kBusy;
        listen_until = Clock::now() + kListenPatience;
        if (goal == Goal::none) return;
        if (goal == Goal::end || leaving) return attempt();
        if (!was_well) return fail(why);
        status.sessions.clear();
        not_accepted();
        status.graceful_restart = false;
        status.bird = BirdState::starting;
        spdlog::warn("bird: {}", why);
        status.reason = why;
        retry_after = kFirstRetry * 2;  // a second loss before all is well again is no accident
        attempt();
        tell();
    }

    // -- the end

    void part() {
        ask_generation(control, unless_superseded([this](const std::string& generation) {
                           if (generation.empty() || generation == kNothingGeneration) return gone();
                           ask_config_file(control, unless_superseded([this](const std::string& file) {
                                               file == files.live() ? dismiss() : empty();
                                           }));
                       }));
    }

    void dismiss() {
        files.forget();
        send_away(control, farewell);
        // It closes the connection when it goes, and then nobody answers any more.
        later(kListenPatience, [this] { does_not_end(); });
    }

    void does_not_end() {
        control.close();
        fail(fmt::format("BIRD on {} does not end: end it with 'kill -9'", settings.socket));
    }

    /// Somebody's BIRD that includes weft's file, which therefore has to stay.
    void empty() {
        const auto staged = files.stage(kNothing);
        const auto done = staged ? files.place() : staged;
        if (!done) return fail(done.error().message);
        configure(control, {}, unless_superseded([this](const Configured& answer) {
                      files.confirm();
                      if (answer.refused) return fail(answer.words);
                      finish();
                  }));
    }

    void gone() {
        // The empty file of somebody's BIRD is left: without it, that one could not be started again.
        if (!files.live_is(kNothing)) files.forget();
        finish();
    }

    void finish() {
        supersede();
        control.close();
        spdlog::info("BIRD is off");
        goal = Goal::none;
        off = true;
        process = 0;
        ran = leaving = false;
        not_before = {};
        retry_after = start_pause = kFirstRetry;
        checked.clear();
        const std::uint64_t restarts = status.restarts;
        status = BgpStatus{};
        status.restarts = restarts;
        tell();
        if (const auto then = std::exchange(after_end, nullptr)) then();
    }

    asio::io_context& io;
    Surroundings surroundings;
    BirdControl control;
    asio::steady_timer timer;  ///< for whatever comes next; there is always only one thing
    unsigned age = 0;          ///< of the pursuit

    Goal goal = Goal::none;
    bool off = false;  ///< nobody is there any more, and weft knows
    BirdSettings settings;
    BirdConfig config;
    BirdFiles files{""};
    Goodbye farewell = Goodbye::told;
    std::function<void()> after_end;

    BgpStatus status;
    BgpStatus told;
    bool telling = false;

    std::string checked;            ///< the generation that `bird -p` took
    pid_t process = 0;              ///< of the BIRD that weft started; 0: not known
    bool process_answered = false;  ///< ... on its socket
    bool leaving = false;           ///< it has been sent away to be started anew
    bool ran = false;               ///< a BIRD has been seen running since it was wanted
    bool runs_wanted = false;       ///< the configuration that is wanted
    bool port_taken = false;
    bool device_appeared = false;  ///< and BIRD could not be told yet
    Clock::time_point started_at, listen_until, not_before, configure_until, busy_until;
    Clock::time_point again_at = Clock::time_point::max();
    std::chrono::milliseconds retry_after = kFirstRetry;
    std::chrono::milliseconds start_pause = kFirstRetry;
};

Bird::Bird(asio::io_context& io, Surroundings surroundings)
    : implementation_(std::make_shared<Implementation>(io, std::move(surroundings))) {
    Implementation& self = *implementation_;
    self.control.on_lost([&self](const std::string& why) { self.lost(why); });
}

Bird::~Bird() {
    implementation_->supersede();
    implementation_->control.close();
    implementation_->surroundings = {};
}

void Bird::want(BirdSettings settings, BirdConfig config) {
    implementation_->want(std::move(settings), std::move(config));
}

void Bird::unwanted(BirdSettings settings, Goodbye goodbye) {
    implementation_->unwanted(std::move(settings), goodbye);
}

void Bird::ipip_device_appeared() {
    Implementation& self = *implementation_;
    if (self.runs_wanted && self.control.connected()) {
        reload_exports(self.control, self.status.version, "weft_krt4");
    } else {
        self.device_appeared = self.goal == Implementation::Goal::run;
    }
}

const BgpStatus& Bird::status() const {
    return implementation_->status;
}

}  // namespace weft
