// The commands of the control socket as words: what there is, what an abbreviation stands for, what may come next.
//
// One table of patterns serves the daemon (parse), weftctl's completion and the help. A keyword may be cut short as
// long as only one keyword of those that may stand there begins like that, as in birdc. Pure; weftctl links it too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/result.hpp"

namespace weft {

enum class CommandId : std::uint8_t {
    show_status,
    show_nodes,
    show_pools,
    show_blocks,
    show_tunnels,
    show_routes,  ///< arguments: an address, or none
    show_bgp,
    show_protocols,
    show_config,
    show_events,
    configure,          ///< arguments: FILE or none; seconds: "" or a number where `timeout` was said
    configure_check,    ///< arguments: FILE or none
    configure_timeout,  ///< as configure
    configure_confirm,
    configure_undo,
    source_accept,
    node_remove,  ///< arguments: a node's name
    plan,         ///< arguments: FILE or none
    explain,
    ready,
    ready_bgp,
    ready_no_bgp,
    help,
};

/// A command understood. Arguments have their quotes removed.
struct Command {
    CommandId id = CommandId::help;
    std::string file;     ///< empty: none
    std::string address;  ///< empty: none
    std::string seconds;  ///< empty: none
    std::string node;     ///< empty: none
    bool json = false;    ///< the last word was `json`
    bool operator==(const Command&) const = default;
};

/// The error says what is wrong and what may stand there.
Result<Command> parse_command(std::string_view line);

/// The command in full words, as the daemon understands it in any directory.
std::string to_string(const Command& command);

/// The keywords that may stand after the complete words of `line` and begin with its last, incomplete one (empty after
/// a space). Sorted.
std::vector<std::string> completions(std::string_view line);

struct Usage {
    std::string_view pattern;
    std::string_view help;
};
/// For `help`: one entry for each command, in a sensible order.
std::vector<Usage> usages();
/// Those of the commands that `line` is the beginning of; for `?` while it is typed.
std::vector<Usage> usages_of(std::string_view line);

}  // namespace weft
