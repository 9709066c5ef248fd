// The real kernel, over two netlink sockets: one for requests, one for notifications.
//
// Belongs to the network namespace of the thread that opens it. One thread at a time. Requests wait for the kernel
// alone (microseconds to milliseconds); notifications never wait.
#pragma once

#include <functional>
#include <memory>

#include "tunnel/kernel.hpp"

namespace weft {

class NetlinkKernel final : public Kernel {
  public:
    struct Options {
        bool nexthop_objects = true;  ///< false: act as if this kernel had none
        int notification_buffer = 0;  ///< in bytes, for what waits to be read; 0: ample
    };
    /// Fails without netlink sockets. Without CAP_NET_ADMIN it can still observe.
    static Result<std::unique_ptr<NetlinkKernel>> open(Options options);
    ~NetlinkKernel() override;
    NetlinkKernel(const NetlinkKernel&) = delete;
    NetlinkKernel& operator=(const NetlinkKernel&) = delete;

    Result<Host> host(const Scope& scope) override;
    bool can_make(std::string_view kind) override;
    Result<Observed> observe(const Scope& scope) override;
    /// Without CAP_NET_ADMIN nothing can be changed: it stops at the first refusal and returns that alone.
    std::vector<Failure> apply(const Scope& scope, std::span<const Change> changes) override;
    Result<Lookup> lookup(const Address& destination) override;
    Result<std::vector<ObservedRoute>> routes_of(std::uint8_t protocol) override;
    /// Notices begin with the first observe(), which tells what there is to watch.
    void watch(std::function<void(const Notice&)> notify) override;

    /// Readable when there are notifications; then call read_notifications, which drains it and calls back.
    int notification_fd() const;
    void read_notifications();

  private:
    struct State;
    explicit NetlinkKernel(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace weft
