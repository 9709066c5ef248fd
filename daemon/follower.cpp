#include <utility>

#include "daemon/follower.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "conf/directory_reader.hpp"
#include "conf/etcd_reader.hpp"
#include "conf/guard.hpp"
#include "daemon/memory.hpp"

namespace weft {
namespace {

/// The first change of a burst is kept at once: a start on what was known before it would go back, while the other
/// nodes go on. The disk need not see each of the others.
constexpr std::chrono::seconds kKeepEvery{1};

bool is_static(const Config& config) {
    return std::holds_alternative<StaticSource>(config.source.value);
}

std::chrono::milliseconds hold_of(const Config& config) {
    if (const auto* directory = std::get_if<DirectorySource>(&config.source.value)) return directory->hold;
    if (const auto* etcd = std::get_if<EtcdSource>(&config.source.value)) return etcd->hold;
    return std::chrono::milliseconds(0);
}

/// Not of a static source.
std::unique_ptr<ClusterSource> open_source(boost::asio::io_context& io, const Config& config) {
    if (const auto* directory = std::get_if<DirectorySource>(&config.source.value)) {
        return std::make_unique<DirectoryReader>(io, directory->path, config.hostname.value);
    }
    return std::make_unique<EtcdReader>(io, etcd_options(std::get<EtcdSource>(config.source.value)),
                                        config.hostname.value);
}

}  // namespace

Follower::Follower(boost::asio::io_context& io, State& state, std::function<void()> followed,
                   std::function<void()> noted)
    : io_(io), state_(state), followed_(std::move(followed)), noted_(std::move(noted)), release_(io), keep_(io) {}

Follower::~Follower() = default;

void Follower::recall(LastKnown known) {
    learned_ = known.since;
    if (known.cluster == nullptr) return;
    state_.source.last_known = known.since;
    settings_ = std::move(known.settings);
    current_ = std::move(known.cluster);
}

void Follower::follow(const Config& config, const Cluster* running) {
    const bool same = source_ != nullptr && config.source.value == config_.source.value &&
                      config.hostname.value == config_.hostname.value;
    config_ = config;
    if (same) return remember_soon();
    source_.reset();
    held_.reset();
    release_.cancel();
    state_.source.held.clear();
    if (is_static(config)) {
        current_.reset();
        settings_ = {};
        state_.source.status = {};
        state_.source.status.name = "static";
        state_.source.status.synced = true;
        state_.source.last_known.reset();
        if (!state_.source.configuration.empty()) return;  // it is the one on the disk
        learned_ = std::chrono::system_clock::now();
        return remember_soon();
    }
    if (running != nullptr && current_ == nullptr) {
        current_ = std::make_shared<const Cluster>(*running);
        state_.source.last_known = learned_ = std::chrono::system_clock::now();
    }
    state_.source.status = {};
    source_ = open_source(io_, config);
    opening_ = true;
    source_->start([this](SourceUpdate update) { told(std::move(update)); });
    opening_ = false;
}

bool Follower::knows() const {
    return is_static(config_) || current_ != nullptr;
}

Cluster Follower::cluster(Config& config) const {
    apply_settings(config, settings_);
    return is_static(config) ? cluster_of(config) : combine(config, *current_);
}

Result<Cluster> Follower::preview(Config& config) const {
    if (is_static(config)) return cluster_of(config);
    if (current_ != nullptr && config.source.value == config_.source.value) return cluster(config);
    const auto* directory = std::get_if<DirectorySource>(&config.source.value);
    if (directory == nullptr) {
        return Error{fmt::format("{}: what this source would bring is known only once it is followed",
                                 to_string(config.source.origin))};
    }
    const auto update = read_directory_once(directory->path, config.hostname.value);
    if (!update) return update.error();
    if (!update->cluster) return Error{update->status.trouble};
    apply_settings(config, update->settings);
    return combine(config, *update->cluster);
}

Result<Done> Follower::accept() {
    if (!held_) return Error{"nothing that the source says is held back"};
    state_.note("what the source says is followed", "accept source");
    take(*std::exchange(held_, std::nullopt));
    return Done{};
}

void Follower::told(SourceUpdate update) {
    ++state_.counters.source_events;
    report(update);
    state_.source.status = update.status;
    if (!update.cluster) {
        if (!opening_) noted_();
        return;
    }
    if (held_ && update.suspicion.empty()) update.suspicion = held_->suspicion;
    if (std::string why = objection(update); !why.empty()) return hold(std::move(update), std::move(why));
    take(std::move(update));
}

/// Each trouble is said once.
void Follower::report(const SourceUpdate& update) {
    const SourceStatus& before = state_.source.status;
    const std::string& trouble = update.status.trouble;
    if (trouble != before.trouble) {
        if (trouble.empty()) {
            spdlog::info("source {}: readable again", update.status.name);
        } else {
            spdlog::error("source {}: {}", update.status.name, trouble);
        }
        state_.note(trouble.empty() ? "readable again" : trouble, update.status.name);
    }
    for (const ObjectTrouble& object : update.status.objects) {
        if (std::find(before.objects.begin(), before.objects.end(), object) != before.objects.end()) continue;
        const std::string text = to_string(object);
        state_.note(text, update.status.name);
        if (!object.error) {
            spdlog::warn("{}", text);
            continue;
        }
        ++state_.counters.errors["source"];
        spdlog::error("{}", text);
    }
}

std::string Follower::objection(const SourceUpdate& update) const {
    if (current_ == nullptr || hold_of(config_) == std::chrono::milliseconds(0)) return {};
    const bool doubtful = !update.suspicion.empty() || !update.incomplete.empty();
    const std::string gone = doubtful ? withdrawal(*current_, *update.cluster) : "";
    if (!gone.empty() && !update.incomplete.empty()) {
        return fmt::format("{}, while the source is not whole: {}", gone, update.incomplete);
    }
    if (!gone.empty()) return fmt::format("{}, and {}", update.suspicion, gone);
    return mass_withdrawal(*current_, *update.cluster);
}

void Follower::hold(SourceUpdate update, std::string why) {
    SourceState& source = state_.source;
    if (source.held != why) {
        spdlog::error("source {}: {}; it is not followed for now", update.status.name, why);
        state_.note("the source is not followed for now", why);
    }
    const bool lasting = !update.incomplete.empty();
    const bool fresh = source.held.empty() || lasting == source.held_until.has_value();
    source.held = std::move(why);
    held_ = std::move(update);
    if (fresh && lasting) {
        release_.cancel();
        source.held_until.reset();
    } else if (fresh) {
        source.held_until = std::chrono::steady_clock::now() + hold_of(config_);
        release_.expires_at(*source.held_until);
        release_.async_wait([this](const boost::system::error_code& stopped) {
            if (stopped || !held_) return;
            spdlog::warn("source {}: held long enough, it is followed now", held_->status.name);
            state_.note("what the source says is followed", "held long enough");
            take(*std::exchange(held_, std::nullopt));
        });
    }
    if (!opening_) noted_();
}

void Follower::take(SourceUpdate update) {
    SourceState& source = state_.source;
    if (!source.held.empty()) spdlog::info("source {}: followed again", update.status.name);
    held_.reset();
    release_.cancel();
    source.held.clear();
    source.held_until.reset();
    source.last_known.reset();
    current_ = std::move(update.cluster);
    settings_ = std::move(update.settings);
    learned_ = std::chrono::system_clock::now();
    remember_soon();
    if (!opening_) followed_();
}

void Follower::remember_soon() {
    if (std::exchange(to_keep_, true)) return;
    keep_.expires_at(kept_at_ + kKeepEvery);
    keep_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) remember();
    });
}

void Follower::remember() {
    to_keep_ = false;
    kept_at_ = std::chrono::steady_clock::now();
    if (!knows()) return;
    const std::string directory = config_.state_directory.value;
    boost::asio::post(
        disk_, [this, directory,
                known = LastKnown{.config = config_, .cluster = current_, .settings = settings_, .since = learned_},
                alive = std::weak_ptr(alive_), &io = io_] {
            const auto written = write_last_known(directory, text_of(known));
            give_back_memory();
            std::string trouble =
                written ? "" : fmt::format("the last known cluster is not kept: {}", written.error().message);
            boost::asio::post(io, [this, alive, trouble = std::move(trouble)] {
                if (alive.expired() || state_.source.disk == trouble) return;
                if (!trouble.empty()) spdlog::error("{}", trouble);
                state_.source.disk = trouble;
                noted_();
            });
        });
}

void Follower::stop() {
    keep_.cancel();
    if (to_keep_) remember();
    disk_.join();
}

}  // namespace weft
