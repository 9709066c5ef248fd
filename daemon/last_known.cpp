#include "daemon/last_known.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "bgp/config_file.hpp"

namespace weft {
namespace {

using std::chrono::system_clock;

constexpr std::string_view kHead =
    "# The last known cluster, written by weftd. To change anything, change weft.conf or the source.\n"
    "# format 1\n";
constexpr std::string_view kSince = "# since ";
constexpr std::string_view kChecksum = "# sha256 ";
constexpr std::string_view kSaid = "# said by the source\n";

std::string sha256(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned length = 0;
    if (EVP_Digest(text.data(), text.size(), bytes.data(), &length, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("OpenSSL cannot compute a digest");
    }
    std::string hex;
    for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", bytes.at(i));
    return hex;
}

/// What a source said (there is a cluster), as a configuration that states just that.
Config said_config(const LastKnown& known) {
    Config config = default_config();
    apply_settings(config, known.settings);
    Config effective = known.config;
    apply_settings(effective, known.settings);
    for (const Pool& pool : known.cluster->pools) config.pools.push_back({.value = pool, .place = {}});
    for (const Node& node : known.cluster->nodes) {
        config.nodes.push_back({.value = {.node = node, .blocks = {}}, .place = {}});
    }
    for (const Block& block : known.cluster->blocks) {
        config.nodes.at(block.node).value.blocks.push_back({.value = block.cidr, .place = {}});
    }
    for (const BgpNeighbor& neighbor : known.cluster->bgp.neighbors) {
        BgpNeighbor stated = neighbor;
        if (stated.as == 0) stated.as = effective.local_as.value;
        if (stated.port == 0) stated.port = effective.bgp_port.value;
        config.neighbors.push_back({.value = std::move(stated), .place = {}});
    }
    return config;
}

template <class T>
Said<T> said(const Setting<T>& setting) {
    if (setting.origin.kind == Origin::Kind::built_in) return std::nullopt;
    return SaidAt<T>{.value = setting.value, .place = "the last known cluster"};
}

SharedSettings settings_said(const Config& config) {
    return {.backend = said(config.backend),
            .local_as = said(config.local_as),
            .mesh = said(config.mesh),
            .bgp_port = said(config.bgp_port),
            .graceful_restart_seconds = said(config.graceful_restart_seconds),
            .vni = said(config.vni),
            .vxlan_port = said(config.vxlan_port),
            .vxlan_mtu = said(config.vxlan_mtu),
            .vxlan_mtu6 = said(config.vxlan_mtu6),
            .ipip_mtu = said(config.ipip_mtu)};
}

/// Takes the line that begins with `word` off `text`; what follows the word.
std::optional<std::string> take_line(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return std::nullopt;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string rest(text.substr(word.size(), end - word.size()));
    text.remove_prefix(end + 1);
    return rest;
}

Result<Config> parse_part(std::string_view text) {
    Loaded loaded = parse_config_text(text, "cluster.conf");
    if (loaded.ok()) return std::move(loaded.config);
    return Error{to_string(loaded.diagnostics.front())};
}

Error failed(const std::string& path, const char* what) {
    return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

}  // namespace

std::string text_of(const LastKnown& known) {
    Config own = known.config;
    apply_settings(own, {});  // what the source said stands in its own part
    std::string body = print(own);
    if (known.cluster != nullptr) body += std::string(kSaid) + print(said_config(known));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(known.since.time_since_epoch()).count();
    return fmt::format("{}{}{} {:%Y-%m-%dT%H:%M:%SZ}\n{}{}\n{}", kHead, kSince, seconds,
                       fmt::gmtime(system_clock::to_time_t(known.since)), kChecksum, sha256(body), body);
}

Result<LastKnown> parse_last_known(const std::string& text) {
    std::string_view rest = text;
    if (!rest.starts_with(kHead)) return Error{"it is of another format than this weftd writes"};
    rest.remove_prefix(kHead.size());
    const auto since = take_line(rest, kSince);
    const auto checksum = take_line(rest, kChecksum);
    if (!since || !checksum || *checksum != sha256(rest)) return Error{"its checksum does not match: it is damaged"};
    LastKnown known;
    std::int64_t seconds = 0;
    std::from_chars(since->data(), since->data() + since->size(), seconds);
    known.since = system_clock::time_point(std::chrono::seconds(seconds));
    const std::size_t at = rest.find(kSaid);
    auto own = parse_part(rest.substr(0, at));
    if (!own) return own.error();
    known.config = *std::move(own);
    if (at == std::string_view::npos) return known;
    const auto from_source = parse_part(rest.substr(at + kSaid.size()));
    if (!from_source) return from_source.error();
    known.cluster = std::make_shared<const Cluster>(stated_cluster(*from_source));
    known.settings = settings_said(*from_source);
    return known;
}

std::string last_known_file(const std::string& state_directory) {
    return state_directory + "/cluster.conf";
}

Result<std::optional<LastKnown>> read_last_known(const std::string& state_directory) {
    const std::string path = last_known_file(state_directory);
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        if (errno == ENOENT || errno == ENOTDIR) return std::optional<LastKnown>{};
        return failed(path, "cannot be read");
    }
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    auto known = parse_last_known(text);
    if (known) return std::optional(*std::move(known));
    const std::string aside = path + ".damaged";
    const bool moved = rename(path.c_str(), aside.c_str()) == 0;
    return Error{fmt::format("{}: {}; {}", path, known.error().message,
                             moved ? fmt::format("set aside as {}", aside) : "it cannot be set aside either")};
}

Result<Done> write_last_known(const std::string& state_directory, const std::string& text) {
    const std::string path = last_known_file(state_directory);
    if (const auto made = make_directory_of(path); !made) return made.error();
    const std::string fresh = path + ".new";
    unlink(fresh.c_str());
    const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return failed(fresh, "cannot be made");
    bool written = true;
    for (std::size_t done = 0; written && done < text.size();) {
        const ssize_t size = write(file, text.data() + done, text.size() - done);
        if (size < 0 && errno == EINTR) continue;
        written = size >= 0;
        if (written) done += static_cast<std::size_t>(size);
    }
    written = written && fsync(file) == 0;
    const Error error = failed(fresh, "cannot be written");
    if (close(file) != 0 || !written || rename(fresh.c_str(), path.c_str()) != 0) {
        unlink(fresh.c_str());
        return error;
    }
    // The rename itself has to reach the disk too; without, the file from before is found, which is as good as it was.
    const int directory = open(state_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
        fsync(directory);
        close(directory);
    }
    return Done{};
}

}  // namespace weft
