// What weft asks a BIRD on its control socket, and what the answers mean.
//
// Each question is answered once. One that fails is not answered at all: BirdControl closes the connection then, and
// tells its owner.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/control.hpp"
#include "bgp/status.hpp"

namespace weft {

/// The generation mark of the configuration that it runs; empty: that is none of weft's.
void ask_generation(BirdControl& control, std::function<void(std::string)> done);

/// The file that it reads on a bare `configure`. Reads and checks that file, and changes nothing.
void ask_config_file(BirdControl& control, std::function<void(std::string)> done);

struct Configured {
    bool refused = false;      ///< `words` say why; it runs what it ran before
    bool in_progress = false;  ///< accepted, but sessions that go, or an earlier one, hold it up
    std::string file;          ///< what it read
    std::string words;
};
/// Has it read `file` (empty: its own). What it then runs is another question.
void configure(BirdControl& control, const std::string& file, std::function<void(Configured)> done);

struct BirdReport {
    std::vector<Session> sessions;
    bool graceful_restart = false;
};
/// Sessions and state, cheap enough for every second: no routes are listed.
void ask_state(BirdControl& control, const std::map<std::string, std::string>& node_of_peer,
               std::function<void(BirdReport)> done);

/// Has a kernel protocol run its export filter again: BIRD 2 does not do so by itself when a device appears that the
/// filter names.
void reload_exports(BirdControl& control, std::string_view version, std::string_view protocol);

/// How a BIRD is sent away; its own routes stay in this node's kernel either way (`persist`).
enum class Goodbye : std::uint8_t {
    told,   ///< peers drop its routes at once
    quiet,  ///< peers keep its routes for the graceful restart time
};
void send_away(BirdControl& control, Goodbye goodbye);

}  // namespace weft
