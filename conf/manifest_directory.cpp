#include "conf/manifest_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kDeepestDirectory = 8;
constexpr std::size_t kMostFiles = 50'000;
constexpr off_t kLargestFile = 64 << 20;
/// An empty file as young as this is being written.
constexpr std::chrono::seconds kUnfinished{2};

bool is_manifest(const fs::path& name) {
    const std::string extension = name.extension().string();
    return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

bool is_young(const timespec& changed) {
    const auto at = std::chrono::system_clock::time_point(std::chrono::seconds(changed.tv_sec));
    const auto age = std::chrono::system_clock::now() - at;
    return age < kUnfinished && age > -kUnfinished;
}

std::string place(const std::string& file, unsigned line) {
    return fmt::format("{}:{}", file, line);
}

}  // namespace

std::string ManifestDirectory::relative(const std::string& path) const {
    return path.starts_with(path_ + "/") ? path.substr(path_.size() + 1) : path;
}

Result<Done> ManifestDirectory::list(const std::string& directory, unsigned depth, std::vector<std::string>& files) {
    std::error_code failure;
    fs::directory_iterator entries(directory, failure);
    if (failure) return Error{fmt::format("{}: {}", directory, failure.message())};
    directories_.push_back(fs::weakly_canonical(directory, failure).string());
    std::vector<fs::path> names;
    for (const fs::directory_iterator end; entries != end; entries.increment(failure)) {
        names.push_back(entries->path());
        if (names.size() > kMostFiles) return Error{fmt::format("{}: more than {} files", directory, kMostFiles)};
    }
    if (failure) return Error{fmt::format("{}: {}", directory, failure.message())};
    std::sort(names.begin(), names.end());
    for (const fs::path& name : names) {
        if (name.filename().string().starts_with('.')) continue;
        if (fs::is_directory(name, failure)) {
            if (depth >= kDeepestDirectory) {
                return Error{fmt::format("{}: directories more than {} deep (a link to itself?)", name.string(),
                                         kDeepestDirectory)};
            }
            if (auto inner = list(name.string(), depth + 1, files); !inner) return inner;
        } else if (is_manifest(name)) {
            if (fs::is_symlink(name, failure)) {
                const fs::path target = fs::weakly_canonical(name, failure);
                if (!target.empty()) directories_.push_back(target.parent_path().string());
            }
            files.push_back(name.string());
            if (files.size() > kMostFiles) return Error{fmt::format("{}: more than {} files", path_, kMostFiles)};
        }
    }
    return Done{};
}

bool ManifestDirectory::read(const std::string& path, File& file) {
    struct stat now {};
    const auto broken = [&](std::string message, unsigned line) {
        const bool fresh = file.error != message;
        file.error = std::move(message);
        file.error_line = line;
        return fresh;
    };
    if (stat(path.c_str(), &now) != 0) {
        file.stamp = {};
        return broken(fmt::format("cannot be read: {}", std::strerror(errno)), 0);
    }
    const Stamp stamp{.device = now.st_dev, .inode = now.st_ino, .size = now.st_size, .changed = now.st_mtim};
    if (stamp == file.stamp) return false;
    if (!S_ISREG(now.st_mode)) return broken("is no regular file", 0);
    if (now.st_size > kLargestFile) return broken(fmt::format("has more than {} bytes", kLargestFile), 0);
    if (now.st_size == 0 && !file.documents.empty() && is_young(now.st_mtim)) {
        unfinished_ = true;
        return false;
    }
    std::ifstream in(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open()) return broken(fmt::format("cannot be read: {}", std::strerror(errno)), 0);
    file.stamp = stamp;
    Manifests found = path.ends_with(".json") ? read_json(text) : read_yaml(text);
    if (!found.error.empty()) return broken(std::move(found.error), found.error_line);
    file.documents = std::move(found.documents);
    file.error.clear();
    file.was_read = true;
    file.reading = ++readings_;
    return true;
}

Result<bool> ManifestDirectory::scan() {
    const std::vector<std::string> before = std::exchange(directories_, {});
    std::vector<std::string> paths;
    if (const auto listed = list(path_, 0, paths); !listed) {
        directories_ = before;
        return listed.error();
    }
    std::sort(directories_.begin(), directories_.end());
    directories_.erase(std::unique(directories_.begin(), directories_.end()), directories_.end());
    unfinished_ = false;
    bool changed = false;
    std::map<std::string, File> kept;
    for (const std::string& path : paths) {
        const auto known = files_.find(path);
        File file = known == files_.end() ? File{} : std::move(known->second);
        changed = read(path, file) || changed;
        kept.emplace(path, std::move(file));
    }
    changed = changed || kept.size() != files_.size() ||
              !std::equal(kept.begin(), kept.end(), files_.begin(),
                          [](const auto& a, const auto& b) { return a.first == b.first; });
    files_ = std::move(kept);
    return changed && merge();
}

/// Brings the files' documents into the store. Of an object that stands twice the first counts.
bool ManifestDirectory::merge() {
    troubles_.clear();
    incomplete_.clear();
    std::map<ResourceId, Holder> holders;
    for (const auto& [path, file] : files_) {
        const std::string name = relative(path);
        if (!file.error.empty()) {
            troubles_.push_back({.object = "the file",
                                 .place = file.error_line == 0 ? name : place(name, file.error_line),
                                 .field = {},
                                 .message = file.error,
                                 .error = true,
                                 .last_used = file.was_read});
            if (!file.was_read) incomplete_ = to_string(troubles_.back());
        }
        for (std::size_t i = 0; i < file.documents.size(); ++i) {
            const Manifest& manifest = file.documents[i];
            const auto id = id_of_object(manifest.object);
            if (!id) continue;
            const auto [first, fresh] =
                holders.emplace(*id, Holder{.file = path, .reading = file.reading, .document = i});
            if (fresh) continue;
            const Manifest& other = files_.at(first->second.file).documents.at(first->second.document);
            troubles_.push_back(
                {.object = to_string(*id),
                 .place = place(name, manifest.line_of("metadata.name")),
                 .field = {},
                 .message = fmt::format("stands here again, after {}: the first one counts",
                                        place(relative(first->second.file), other.line_of("metadata.name"))),
                 .error = false});
        }
    }
    for (const auto& [id, holder] : holders_) {
        if (!holders.contains(id)) resources_.remove(id);
    }
    for (const auto& [id, holder] : holders) {
        const auto known = holders_.find(id);
        if (known != holders_.end() && known->second == holder) continue;
        put(id, files_.at(holder.file).documents.at(holder.document), relative(holder.file));
    }
    holders_ = std::move(holders);
    return true;
}

void ManifestDirectory::put(const ResourceId& id, const Manifest& manifest, const std::string& file) {
    const auto where = [&](const std::string& field) { return place(file, manifest.line_of(field)); };
    resources_.put(id, manifest.object, where);
}

}  // namespace weft
