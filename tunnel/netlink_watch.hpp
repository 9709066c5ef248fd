// Which of the kernel's notifications concern weft.
//
// A node's kernel talks all the time: workloads' devices, neighbours and routes come and go. And it repeats what weft
// itself did: routes and nexthops with our port id, but links, addresses and forwarding entries without one. So the
// watcher keeps what weft believes to be there (as last dumped, and as changed since by weft), and a notification
// counts only when it contradicts that.
//
// A setting under /proc/sys is announced with the device it belongs to, not with what set it: what is there is
// compared.
//
// What no notification tells: when a device goes down or away, its IPv4 routes and its nexthop objects go without a
// word each; the notice about the device (full) stands for them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "tunnel/kernel.hpp"
#include "tunnel/netlink_codec.hpp"

namespace weft::netlink {

/// The groups to subscribe to.
std::span<const int> watched_groups();

class Watch {
  public:
    /// What was just dumped. `links`: our devices and the underlay's.
    void learn(const Scope& scope, const Roles& roles, std::vector<Link> links, std::vector<LinkAddress> addresses,
               const Observed& observed);
    /// Our own devices or addresses as they are after we changed them.
    void learn_links(const Roles& roles, std::vector<Link> links, std::vector<LinkAddress> addresses);
    /// What was just carried out; the changes whose places are in `failed` (sorted) were not.
    void learn(std::span<const Change> changes, const std::vector<std::size_t>& failed);

    struct Verdict {
        std::optional<Kernel::Notice> notice;
        bool look_at_links = false;    ///< one of the links that matter may have changed: compare with `links`
        bool look_at_sysctls = false;  ///< a setting may have changed: compare with `sysctls`
    };
    /// Judges one notification. `own_port`: of the socket weft writes through.
    Verdict judge(const Message& message, std::uint32_t own_port) const;

    const Scope& scope() const { return scope_; }
    const std::vector<Link>& links() const { return links_; }
    /// As last read or written.
    const std::vector<Sysctl>& sysctls() const { return sysctls_; }
    /// Whether a route of this key is or was weft's, and was not removed by it: whoever put another one into its place
    /// overrode ours, while a foreign route that was there before ours is left alone.
    bool holds(const Route& route) const;
    /// Whether anything has been learned: before that nothing concerns us.
    bool started() const { return started_; }

  private:
    struct RouteKey {
        Prefix destination;
        std::uint32_t metric = 0;
        auto operator<=>(const RouteKey&) const = default;
    };

    Verdict judge_link(const Message& message) const;
    Verdict judge_address(const Message& message) const;
    Verdict judge_route(const Message& message) const;
    Verdict judge_nexthop(const Message& message) const;
    Verdict judge_neighbour(const Message& message) const;
    Verdict judge_setting(const Message& message) const;
    template <class Entry>
    Verdict judge_entry(const std::vector<Entry>& believed, const Entry& entry, bool there, bool permanent) const;

    bool started_ = false;
    Scope scope_;
    Roles roles_;
    std::vector<Link> links_;
    std::vector<LinkAddress> addresses_;
    std::vector<Neighbour> neighbours_;
    std::vector<FdbEntry> fdb_;
    std::vector<RouteKey> routes_;  ///< all that `holds`
    std::vector<Sysctl> sysctls_;
};

}  // namespace weft::netlink
