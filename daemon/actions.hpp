// What the control socket can ask of the controller. A seam, so that the socket's commands are tested without one.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "conf/result.hpp"
#include "tunnel/difference.hpp"
#include "tunnel/kernel.hpp"

namespace weft {

/// What a configuration would change, object by object.
struct Preview {
    std::vector<Change> kernel;
    std::string bird;  ///< a line for each change of BIRD's configuration, "-old" or "+new"; empty: none
};

class Actions {
  public:
    virtual ~Actions() = default;
    /// Reads `file` (unset: the running one again) and makes it the running configuration. On any error nothing has
    /// changed, and the error's message holds the diagnostics. With `timeout`, it is undone unless confirmed in time.
    virtual Result<Done> configure(const std::optional<std::string>& file,
                                   std::optional<std::chrono::seconds> timeout) = 0;
    /// Reads and verifies only. The warnings, one a line.
    virtual Result<std::string> check(const std::optional<std::string>& file) = 0;
    /// Makes a configuration with a timeout permanent; an error when none is waiting.
    virtual Result<Done> confirm() = 0;
    /// Back to the configuration before the last `configure`; an error when there is none.
    virtual Result<Done> undo() = 0;
    /// Follows a cluster that is held; an error when none is.
    virtual Result<Done> accept_source() = 0;
    /// Begins to clean up after a node that is gone; the events tell how it went.
    virtual Result<Done> remove_node(const std::string& node) = 0;
    virtual Result<Preview> preview(const std::optional<std::string>& file) = 0;
    /// Asks the kernel where a packet to this address would go.
    virtual Result<Lookup> lookup(const Address& destination) = 0;
};

}  // namespace weft
