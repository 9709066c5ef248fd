#include <utility>

#include "daemon/registering.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-id128.h>

#include <algorithm>
#include <tuple>

#include "conf/node_removal.hpp"
#include "conf/registrar.hpp"
#include "daemon/own_address.hpp"

namespace weft {
namespace {

/// As Calico's AUTODETECT_POLL_INTERVAL.
constexpr std::chrono::seconds kPoll{60};

/// This machine, the same after a restart, and nothing that tells its machine-id.
std::string machine() {
    constexpr sd_id128_t kWeft{
        .bytes = {0x5d, 0x1c, 0x6f, 0x0e, 0x8a, 0x37, 0x4b, 0x0f, 0x9c, 0x42, 0x77, 0x1e, 0xd3, 0x60, 0xb5, 0xa9}};
    sd_id128_t id{};
    if (sd_id128_get_machine_app_specific(kWeft, &id) < 0) return "machine";
    return fmt::format("{:02x}", fmt::join(id.bytes, ""));
}

/// Whatever else may differ: the client goes on, and with it the signs of life that were put through it.
bool same_store(const EtcdSource& one, const EtcdSource& other) {
    const auto asked = [](const EtcdSource& source) {
        return std::tie(source.endpoints, source.ca, source.certificate, source.key, source.user, source.password);
    };
    return asked(one) == asked(other);
}

const Node* holder(const Cluster& cluster, const std::string& self, const Address& address) {
    const auto found = std::ranges::find_if(cluster.nodes, [&](const Node& node) {
        const auto& own = node.address(address.family);
        return node.name != self && own && own->address == address;
    });
    return found == cluster.nodes.end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> shared_addresses(const Node& one, const Node& other) {
    std::vector<std::string> found;
    const auto compare = [&](const char* what, const auto& mine, const auto& theirs) {
        if (mine && mine == theirs) found.push_back(fmt::format("{} {}", what, to_string(*mine)));
    };
    const auto plain = [](const std::optional<InterfaceAddress>& address) {
        return address ? std::optional(address->address) : std::nullopt;
    };
    compare("address", plain(one.address4), plain(other.address4));
    compare("address", plain(one.address6), plain(other.address6));
    compare("VXLAN tunnel address", one.vxlan4, other.vxlan4);
    compare("VXLAN tunnel address", one.vxlan6, other.vxlan6);
    compare("IPIP tunnel address", one.ipip4, other.ipip4);
    return found;
}

std::vector<std::string> address_conflicts(const Cluster& cluster, const std::string& node) {
    std::vector<std::string> found;
    const Node* const self = cluster.find_node(node);
    if (self == nullptr) return found;
    for (const Node& other : cluster.nodes) {
        if (other.name == node) continue;
        for (const std::string& shared : shared_addresses(*self, other)) {
            found.push_back(
                fmt::format("node {} has this node's {} too: packets reach one of them only; change one, or remove the "
                            "node that is gone ('weftctl node remove NAME')",
                            other.name, shared));
        }
    }
    return found;
}

Registering::Registering(boost::asio::io_context& io, State& state, Kernel& kernel, std::function<void()> noted)
    : io_(io), state_(state), kernel_(kernel), noted_(std::move(noted)), poll_(io) {}

Registering::~Registering() = default;

std::optional<Host> Registering::host_now() {
    auto host = kernel_.host(Scope{});
    if (!host) return std::nullopt;
    return *std::move(host);
}

void Registering::poll() {
    poll_.expires_after(kPoll);
    poll_.async_wait([this](const boost::system::error_code& stopped) {
        if (stopped) return;
        fresh_ = host_now();
        look();
        fresh_.reset();
        if (registrar_) poll();
    });
}

void Registering::open(const EtcdSource& source) {
    if (client_ && source_ && same_store(*source_, source) && node_ == state_.node) return;
    registrar_.reset();
    removing_.clear();  // the client that was about it says no more
    client_ = std::make_unique<EtcdClient>(io_, etcd_options(source));
    source_ = source;
    node_ = state_.node;
    seen_ = {};
}

void Registering::look() {
    const auto* const source = std::get_if<EtcdSource>(&state_.config.source.value);
    if (source == nullptr) {
        registrar_.reset();  // it uses the client to the last
        client_.reset();
        source_.reset();
        return only_compare();
    }
    open(*source);
    if (!source->register_node) return only_compare();
    state_.registration.active = true;
    if (!state_.source_synced) return;
    found_ = address_conflicts(state_.cluster, node_);
    contended_.clear();
    const auto address4 = address(*source, Family::v4, state_.registration.address4);
    const auto address6 = address(*source, Family::v6, state_.registration.address6);
    const auto& either = address4 ? address4 : address6;
    const std::string instance = fmt::format("{}-{}", machine(), either ? to_string(either->address) : "none");
    if (!registrar_ || instance != instance_) {
        if (!registrar_) poll();
        instance_ = instance;
        registrar_ = std::make_unique<Registrar>(*client_, Registrar::Options{.node = node_, .instance = instance},
                                                 Registrar::Told{.done =
                                                                     [this](const std::string& what) {
                                                                         spdlog::info("registration: {}", what);
                                                                         state_.note(what, "registration");
                                                                     },
                                                                 .status =
                                                                     [this](const Registrar::Status&) {
                                                                         report();
                                                                         noted_();
                                                                     }});
    }
    // A store that is another one now is noticed by whoever reads it; until it has been read it is not written to.
    registrar_->hold(!state_.source.held.empty() || !state_.source.status.trouble.empty());
    registrar_->set_addresses(address4, address6);
    registrar_->contend(contended_);
    if (Concern now = concern(); now != seen_) {
        seen_ = std::move(now);
        registrar_->look();
    }
    fresh_.reset();
    report();
}

/// This node is registered by somebody else, or stands in a file: what is wrong there is told all the same.
void Registering::only_compare() {
    registrar_.reset();
    poll_.cancel();
    state_.registration = {};
    found_ = address_conflicts(state_.cluster, state_.node);
    report();
}

std::optional<InterfaceAddress> Registering::address(const EtcdSource& source, Family family, std::string& reason) {
    const AddressMethod method = source.method(family);
    if (!fresh_ && state_.host.links.empty()) fresh_ = host_now();
    const Host& host = fresh_ ? *fresh_ : state_.host;
    std::optional<Address> towards;
    if (method.kind == AddressMethod::Kind::can_reach && method.target.family == family) {
        towards = source_address(method.target);
    }
    const Cluster& cluster = state_.cluster;
    const auto own = find_own_address(method, family, host,
                                      {cluster.vxlan.device4, cluster.vxlan.device6, cluster.ipip.device}, towards);
    if (!own) {
        reason = own.error().message;
        return std::nullopt;
    }
    reason = own->reason;
    const Node* const self = cluster.find_node(node_);
    const bool had = self != nullptr && self->address(family) && self->address(family)->address == own->address.address;
    const Node* const other = holder(cluster, node_, own->address.address);
    if (had || other == nullptr) return own->address;
    contended_[other->name] = to_string(own->address.address);
    found_.push_back(
        fmt::format("{} is node {}'s address in the store, so this node does not register it: change one, or, "
                    "if {} is gone, 'weftctl node remove {}'",
                    to_string(own->address.address), other->name, other->name, other->name));
    return std::nullopt;
}

Registering::Concern Registering::concern() const {
    Concern made{.pools = state_.cluster.pools, .self = {}, .blocks = 0};
    const Node* const self = state_.cluster.find_node(node_);
    if (self == nullptr) return made;
    made.self = *self;
    const auto index = static_cast<std::uint32_t>(self - state_.cluster.nodes.data());
    made.blocks = static_cast<std::size_t>(
        std::ranges::count(state_.cluster.blocks, index, [](const Block& block) { return block.node; }));
    return made;
}

void Registering::report() {
    RegistrationState& told = state_.registration;
    told.troubles = found_;
    if (registrar_) {
        const Registrar::Status& status = registrar_->status();
        told.settled = status.settled;
        if (!status.trouble.empty()) told.troubles.push_back(status.trouble);
        if (!status.rival.empty()) told.troubles.push_back(status.rival);
        told.troubles.insert(told.troubles.end(), status.contenders.begin(), status.contenders.end());
        told.troubles.insert(told.troubles.end(), status.lacks.begin(), status.lacks.end());
    }
    for (const std::string& trouble : told.troubles) {
        if (std::ranges::find(said_, trouble) != said_.end()) continue;
        const char* const about = told.active ? "registration" : "node";
        spdlog::error("{}: {}", about, trouble);
        state_.note(trouble, about);
    }
    said_ = told.troubles;
}

Result<Done> Registering::remove(const std::string& node) {
    const auto* const source = std::get_if<EtcdSource>(&state_.config.source.value);
    if (source == nullptr) {
        return Error{"the cluster does not come from etcd: take the node out of the file that it stands in"};
    }
    if (source->register_node && node == state_.node) {
        return Error{fmt::format("node {} is this node, and registers itself: set 'register no' first", node)};
    }
    if (!removing_.empty()) return Error{fmt::format("node {} is being removed at this moment", removing_)};
    open(*source);
    removing_ = node;
    remove_node(*client_, node, [this, node](const Result<std::vector<std::string>>& done) {
        removing_.clear();
        if (!done) {
            spdlog::error("node {} is not removed: {}", node, done.error().message);
            state_.note(fmt::format("node {} is not removed", node), done.error().message);
            return;
        }
        for (const std::string& what : *done) {
            spdlog::info("node {}: {}", node, what);
            state_.note(what, fmt::format("node remove {}", node));
        }
        state_.note(fmt::format("node {} is removed", node), "node remove");
    });
    return Done{};
}

}  // namespace weft
