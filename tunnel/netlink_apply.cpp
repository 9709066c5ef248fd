#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tunnel/netlink_devices.hpp"
#include "tunnel/netlink_state.hpp"
#include "tunnel/sysctl.hpp"

namespace weft {
namespace {

using netlink::Answer;
using netlink::Outcome;
using netlink::Roles;

constexpr std::size_t kBatch = 65536;  // bytes; larger ones are no faster

/// What a removal meets when the object is gone already, which is what was asked for.
bool already_gone(int error) {
    return error == ENOENT || error == ESRCH || error == ENODEV || error == EADDRNOTAVAIL;
}

/// One run through a list of changes. Devices are carried out one step at a time, everything else in batches.
///
/// IPv6 refuses an onlink gateway (EINVAL, ip6_route_check_nh_onlink) while another route leads to that gateway through
/// another device. A remote VTEP's tunnel address lies in one of that node's blocks, so this meets every node that
/// moves from the underlay to the tunnel: its gateway is reached by the very route that is to be replaced. What was
/// refused that way is written again before anything is removed, with a host route to each such gateway through the
/// tunnel standing meanwhile.
class Application {
  public:
    Application(netlink::Socket& socket, Capabilities& can, const Scope& scope, std::span<const Change> changes,
                const Surroundings& around, const netlink::Watch& watch)
        : socket_(socket), can_(can), scope_(scope), changes_(changes), roles_(around.roles), watch_(watch) {}

