// The controller joins the others: source -> cluster -> plan -> difference -> kernel, and the cluster -> BIRD.
//
// One thread, one io_context. Something changed (the file, the kernel, BIRD) -> wait a moment for more of it -> plan
// -> difference -> apply -> record what the kernel has now. A change that fails stays in the next difference, is tried
// again with back-off, is visible in status and metrics, and does not stop the rest. Nothing is written before the
// source has been read once; stopping writes nothing at all, so that traffic goes on while weftd is away.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "daemon/actions.hpp"
#include "daemon/bgp_side.hpp"
#include "daemon/contention.hpp"
#include "daemon/follower.hpp"
#include "daemon/handover.hpp"
#include "daemon/registering.hpp"
#include "daemon/state.hpp"
#include "tunnel/kernel.hpp"

namespace weft {

class Controller final : public Actions {
  public:
    struct Options {
        std::string config_file;
        std::optional<std::string> control_socket;  ///< from the command line; wins over the file
        Environment environment;
    };

    /// `kernel` outlives the controller.
    Controller(boost::asio::io_context& io, Options options, Kernel& kernel);
    ~Controller() override;
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// Loads the configuration and brings the kernel to it. An error means that weftd cannot go on: the message holds
    /// the diagnostics. What may pass (a port in use, a device in the way) is no error: it is retried and shown.
    Result<Done> start();
    /// Last words to the log; the kernel and BIRD are left as they are.
    void stop();

    const State& state() const { return state_; }
    /// Called after each reconcile and each change of phase.
    void on_change(std::function<void()> callback) { changed_ = std::move(callback); }

    Result<Done> configure(const std::optional<std::string>& file,
                           std::optional<std::chrono::seconds> timeout) override;
    Result<std::string> check(const std::optional<std::string>& file) override;
    Result<Done> confirm() override;
    Result<Done> undo() override;
    Result<Done> accept_source() override { return follower_.accept(); }
    Result<Done> remove_node(const std::string& node) override { return registering_.remove(node); }
    Result<Preview> preview(const std::optional<std::string>& file) override;
    Result<Lookup> lookup(const Address& destination) override;

  private:
    /// A verified configuration and where it came from.
    struct Running {
        std::string file;
        Config config;
        std::vector<Diagnostic> warnings;
    };

    Result<Running> load(const std::string& file) const;
    /// Refuses what the running configuration does not need of the kernel, `next` does, and the kernel lacks.
    Result<Done> fits_kernel(const Config& next) const;
    /// The last good configuration, where the file is broken at the start.
    Result<Running> last_good(const Error& broken);
    void recall(const std::string& state_directory);
    Result<Done> adopt(Running next);
    /// Returns the cluster from before.
    Cluster take_cluster();
    void source_followed();
    void source_noted();
    void kernel_noticed(const Kernel::Notice& notice);
    /// Once nothing more has been told for a moment.
    void reconcile_soon(std::string cause);
    void settle(std::chrono::steady_clock::time_point latest);
    void look_again(std::string cause);
    void reconcile();
    /// One pass; false when it has to be made again because devices changed.
    bool apply(const std::vector<Change>& changes);
    bool observe();
    void note_changes(const std::vector<Change>& changes, const std::vector<Failure>& failures);
    void report_failures(std::vector<std::string> failures);
    void report_problems(std::vector<Problem> problems);
    void schedule_retry();
    void schedule_audit();
    void schedule_contested();
    void update_phase();
    Scope scope() const;

    boost::asio::io_context& io_;
    Options options_;
    Kernel& kernel_;
    State state_;
    BgpSide bgp_;
    std::function<void()> changed_;
    Follower follower_;
    Registering registering_;

    boost::asio::steady_timer settle_;  ///< waits for more of the same before a reconcile
    boost::asio::steady_timer retry_;
    boost::asio::steady_timer audit_;
    boost::asio::steady_timer revert_;  ///< `configure timeout`
    boost::asio::steady_timer contested_;
    Contention contention_;
    Handover handover_;
    bool settling_ = false;
    std::chrono::steady_clock::time_point quiet_at_;  ///< unless there is more until then
    bool observed_stale_ = true;                      ///< only a dump can tell what the kernel has
    bool drift_ = false;                              ///< somebody else changed what is ours since the last reconcile
    std::string cause_;
    std::chrono::milliseconds retry_after_;
    std::optional<Running> previous_;  ///< for `configure undo`
    bool ready_told_ = false;
};

/// What weft owns on this host as `config` names it.
Scope scope_of(const Config& config, const Cluster& cluster);

}  // namespace weft
