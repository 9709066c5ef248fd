#include "daemon/controller.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "daemon/kernel_needs.hpp"
#include "daemon/logging.hpp"
#include "daemon/show.hpp"
#include "daemon/supervisor.hpp"

namespace weft {
namespace {

constexpr std::chrono::milliseconds kFirstRetry{500};

std::string text_of(const std::vector<Diagnostic>& diagnostics, Severity severity) {
    std::string text;
    for (const Diagnostic& diagnostic : diagnostics) {
        if (diagnostic.severity != severity) continue;
        if (!text.empty()) text += '\n';
        text += to_string(diagnostic);
    }
    return text;
}

/// A remote node's address to ask the kernel for the way to: preferably outside this node's subnet, because the
/// device that leads there is the one whose MTU the tunnel has to fit.
std::optional<Address> some_peer(const Cluster& cluster, const Node* self, Family family) {
    std::optional<Address> near;
    for (const Node& node : cluster.nodes) {
        const auto& address = node.address(family);
        if (&node == self || !address) continue;
        if (self == nullptr || !self->address(family)) return address->address;
        if (!self->address(family)->network().contains(address->address)) return address->address;
        if (!near) near = address->address;
    }
    return near;
}

}  // namespace

Scope scope_of(const Config& config, const Cluster& cluster) {
    const Node* const self = cluster.find_node(config.hostname.value);
    Scope scope{.vxlan_device4 = cluster.vxlan.device4,
                .vxlan_device6 = cluster.vxlan.device6,
                .ipip_device = cluster.ipip.device,
                .own4 = {},
                .own6 = {},
                .peer4 = some_peer(cluster, self, Family::v4),
                .peer6 = some_peer(cluster, self, Family::v6),
                .vni = cluster.vxlan.vni,
                .port = cluster.vxlan.port};
    if (self != nullptr && self->address4) scope.own4 = self->address4->address;
    if (self != nullptr && self->address6) scope.own6 = self->address6->address;
    return scope;
}

Controller::Controller(boost::asio::io_context& io, Options options, Kernel& kernel)
    : io_(io),
      options_(std::move(options)),
      kernel_(kernel),
      bgp_(io, state_, kernel, [this] { update_phase(); }),
      follower_(
          io, state_, [this] { source_followed(); }, [this] { source_noted(); }),
      registering_(io, state_, kernel, [this] { update_phase(); }),
      settle_(io),
      retry_(io),
      audit_(io),
      revert_(io),
      contested_(io),
      handover_(io, [this](std::string cause) { look_again(std::move(cause)); }),
      retry_after_(kFirstRetry) {
    state_.started = std::chrono::steady_clock::now();
    state_.started_wall = std::chrono::system_clock::now();
}

Controller::~Controller() = default;

Scope Controller::scope() const {
    Scope scope = scope_of(state_.config, state_.cluster);
    scope.bird = handover_.looks_at_bird();
    return scope;
}

Result<Controller::Running> Controller::load(const std::string& file) const {
    Loaded loaded = load_config(file, options_.environment);
    if (!loaded.ok()) return Error{text_of(loaded.diagnostics, Severity::error)};
    if (options_.control_socket) {
        loaded.config.control_socket = {.value = *options_.control_socket,
                                        .origin = {.kind = Origin::Kind::command_line, .place = {}, .variable = {}}};
    }
    return Running{.file = file, .config = std::move(loaded.config), .warnings = std::move(loaded.diagnostics)};
}

Result<Done> Controller::fits_kernel(const Config& next) const {
    Config config = next;
    const auto cluster = follower_.preview(config);
    if (!cluster) return Done{};  // what a source says later cannot be refused now
    for (const KernelNeed& need : new_kernel_needs(kernel_needs(state_.cluster, state_.backend()),
                                                   kernel_needs(*cluster, config.backend.value))) {
        if (!kernel_.can_make(need.kind)) return Error{missing_text(need)};
    }
    return Done{};
}

Result<Done> Controller::start() {
    auto first = load(options_.config_file);
    if (first) {
        recall(first->config.state_directory.value);
    } else {
        first = last_good(first.error());
    }
    if (!first) return first.error();
    kernel_.watch([this](const Kernel::Notice& notice) { kernel_noticed(notice); });
    if (const auto adopted = adopt(*std::move(first)); !adopted) return adopted.error();
    for (const std::string& trouble : {state_.source.configuration, state_.source.disk}) {
        if (trouble.empty()) continue;
        spdlog::error("{}", trouble);
        state_.note(trouble, "start");
    }
    spdlog::info("weftd {} runs node {} with {}, calico_backend {}", WEFT_VERSION, state_.node, state_.config_file,
                 to_string(state_.backend()));
    schedule_audit();
    return Done{};
}

Result<Controller::Running> Controller::last_good(const Error& broken) {
    // As far as the file can be read it still says where the state directory is.
    Loaded loaded = load_config(options_.config_file, options_.environment);
    auto known = read_last_known(loaded.config.state_directory.value);
    if (!known) return Error{fmt::format("{}\n{}", broken.message, known.error().message)};
    if (!*known) return broken;
    Running running{.file = options_.config_file, .config = (*known)->config, .warnings = {}};
    for (const Diagnostic& found : complete_config(running.config, options_.environment)) {
        if (found.severity == Severity::error) return broken;
    }
    if (options_.control_socket) running.config.control_socket.value = *options_.control_socket;
    state_.source.configuration =
        fmt::format("{} is broken, so the configuration known since {} is run: {}", options_.config_file,
                    time_text((*known)->since), broken.message.substr(0, broken.message.find('\n')));
    ++state_.counters.errors["config"];
    follower_.recall(*std::move(*known));
    return running;
}

void Controller::recall(const std::string& state_directory) {
    auto known = read_last_known(state_directory);
    if (!known) {
        state_.source.disk = known.error().message;
    } else if (*known) {
        follower_.recall(*std::move(*known));
    }
}

/// Makes a verified configuration the running one. All that can refuse it comes before the first thing that changes.
Result<Done> Controller::adopt(Running next) {
    if (!state_.config_loaded || next.config.log != state_.config.log) {
        if (const auto logging = set_up_logging(next.config.log); !logging) return logging.error();
    }
    for (const Diagnostic& warning : next.warnings) spdlog::warn("{}", to_string(warning));
    state_.config_file = next.file;
    state_.config = std::move(next.config);
    state_.config_warnings = std::move(next.warnings);
    state_.config_loaded = true;
    state_.node = state_.config.hostname.value;
    follower_.follow(state_.config, state_.cluster_known ? &state_.cluster : nullptr);
    const Cluster before = take_cluster();
    handover_.begin(before, state_.cluster, state_.node);
    ++state_.counters.source_events;
    state_.last_reload = std::chrono::system_clock::now();
    state_.last_reload_result = "ok";
    observed_stale_ = true;  // devices may have other names, this node another address
    cause_ = "configuration";
    retry_after_ = kFirstRetry;
    contention_.clear();
    if (state_.cluster_known) {
        reconcile();
    } else {
        update_phase();
    }
    registering_.look();
    return Done{};
}

Cluster Controller::take_cluster() {
    state_.source_synced = state_.source.status.synced;
    if (!follower_.knows()) return state_.cluster;
    state_.cluster_known = true;
    bgp_.cluster_changed();
    return std::exchange(state_.cluster, follower_.cluster(state_.config));
}

void Controller::source_followed() {
    const Backend before = state_.backend();
    const Scope watched = scope();
    const Cluster earlier = take_cluster();
    // Nodes and blocks come and go all the time.
    if (earlier.pools != state_.cluster.pools || earlier.vxlan != state_.cluster.vxlan ||
        earlier.ipip != state_.cluster.ipip || state_.backend() != before) {
        handover_.begin(earlier, state_.cluster, state_.node);
        contention_.clear();
    } else {
        handover_.follow(earlier, state_.cluster, state_.node);
    }
    if (state_.backend() != before) {
        spdlog::info("calico_backend {} ({})", to_string(state_.backend()), to_string(state_.config.backend.origin));
    }
    // With the same devices and addresses to look at, what was observed is still what there is.
    if (scope() != watched) observed_stale_ = true;
    registering_.look();
    // At once: a source has waited already for what belongs to one change.
    cause_ = state_.source.status.name;
    reconcile();
}

void Controller::source_noted() {
    state_.source_synced = state_.source.status.synced;
    registering_.look();
    update_phase();
}

Result<Done> Controller::configure(const std::optional<std::string>& file,
                                   std::optional<std::chrono::seconds> timeout) {
    notify_reloading();
    const std::string path = file.value_or(state_.config_file);
    Running before{.file = state_.config_file, .config = state_.config, .warnings = state_.config_warnings};
    auto next = load(path);
    Result<Done> result = next ? fits_kernel(next->config) : Result<Done>(next.error());
    if (result) {
        state_.source.configuration.clear();
        result = adopt(*std::move(next));
    }
    notify_ready();
    if (!result) {
        ++state_.counters.reloads_failed;
        ++state_.counters.errors["config"];
        state_.last_reload = std::chrono::system_clock::now();
        state_.last_reload_result = result.error().message;
        spdlog::error("{} refused, the running configuration stays:\n{}", path, result.error().message);
        state_.note(fmt::format("configuration {} refused", path), result.error().message);
        return result;
    }
    ++state_.counters.reloads_ok;
    previous_ = std::move(before);
    spdlog::info("configuration {} is running", path);
    state_.note(fmt::format("configuration {} is running", path), "configure");
    revert_.cancel();
    if (timeout) {
        revert_.expires_after(*timeout);
        revert_.async_wait([this](const boost::system::error_code& stopped) {
            if (stopped) return;
            spdlog::warn("configuration not confirmed in time, going back to the one before");
            if (const auto undone = undo(); !undone) spdlog::error("{}", undone.error().message);
        });
    }
    return Done{};
}

Result<std::string> Controller::check(const std::optional<std::string>& file) {
    const auto loaded = load(file.value_or(state_.config_file));
    if (!loaded) return loaded.error();
    return text_of(loaded->warnings, Severity::warning);
}

Result<Done> Controller::confirm() {
    if (revert_.cancel() == 0) return Error{"no configuration waits to be confirmed"};
    return Done{};
}

Result<Done> Controller::undo() {
    if (!previous_) return Error{"there is no configuration to go back to"};
    revert_.cancel();
    Running before = *std::exchange(previous_, std::nullopt);
    state_.note(fmt::format("back to configuration {}", before.file), "undo");
    return adopt(std::move(before));
}

Result<Preview> Controller::preview(const std::optional<std::string>& file) {
    auto next = load(file.value_or(state_.config_file));
    if (!next) return next.error();
    if (state_.config_loaded) {
        if (const auto fits = fits_kernel(next->config); !fits) return fits.error();
    }
    const auto previewed = follower_.preview(next->config);
    if (!previewed) return previewed.error();
    const Cluster& cluster = *previewed;
    const Scope scope = scope_of(next->config, cluster);
    const auto host = kernel_.host(scope);
    if (!host) return host.error();
    const auto observed = kernel_.observe(scope);
    if (!observed) return observed.error();
    // What is watched are the running configuration's objects, not those that were only looked at.
    if (state_.config_loaded && scope != this->scope()) observed_stale_ = !observe();
    Plan wanted = plan({.cluster = cluster,
                        .host = *host,
                        .node = next->config.hostname.value,
                        .backend = next->config.backend.value});
    keep_interim_names(wanted.desired, *observed, host->renames_live());
    return Preview{.kernel = difference(wanted.desired, *observed), .bird = bird_difference(next->config, cluster)};
}

Result<Lookup> Controller::lookup(const Address& destination) {
    return kernel_.lookup(destination);
}

void Controller::stop() {
    notify_stopping();
    follower_.stop();
    spdlog::info("weftd stops; the kernel's routes and devices stay, so traffic goes on");
}

}  // namespace weft
