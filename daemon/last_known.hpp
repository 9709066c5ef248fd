// The last known cluster on disk: what a node runs on when its source cannot be reached, or its file is broken, at the
// start.
//
// One file, cluster.conf in the state directory, in the language of weft.conf and so readable by people: first the
// configuration as this node ran it, then what the source said. It is replaced by one rename, after its content has
// reached the disk; a checksum tells a damaged one, which is set aside. It may hold passwords: 0600.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "conf/settings.hpp"

namespace weft {

struct LastKnown {
    Config config;  ///< as the file and the environment said it; of a static source all of the cluster
    /// Of another source: its pools, nodes, blocks and neighbours. Null: of a static one, where the configuration is
    /// all there is.
    std::shared_ptr<const Cluster> cluster;
    SharedSettings settings;                        ///< of another source: what it said beside them
    std::chrono::system_clock::time_point since{};  ///< when it was learned, to the second
};

/// The file's text, and back. The error says what is wrong with the text.
std::string text_of(const LastKnown& known);
Result<LastKnown> parse_last_known(const std::string& text);

/// The file in this state directory.
std::string last_known_file(const std::string& state_directory);
/// nullopt: there is none. A damaged file is renamed to cluster.conf.damaged, and the error says so.
Result<std::optional<LastKnown>> read_last_known(const std::string& state_directory);
/// Blocks until the disk has it.
Result<Done> write_last_known(const std::string& state_directory, const std::string& text);

}  // namespace weft
