// A directory of manifests as a store of resources: read again and again, only what changed is looked at.
//
// Files *.yaml, *.yml and *.json, sorted by path, in subdirectories too; names that begin with a dot are left out
// (editors' temporary files; the data directories behind Kubernetes' mounted ConfigMaps, whose files are read through
// the links beside them). A file that cannot be read or understood keeps what it said before.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "conf/manifest.hpp"
#include "conf/resources.hpp"

namespace weft {

class ManifestDirectory {
  public:
    explicit ManifestDirectory(std::string path) : path_(std::move(path)) {}

    /// Reads what has changed since the last time; true when anything has. An error when the directory as such cannot
    /// be read: then everything stays as it was.
    Result<bool> scan();
    const Resources& resources() const { return resources_; }
    /// Files that cannot be understood, and objects that stand twice.
    const std::vector<ObjectTrouble>& troubles() const { return troubles_; }
    /// A file that never could be read: objects may be missing. Empty: none.
    const std::string& incomplete() const { return incomplete_; }
    /// A file was empty that had been written to a moment ago: scan again soon.
    bool unfinished() const { return unfinished_; }
    /// The directories that hold what was read, the links' targets included.
    const std::vector<std::string>& directories() const { return directories_; }

  private:
    struct Stamp {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = 0;
        timespec changed{};
        bool operator==(const Stamp& other) const {
            return device == other.device && inode == other.inode && size == other.size &&
                   changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
        }
    };
    struct File {
        Stamp stamp;
        std::vector<Manifest> documents;
        std::size_t reading = 0;  ///< which reading of it the documents are of
        std::string error;
        unsigned error_line = 0;
        bool was_read = false;
    };
    /// Where an object in `resources_` came from.
    struct Holder {
        std::string file;
        std::size_t reading = 0;
        std::size_t document = 0;
        bool operator==(const Holder&) const = default;
    };

    Result<Done> list(const std::string& directory, unsigned depth, std::vector<std::string>& files);
    /// True when the file was read anew.
    bool read(const std::string& path, File& file);
    bool merge();
    void put(const ResourceId& id, const Manifest& manifest, const std::string& file);
    std::string relative(const std::string& path) const;

    std::string path_;
    Resources resources_{true};
    std::map<std::string, File> files_;
    std::map<ResourceId, Holder> holders_;
    std::vector<ObjectTrouble> troubles_;
    std::string incomplete_;
    std::vector<std::string> directories_;
    bool unfinished_ = false;
    std::size_t readings_ = 0;
};

}  // namespace weft
