// The controller's loop: what the kernel has against what it should have, and what is done about it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "daemon/controller.hpp"
#include "daemon/memory.hpp"
#include "daemon/readiness.hpp"
#include "daemon/supervisor.hpp"
#include "tunnel/record.hpp"

namespace weft {
namespace {

/// Quiet for so long, a burst of notifications is over. What repairs in the middle of one, somebody's flush of all
/// routes for example, competes with it for the kernel's lock, works on what is out of date when it is written, and has
/// to start again.
constexpr std::chrono::milliseconds kSettle{5};
/// But so long at most, so that repair stays within 100 ms.
constexpr std::chrono::milliseconds kSettleAtMost{30};
constexpr std::chrono::milliseconds kFirstRetry{500};
constexpr std::chrono::milliseconds kLastRetry{30'000};
/// The slow audit that backs the notifications up.
constexpr std::chrono::minutes kAudit{5};
/// Devices that are made change what can be put on them: a few passes settle any configuration.
constexpr int kPasses = 3;
/// Of a large set of changes so many are named in the events, and of those that fail in the log; the rest is counted.
constexpr std::size_t kNamedChanges = 20;
/// Above so many changes a dump is cheaper than entering each of them.
constexpr std::size_t kRecordAtMost = 2'000;

/// Leaves what is missing. What has been written there is as young as what is known, or younger: weftd may have ended
/// between the kernel and the disk, and where a route leads now, the other nodes expect it to. Only where a device
/// gives way to another, what is on it has to move.
void keep_what_is_there(std::vector<Change>& changes) {
    const auto is_device = [](const Change& change) {
        return std::holds_alternative<VxlanDevice>(change.object) || std::holds_alternative<IpipDevice>(change.object);
    };
    const auto any_device = [&](bool removed) {
        return std::ranges::any_of(changes, [&](const Change& change) {
            return is_device(change) && (change.verb == Verb::remove) == removed;
        });
    };
    const bool give_way = any_device(true) && any_device(false);
    std::erase_if(changes, [&](const Change& change) {
        if (is_device(change)) return change.verb == Verb::remove && !give_way;
        if (std::holds_alternative<Sysctl>(change.object)) return false;
        return change.verb == Verb::remove || (change.verb == Verb::replace && !give_way);
    });
}

}  // namespace

void Controller::kernel_noticed(const Kernel::Notice& notice) {
    ++state_.counters.kernel_notices;
    drift_ = true;
    observed_stale_ = true;
    contention_.heard(notice.object, notice.by);
    if (notice.full) ++state_.counters.kernel_resyncs;
    reconcile_soon(notice.object.empty() ? "kernel changed" : notice.object);
}

void Controller::reconcile_soon(std::string cause) {
    const auto now = std::chrono::steady_clock::now();
    quiet_at_ = now + kSettle;
    if (settling_) return;
    settling_ = true;
    cause_ = std::move(cause);
    settle(now + kSettleAtMost);
}

void Controller::settle(std::chrono::steady_clock::time_point latest) {
    settle_.expires_at(std::min(quiet_at_, latest));
    settle_.async_wait([this, latest](const boost::system::error_code& stopped) {
        if (!stopped && std::chrono::steady_clock::now() < std::min(quiet_at_, latest)) return settle(latest);
        settling_ = false;
        if (!stopped) reconcile();
    });
}

void Controller::look_again(std::string cause) {
    observed_stale_ = true;
    reconcile_soon(std::move(cause));
}

bool Controller::observe() {
    const Scope scope = this->scope();
    auto host = kernel_.host(scope);
    auto observed = host ? kernel_.observe(scope) : Result<Observed>(host.error());
    if (!observed) {
        ++state_.counters.errors["kernel"];
        report_failures({observed.error().message});
        return false;
    }
    state_.host = *std::move(host);
    state_.observed = *std::move(observed);
    observed_stale_ = false;
    return true;
}

void Controller::reconcile() {
    if (!state_.cluster_known) return;
    const auto begin = std::chrono::steady_clock::now();
    state_.kernel_synced = false;
    if (!state_.behind_since) state_.behind_since = begin;
    bool settled = false;
    bool left_behind = false;  // memory, of a dump or of many changes
    for (int pass = 0; pass < kPasses && !settled; ++pass) {
        left_behind = left_behind || observed_stale_;
        if (observed_stale_ && !observe()) break;
        Plan wanted =
            plan({.cluster = state_.cluster, .host = state_.host, .node = state_.node, .backend = state_.backend()});
        state_.desired = handover_.stage(state_, std::move(wanted.desired));
        std::ranges::move(handover_.problems(state_), std::back_inserter(wanted.problems));
        std::vector<Change> changes = difference(state_.desired, state_.observed);
        // On the last known cluster the kernel may know better than the disk.
        if (!state_.source_synced) keep_what_is_there(changes);
        contention_.hold_back(changes, drift_, begin);
        std::ranges::move(contention_.problems(), std::back_inserter(wanted.problems));
        report_problems(std::move(wanted.problems));
        if (changes.empty()) report_failures({});
        left_behind = left_behind || changes.size() > kRecordAtMost;
        settled = changes.empty() || apply(changes);
    }
    if (left_behind) give_back_memory();
    state_.kernel_synced = settled && state_.kernel_failures.empty();
    drift_ = false;
    schedule_contested();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto& bounds = Counters::kBounds;
    const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
    ++state_.counters.reconcile_buckets.at(static_cast<std::size_t>(bucket));
    state_.counters.reconcile_seconds += seconds;
    ++state_.counters.reconciles;
    if (state_.kernel_synced) {
        state_.behind_since.reset();
        retry_after_ = kFirstRetry;
        retry_.cancel();
    } else {
        schedule_retry();
    }
    bgp_.follow();
    registering_.look();  // the host may have another address
    update_phase();
}

bool Controller::apply(const std::vector<Change>& changes) {
    const std::vector<Failure> failures = kernel_.apply(scope(), changes);
    note_changes(changes, failures);
    bgp_.kernel_changed(changes);
    report_failures(messages_of(failures));

    bool recorded = failures.empty() && changes.size() <= kRecordAtMost;
    for (std::size_t i = 0; recorded && i < changes.size(); ++i) recorded = record(state_.observed, changes[i]);
    if (recorded) return true;
    observed_stale_ = true;
    // With failures another pass at once would only fail again; the retry's back-off takes over.
    if (!failures.empty()) {
        observe();
        return true;
    }
    return false;
}

void Controller::note_changes(const std::vector<Change>& changes, const std::vector<Failure>& failures) {
    auto failed = failures.begin();
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const std::string kind(object_kind(changes[i].object));
        const bool failure = failed != failures.end() && failed->change == i;
        if (failure) ++failed;
        ++state_.counters.kernel_writes[{kind, failure ? "error" : "ok"}];
        if (failure) ++state_.counters.errors["kernel"];
        if (drift_ && !failure) ++state_.counters.drift_repaired[kind];
        if (i < kNamedChanges) {
            const std::string text = to_string(changes[i]);
            state_.note(failure ? "failed: " + text : text, fmt::format("{} ({})", changes[i].reason, cause_));
            spdlog::debug("{}: {} ({})", text, changes[i].reason, cause_);
        }
    }
    if (changes.size() > kNamedChanges) {
        state_.note(fmt::format("and {} more changes", changes.size() - kNamedChanges), cause_);
    }
    spdlog::info("kernel: {} changes, {} failed ({})", changes.size(), failures.size(), cause_);
}

/// A failure that persists is said once, not at every retry.
void Controller::report_failures(std::vector<std::string> failures) {
    if (failures != state_.kernel_failures) {
        const std::set<std::string_view> known(state_.kernel_failures.begin(), state_.kernel_failures.end());
        std::size_t fresh = 0;
        for (const std::string& failure : failures) {
            if (!known.contains(failure) && ++fresh <= kNamedChanges) spdlog::error("{}", failure);
        }
        if (fresh > kNamedChanges) spdlog::error("and {} more changes fail", fresh - kNamedChanges);
        if (failures.empty()) spdlog::info("no change fails any more");
    }
    state_.kernel_failures = std::move(failures);
}

void Controller::report_problems(std::vector<Problem> problems) {
    for (const Problem& problem : problems) {
        if (std::find(state_.problems.begin(), state_.problems.end(), problem) != state_.problems.end()) continue;
        if (problem.unready) {
            spdlog::error("{}: {}", problem.object, problem.text);
        } else {
            spdlog::warn("{}: {}", problem.object, problem.text);
        }
    }
    state_.problems = std::move(problems);
}

void Controller::schedule_retry() {
    retry_.expires_after(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, kLastRetry);
    retry_.async_wait([this](const boost::system::error_code& stopped) {
        if (stopped) return;
        observed_stale_ = true;
        cause_ = "retry";
        reconcile();
    });
}

void Controller::schedule_audit() {
    audit_.expires_after(kAudit);
    audit_.async_wait([this](const boost::system::error_code& stopped) {
        if (stopped) return;
        observed_stale_ = true;
        drift_ = true;
        cause_ = "audit";
        reconcile();
        schedule_audit();
    });
}

void Controller::schedule_contested() {
    const auto due = contention_.next();
    if (!due) return;
    contested_.expires_at(*due);
    contested_.async_wait([this](const boost::system::error_code& stopped) {
        if (stopped) return;
        observed_stale_ = true;
        cause_ = "contested";
        reconcile();
    });
}

void Controller::update_phase() {
    const Phase before = state_.phase;
    const Readiness now = readiness(state_, std::chrono::steady_clock::now());
    state_.phase = now.phase;
    if (state_.phase != before) {
        spdlog::info("phase {}", to_string(state_.phase));
        notify_status(fmt::format("{}: node {}, {} routes, {} VTEPs", to_string(state_.phase), state_.node,
                                  state_.desired.routes.size(), state_.desired.fdb.size()));
    }
    if (now.ready && !ready_told_) {
        ready_told_ = true;
        notify_ready();
    }
    if (changed_) changed_();
}

}  // namespace weft
