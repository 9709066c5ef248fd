// What the control socket's commands do: everything reads State and asks Actions.
#pragma once

#include <string_view>

#include "daemon/actions.hpp"
#include "daemon/control_protocol.hpp"
#include "daemon/state.hpp"

namespace weft {

/// Carries out one command line and answers it. `state` and `actions` outlive the reply.
Reply execute(const State& state, Actions& actions, std::string_view line);

}  // namespace weft
