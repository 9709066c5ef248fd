#include <utility>

#include "conf/directory_reader.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace weft {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// A burst ends when nothing more comes for so long, or has lasted so long.
constexpr std::chrono::milliseconds kSettle = 100ms;
constexpr std::chrono::milliseconds kLongestBurst = 1s;
constexpr std::chrono::seconds kPoll = 30s;
/// Where inotify does not work, polling is all there is.
constexpr std::chrono::seconds kPollAlone = 5s;
constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/// The nearest directory above `path` that exists.
std::string above(const std::string& path) {
    std::error_code failure;
    fs::path directory = fs::path(path).parent_path();
    while (directory.has_relative_path() && !fs::is_directory(directory, failure)) directory = directory.parent_path();
    return directory.empty() ? "/" : directory.string();
}

std::string name_of(const std::string& path) {
    return fmt::format("directory {}", path);
}

SourceUpdate update_from(const ManifestDirectory& directory, const std::string& node, SourceStatus status) {
    SourceUpdate update = update_of(directory.resources(), node, std::move(status));
    auto& objects = update.status.objects;
    objects.insert(objects.begin(), directory.troubles().begin(), directory.troubles().end());
    if (!directory.incomplete().empty()) update.incomplete = directory.incomplete();
    return update;
}

}  // namespace

DirectoryReader::DirectoryReader(boost::asio::io_context& io, std::string path, std::string node)
    : path_(std::move(path)), node_(std::move(node)), directory_(path_), events_(io), settle_(io), poll_(io) {
    const int descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor >= 0) {
        events_.assign(descriptor);
    } else {
        watch_trouble_ = fmt::format("inotify: {}", std::strerror(errno));
    }
}

DirectoryReader::~DirectoryReader() = default;

void DirectoryReader::start(std::function<void(SourceUpdate)> told) {
    told_ = std::move(told);
    // Watches before reading: what changes meanwhile is not missed. Which directories there are only reading tells.
    watch();
    read();
    if (events_.is_open()) wait_for_events();
    look_again_later();
}

void DirectoryReader::read() {
    unread_since_.reset();
    const std::string trouble = std::exchange(trouble_, {});
    const auto scanned = directory_.scan();
    if (!scanned) trouble_ = fmt::format("{}; what was read before stays in use", scanned.error().message);
    const std::vector<std::string> before = directory_.directories();
    watch();
    bool changed = scanned && *scanned;
    if (scanned) {
        // What came between reading a new directory and watching it.
        const auto again = directory_.scan();
        changed = (again && *again) || changed;
        changed = std::exchange(synced_, true) == false || changed;
    }
    if (changed) ++changes_;
    if (changed || trouble != trouble_ || !synced_) tell();
    if (directory_.unfinished()) read_soon(1s);
}

void DirectoryReader::tell() {
    SourceStatus status;
    status.name = name_of(path_);
    status.synced = synced_;
    status.revision = changes_;
    SourceUpdate update = update_from(directory_, node_, std::move(status));
    if (!synced_) update.cluster.reset();
    if (!trouble_.empty()) update.status.trouble = trouble_;
    if (update.status.trouble.empty()) update.status.trouble = watch_trouble_;
    told_(std::move(update));
}

void DirectoryReader::watch() {
    if (!events_.is_open()) return;
    std::vector<std::string> wanted = directory_.directories();
    wanted.push_back(above(path_));
    std::error_code failure;
    const fs::path real = fs::weakly_canonical(path_, failure);
    if (!real.empty()) wanted.push_back(above(real.string()));
    watch_trouble_.clear();
    for (const std::string& directory : wanted) watch_one(directory);
    std::erase_if(watches_, [&](const auto& watched) {
        if (std::find(wanted.begin(), wanted.end(), watched.first) != wanted.end()) return false;
        const bool shared = std::any_of(watches_.begin(), watches_.end(), [&](const auto& other) {
            return other.second == watched.second && other.first != watched.first;
        });
        if (!shared) inotify_rm_watch(events_.native_handle(), watched.second);
        return true;
    });
}

void DirectoryReader::watch_one(const std::string& directory) {
    const int watch = inotify_add_watch(events_.native_handle(), directory.c_str(), kEvents);
    if (watch >= 0) {
        watches_[directory] = watch;
        return;
    }
    watches_.erase(directory);
    if (errno == ENOENT || errno == ENOTDIR) return;  // gone meanwhile: the directory above tells
    watch_trouble_ =
        fmt::format("{} cannot be watched ({}): it is read every {} s instead{}", directory, std::strerror(errno),
                    kPollAlone.count(), errno == ENOSPC ? "; raise fs.inotify.max_user_watches" : "");
}

void DirectoryReader::wait_for_events() {
    events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& stopped) {
                           if (stopped) return;
                           if (drain()) read_soon(kSettle);
                           wait_for_events();
                       });
}

bool DirectoryReader::drain() {
    alignas(inotify_event) std::array<char, 16384> buffer{};
    bool reason = false;
    for (ssize_t size = 0; (size = ::read(events_.native_handle(), buffer.data(), buffer.size())) > 0;) {
        for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const name = buffer.data() + at + sizeof event;
            at += sizeof event + event.len;
            if ((event.mask & IN_IGNORED) != 0) continue;
            // A file that was only made has nothing in it yet: its end of writing will be told. A link is whole.
            bool counts = true;
            if ((event.mask & IN_CREATE) != 0 && (event.mask & IN_ISDIR) == 0) {
                const auto in = std::find_if(watches_.begin(), watches_.end(), [watch = event.wd](const auto& watched) {
                    return watched.second == watch;
                });
                std::error_code failure;
                counts = in != watches_.end() && event.len > 0 && fs::is_symlink(fs::path(in->first) / name, failure);
            }
            reason = reason || counts;
        }
    }
    return reason;
}

void DirectoryReader::read_soon(std::chrono::milliseconds delay) {
    const auto now = std::chrono::steady_clock::now();
    if (!unread_since_) unread_since_ = now;
    settle_.expires_at(std::min(now + delay, *unread_since_ + std::max(delay, kLongestBurst)));
    settle_.async_wait([this](const boost::system::error_code& stopped) {
        if (!stopped) read();
    });
}

void DirectoryReader::look_again_later() {
    poll_.expires_after(watch_trouble_.empty() ? kPoll : kPollAlone);
    poll_.async_wait([this](const boost::system::error_code& stopped) {
        if (stopped) return;
        read();
        look_again_later();
    });
}

Result<SourceUpdate> read_directory_once(const std::string& path, const std::string& node) {
    ManifestDirectory directory(path);
    if (const auto scanned = directory.scan(); !scanned) return scanned.error();
    SourceStatus status;
    status.name = name_of(path);
    status.synced = true;
    return update_from(directory, node, std::move(status));
}

}  // namespace weft
