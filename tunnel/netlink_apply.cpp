#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "tunnel/netlink_devices.hpp"
#include "tunnel/netlink_state.hpp"
#include "tunnel/sysctl.hpp"

namespace weft {
namespace {

using netlink::Answer;
using netlink::Outcome;
using netlink::Roles;

constexpr std::size_t kBatch = 64 * 1024;  // bytes; larger ones are no faster

/// What a removal meets when the object is gone already, which is what was asked for.
bool already_gone(int error) {
    return error == ENOENT || error == ESRCH || error == ENODEV || error == EADDRNOTAVAIL;
}

/// One run through a list of changes. Devices are carried out one step at a time, everything else in batches.
class Application {
  public:
    Application(netlink::Socket& socket, Capabilities& can, const Scope& scope, std::span<const Change> changes,
                const Surroundings& around)
        : socket_(socket), can_(can), scope_(scope), changes_(changes), roles_(around.roles) {}

    std::vector<Failure> run() {
        for (std::size_t at = 0; at < changes_.size() && !forbidden_; ++at) {
            at_ = at;
            std::visit([&](const auto& object) { carry_out(changes_[at].verb, object); }, changes_[at].object);
        }
        flush();
        if (forbidden_) {
            failures_.erase(failures_.begin(), failures_.end() - 1);
            return std::move(failures_);
        }
        std::ranges::stable_sort(failures_, {}, &Failure::change);
        return std::move(failures_);
    }
    bool changed_devices() const { return changed_devices_; }

  private:
    void fail(std::size_t change, int error, std::string message) {
        failures_.push_back({change, error, std::move(message)});
    }

    void fail(std::size_t change, const Outcome& outcome) {
        if (outcome.error == EPERM && !forbidden_) {
            forbidden_ = true;
            fail(change, EPERM,
                 fmt::format("{}: not permitted: weftd needs CAP_NET_ADMIN; start it as root or from its systemd unit "
                             "({})",
                             to_string(changes_[change]), outcome.words()));
        } else if (!forbidden_) {
            std::string text = fmt::format("{}: {}", to_string(changes_[change]), outcome.words());
            if (outcome.error == EEXIST) text += rival_of(changes_[change]);
            fail(change, outcome.error, std::move(text));
        }
    }

    void carry_out(Verb, const Sysctl& setting) {
        flush();
        if (const int error = write_sysctl(setting); error != 0) {
            fail(at_, error,
                 fmt::format("cannot write {} to /proc/sys/net/{}: {}", setting.value, setting.path,
                             Outcome{error, {}}.words()));
        }
    }

    void carry_out(Verb verb, const VxlanDevice& device) {
        flush();
        const auto outcome = verb == Verb::remove ? netlink::remove(socket_, device)
                                                  : netlink::configure(socket_, device, roles_.index(device.parent));
        if (outcome.unknown_kind) can_.vxlan = false;
        finish_device(outcome, device.role, device.name);
    }

    void carry_out(Verb verb, const IpipDevice& device) {
        flush();
        const auto outcome =
            verb == Verb::remove ? netlink::remove(socket_, device) : netlink::configure(socket_, device);
        if (outcome.unknown_kind) can_.ipip = false;
        finish_device(outcome, Device::ipip, device.name);
    }

    void finish_device(const netlink::DeviceOutcome& outcome, Device role, const std::string& name) {
        changed_devices_ = true;
        if (outcome.error == EPERM) {
            fail(at_, Outcome{EPERM, outcome.text});
        } else if (outcome.error != 0) {
            fail(at_, outcome.error, outcome.text);
        }
        const auto link = outcome.usable ? netlink::find_link(socket_, name) : std::nullopt;
        const std::uint32_t index = link ? link->index : 0;
        if (role == Device::vxlan4) roles_.vxlan4 = index;
        if (role == Device::vxlan6) roles_.vxlan6 = index;
        if (role == Device::ipip) roles_.ipip = index;
    }

    void carry_out(Verb verb, const Neighbour& entry) {
        if (there(verb, entry.device)) write_neighbour(batch_, verb, entry, roles_, number());
        flush_full();
    }
    void carry_out(Verb verb, const FdbEntry& entry) {
        if (there(verb, entry.device)) write_fdb(batch_, verb, entry, roles_, number());
        flush_full();
    }
    void carry_out(Verb verb, const Nexthop& nexthop) {
        if (verb == Verb::remove || there(verb, nexthop.via.device)) {
            write_nexthop(batch_, verb, nexthop, roles_, number());
        }
        flush_full();
    }
    void carry_out(Verb verb, const ObservedRoute& route) {
        const bool needs_device = verb != Verb::remove && route.route.type == RouteType::unicast;
        if (!needs_device || there(verb, route.route.via.device)) write_route(batch_, verb, route, roles_, number());
        flush_full();
    }

