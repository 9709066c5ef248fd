// `source directory`: a directory of manifests, followed with inotify.
//
// Watched are the directories that hold what is read, and the one above (the directory may be a link that is swapped,
// or be deleted and made again). Only finished writes count, so that a file being written is not read by half; a burst
// of changes is read once. Every half minute it looks without being told, for what inotify cannot see (a network file
// system, a link far away).
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "conf/manifest_directory.hpp"
#include "conf/source.hpp"

namespace weft {

class DirectoryReader final : public ClusterSource {
  public:
    /// `node`: whose settings are asked for.
    DirectoryReader(boost::asio::io_context& io, std::string path, std::string node);
    ~DirectoryReader() override;
    DirectoryReader(const DirectoryReader&) = delete;
    DirectoryReader& operator=(const DirectoryReader&) = delete;

    void start(std::function<void(SourceUpdate)> told) override;

  private:
    void read();
    void watch();
    void watch_one(const std::string& directory);
    void wait_for_events();
    /// True when one of the events in the buffer is a reason to look.
    bool drain();
    void read_soon(std::chrono::milliseconds delay);
    void look_again_later();
    void tell();

    std::string path_;
    std::string node_;
    ManifestDirectory directory_;
    std::function<void(SourceUpdate)> told_;
    boost::asio::posix::stream_descriptor events_;
    boost::asio::steady_timer settle_;
    boost::asio::steady_timer poll_;
    std::map<std::string, int> watches_;
    std::string trouble_;
    std::string watch_trouble_;
    bool synced_ = false;
    std::int64_t changes_ = 0;
    std::optional<std::chrono::steady_clock::time_point> unread_since_;
};

/// Reads a directory once; for previews. An error when it cannot be read.
Result<SourceUpdate> read_directory_once(const std::string& path, const std::string& node);

}  // namespace weft