    std::vector<Failure> run() {
        for (std::size_t at = 0; at < changes_.size() && !forbidden_; ++at) {
            const bool remove = changes_[at].verb == Verb::remove;
            if (remove && !removing_) write_refused_again();
            removing_ = remove;
            carry_out(at);
        }
        write_refused_again();
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
        const bool stayed = changes_[change].verb == Verb::replace && object_kind(changes_[change].object) == "route";
        route_stayed_ = route_stayed_ || stayed;
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

    void carry_out(std::size_t at) {
        at_ = at;
        std::visit([&](const auto& object) { carry_out(changes_[at].verb, object); }, changes_[at].object);
    }

    void carry_out(Verb, const Sysctl& setting) {
        flush();
        if (const int error = write_sysctl(setting); error != 0) {
            fail(at_, error,
                 fmt::format("cannot write {} to /proc/sys/net/{}: {}", setting.value, setting.path,
                             Outcome{error, {}}.words()));
            // A device's own setting, PROTOCOL/conf/DEVICE/..., is missing with the device.
            const std::size_t device = setting.path.find("/conf/");
            if (error == ENOENT && device != std::string::npos) {
                const std::string rest = setting.path.substr(device + 6);
                failures_.back().waits_for = "device " + rest.substr(0, rest.find('/'));
            }
        }
    }

    void carry_out(Verb verb, const VxlanDevice& device) {
        flush();
        const auto outcome = verb == Verb::remove ? netlink::remove(socket_, device)
                                                  : netlink::configure(socket_, device, roles_.index(device.role),
                                                                       roles_.index(device.parent));
        if (outcome.unknown_kind) can_.vxlan = false;
        finish_device(outcome, device.role);
    }

    void carry_out(Verb verb, const IpipDevice& device) {
        flush();
        const auto outcome =
            verb == Verb::remove ? netlink::remove(socket_, device) : netlink::configure(socket_, device);
        if (outcome.unknown_kind) can_.ipip = false;
        finish_device(outcome, Device::ipip);
    }

    void finish_device(const netlink::DeviceOutcome& outcome, Device role) {
        changed_devices_ = true;
        if (outcome.error == EPERM) {
            fail(at_, Outcome{EPERM, outcome.text});
        } else if (outcome.error != 0) {
            fail(at_, outcome.error, outcome.text);
        }
        roles_.set(role, outcome.usable ? outcome.index : 0);
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
        // The kernel drops a nexthop's routes along with it, and one that could not be moved off may still be there.
        if (verb == Verb::remove && route_stayed_) {
            fail(at_, EBUSY,
                 to_string(changes_[at_]) + ": kept, a route that should have left it could not be changed");
        } else if (verb == Verb::remove || there(verb, nexthop.via.device)) {
            write_nexthop(batch_, verb, nexthop, roles_, number());
        }
        flush_full();
    }
    void carry_out(Verb verb, const ObservedRoute& route) {
        const bool needs_device = verb != Verb::remove && route.route.type == RouteType::unicast;
        if (verb == Verb::add && watch_.holds(route.route)) verb = Verb::replace;
        if (!needs_device || there(verb, route.route.via.device)) write_route(batch_, verb, route, roles_, number());
        flush_full();
    }

    /// Whether the device exists. An object on one that does not cannot be written, and has no need to be removed.
    bool there(Verb verb, Device device) {
        if (roles_.index(device) != 0) return true;
        if (verb != Verb::remove) {
            fail(at_, ENODEV, fmt::format("{}: waits for {}", to_string(changes_[at_]), missing(device)));
            failures_.back().waits_for = missing(device);
        }
        return false;
    }

    std::string missing(Device device) const {
        switch (device) {
            case Device::vxlan4:
                return "device " + scope_.vxlan_device4;
            case Device::vxlan6:
                return "device " + scope_.vxlan_device6;
            case Device::old4:
            case Device::old6:
            case Device::older4:
            case Device::older6:
                return "the device that the route led through";
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
        for (const auto& [change, outcome] : refused) {
            if (outcome.error == EINVAL && !again_ && tunnel_gateway(changes_[change]))
                refused_.push_back(change);
            else
                fail(change, outcome);
        }
    }

    /// The gateway within the IPv6 tunnel that the change, if it is to write one, needs to reach.
    static const Via* tunnel_gateway(const Change& change) {
        const Via* via = nullptr;
        if (const auto* nexthop = std::get_if<Nexthop>(&change.object)) via = &nexthop->via;
        if (const auto* route = std::get_if<ObservedRoute>(&change.object)) via = &route->route.via;
        const bool tunnelled = via && via->device == Device::vxlan6 && via->gateway && via->onlink;
        return tunnelled && change.verb != Verb::remove ? via : nullptr;
    }

    void write_refused_again() {
        flush();
        if (refused_.empty()) return;
        again_ = true;
        const std::vector<std::size_t> again = std::exchange(refused_, {});
        std::vector<Address> gateways;
        gateways.reserve(again.size());
        for (const std::size_t change : again) gateways.push_back(*tunnel_gateway(changes_[change])->gateway);
        std::ranges::sort(gateways);
        gateways.erase(std::unique(gateways.begin(), gateways.end()), gateways.end());
        write_host_routes(Verb::add, gateways);
        for (const std::size_t change : again) carry_out(change);
        flush();
        write_host_routes(Verb::remove, gateways);
        again_ = false;
    }

    /// Of weft's protocol, so that the next start removes them should this one be killed in between; of a metric that
    /// no route of weft has.
    void write_host_routes(Verb verb, const std::vector<Address>& gateways) {
        netlink::Writer writer;
        for (std::size_t at = 0; at < gateways.size(); ++at) {
            const ObservedRoute route{{host_prefix(gateways[at]), 1, RouteType::unicast, {Device::vxlan6, {}, false}},
                                      0};
            const std::uint32_t sequence = socket_.take_sequence();
            write_route(writer, verb, route, roles_, sequence);
            if (writer.bytes().size() < kBatch && at + 1 < gateways.size()) continue;
            socket_.exchange(writer, sequence, [](std::uint32_t, const Answer&) {});
            writer.clear();
        }
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
    const netlink::Watch& watch_;
    netlink::Writer batch_;
    std::vector<std::size_t> numbers_;  ///< for each message of the batch, the change it is
    std::uint32_t first_ = 0;           ///< sequence number of the batch's first message
    std::size_t at_ = 0;
    std::vector<std::size_t> refused_;  ///< to be written again
    bool again_ = false;
    bool removing_ = false;
    bool route_stayed_ = false;  ///< where it was: its replacement was refused
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
    Application application(state_->requests, state_->can, scope, changes, *around, state_->watch);
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