    /// Whether the device exists. An object on one that does not cannot be written, and has no need to be removed.
    bool there(Verb verb, Device device) {
        if (roles_.index(device) != 0) return true;
        if (verb != Verb::remove) {
            fail(at_, ENODEV, fmt::format("{}: waits for {}", to_string(changes_[at_]), missing(device)));
        }
        return false;
    }

    std::string missing(Device device) const {
        switch (device) {
            case Device::vxlan4:
                return "device " + scope_.vxlan_device4;
            case Device::vxlan6:
                return "device " + scope_.vxlan_device6;
            case Device::ipip:
                return "device " + scope_.ipip_device;
            case Device::under4:
                return "a device with this node's address " + (scope_.own4 ? to_string(*scope_.own4) : "(not known)");
            case Device::under6:
                return "a device with this node's address " + (scope_.own6 ? to_string(*scope_.own6) : "(not known)");
            default:
                return "a device";
        }
    }

    std::uint32_t number() {
        const std::uint32_t sequence = socket_.take_sequence();
        if (numbers_.empty()) first_ = sequence;
        numbers_.push_back(at_);
        return sequence;
    }

    void flush_full() {
        if (batch_.bytes().size() >= kBatch) flush();
    }

    void flush() {
        if (numbers_.empty()) return;
        const std::vector<std::size_t> sent = std::move(numbers_);
        numbers_.clear();
        const auto last = static_cast<std::uint32_t>(first_ + sent.size() - 1);
        std::vector<std::pair<std::size_t, Outcome>> refused;
        const Outcome exchange = socket_.exchange(batch_, last, [&](std::uint32_t sequence, const Answer& answer) {
            const std::uint32_t place = sequence - first_;
            if (place >= sent.size()) return;
            const std::size_t change = sent[place];
            if (changes_[change].verb == Verb::remove && already_gone(answer.error)) return;
            refused.emplace_back(change, Outcome{answer.error, std::string(answer.text)});
        });
        batch_.clear();
        // Without the answers nobody knows which of them took: all are reported, and the next observation tells.
        if (!exchange.ok()) {
            for (const std::size_t change : sent) fail(change, exchange);
            return;
        }
        for (const auto& [change, outcome] : refused) fail(change, outcome);
    }

    /// The foreign object that holds the same key, in words.
    std::string rival_of(const Change& change) {
        const auto* route = std::get_if<ObservedRoute>(&change.object);
        if (!route) return {};
        const Route& want = route->route;
        if (!rivals_[want.destination.family() == Family::v6]) {
            auto& all = rivals_[want.destination.family() == Family::v6].emplace();
            netlink::dump_routes(socket_, {want.destination.family(), 0, 0}, all);
        }
        for (const netlink::RawRoute& have : *rivals_[want.destination.family() == Family::v6]) {
            if (have.destination != want.destination || have.metric != want.metric || have.tos != 0) continue;
            const auto link = netlink::find_link(socket_, have.oif);
            return fmt::format(
                "; {} {}{}{} proto {} has the same destination and metric and is left alone: remove it or give it "
                "another metric",
                netlink::route_type_name(have.type), to_string(have.destination),
                have.gateway ? " via " + to_string(*have.gateway) : "", link ? " dev " + link->name : "",
                have.protocol);
        }
        return {};
    }

    netlink::Socket& socket_;
    Capabilities& can_;
    const Scope& scope_;
    std::span<const Change> changes_;
    Roles roles_;
    netlink::Writer batch_;
    std::vector<std::size_t> numbers_;  ///< for each message of the batch, the change it is
    std::uint32_t first_ = 0;           ///< sequence number of the batch's first message
    std::size_t at_ = 0;
    bool forbidden_ = false;
    bool changed_devices_ = false;
    std::optional<std::vector<netlink::RawRoute>> rivals_[2];
    std::vector<Failure> failures_;
};

}  // namespace

std::vector<Failure> NetlinkKernel::apply(const Scope& scope, std::span<const Change> changes) {
    if (changes.empty()) return {};
    const auto around = state_->survey(scope);
    if (!around) return {{0, EIO, around.error().message}};
    Application application(state_->requests, state_->can, scope, changes, *around);
    std::vector<Failure> failures = application.run();
    std::vector<std::size_t> failed(failures.size());
    std::ranges::transform(failures, failed.begin(), &Failure::change);
    state_->watch.learn(changes, failed);
    if (application.changed_devices()) {
        auto now = state_->survey(scope);
        if (now) state_->watch.learn_links(now->roles, std::move(now->links), std::move(now->addresses));
    }
    return failures;
}

}  // namespace weft
