// A kernel in memory: it holds what was applied, can refuse chosen objects, and can be changed behind weft's back.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tunnel/kernel.hpp"
#include "tunnel/record.hpp"

namespace weft {

class SimulatedKernel final : public Kernel {
  public:
    Host host_facts;
    Observed observed;
    std::vector<ObservedRoute> foreign_routes;  ///< of other protocols: what routes_of() answers
    std::string refuse;                         ///< changes whose text holds this are refused; empty: none
    std::string lacks;                          ///< the kind of device that cannot be made; empty: none
    std::size_t applied = 0;                    ///< changes taken so far
    std::function<void(const Notice&)> notify;

    SimulatedKernel() {
        host_facts.kernel = {.major = 6, .minor = 1, .patch = 0};
        host_facts.underlay4 = Underlay{.device = "eth0", .index = 2, .mtu = 1500};
        host_facts.underlay6 = host_facts.underlay4;
    }

    Result<Host> host(const Scope&) override { return host_facts; }
    bool can_make(std::string_view kind) override { return kind != lacks; }
    Result<Observed> observe(const Scope&) override { return observed; }

    std::vector<Failure> apply(const Scope&, std::span<const Change> changes) override {
        std::vector<Failure> failures;
        for (std::size_t i = 0; i < changes.size(); ++i) {
            const std::string text = to_string(changes[i]);
            if (!refuse.empty() && text.find(refuse) != std::string::npos) {
                failures.push_back({.change = i, .error = EPERM, .message = text + ": refused"});
                continue;
            }
            ++applied;
            if (const auto* route = std::get_if<ObservedRoute>(&changes[i].object);
                route && route->route.protocol != kProtocol && changes[i].verb == Verb::remove) {
                std::erase(foreign_routes, *route);
                continue;
            }
            if (!record(observed, changes[i])) enter_device(changes[i]);
        }
        return failures;
    }

    Result<Lookup> lookup(const Address& destination) override {
        Lookup found;
        found.destination = destination;
        found.device = "eth0";
        found.type = "unicast";
        return found;
    }
    Result<std::vector<ObservedRoute>> routes_of(std::uint8_t protocol) override {
        std::vector<ObservedRoute> found;
        for (const ObservedRoute& route : foreign_routes) {
            if (route.route.protocol == protocol) found.push_back(route);
        }
        return found;
    }
    void watch(std::function<void(const Notice&)> callback) override { notify = std::move(callback); }

    /// Somebody else changes what is there.
    void meddle(const std::function<void(Observed&)>& change, std::string object) {
        change(observed);
        notify({.full = false, .by = 4711, .object = std::move(object)});
    }

  private:
    void enter_device(const Change& change) {
        if (const auto* vxlan = std::get_if<VxlanDevice>(&change.object)) {
            std::erase_if(observed.vxlan, [&](const ObservedVxlan& known) { return known.device.role == vxlan->role; });
            if (change.verb == Verb::remove) return;
            observed.vxlan.push_back({.device = *vxlan,
                                      .index = 10,
                                      .addresses = {{.address = vxlan->address, .length = bits(vxlan->address.family)}},
                                      .external = false});
            std::sort(observed.vxlan.begin(), observed.vxlan.end(),
                      [](const auto& a, const auto& b) { return a.device.role < b.device.role; });
        } else if (const auto* ipip = std::get_if<IpipDevice>(&change.object)) {
            observed.ipip =
                ObservedIpip{.device = *ipip, .index = 11, .addresses = {{.address = ipip->address, .length = 32}}};
        }
    }
};

}  // namespace weft
