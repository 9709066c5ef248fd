// What a Calico node's environment says, for what the file leaves open.
#pragma once

#include <vector>

#include "conf/config.hpp"

namespace weft {

/// Fills in hostname, mode, router id, AS and this node's addresses from the environment where the file has not set
/// them, and the default pools where the file states none of that family. Bad values are errors that name the
/// variable. A node that registers in etcd gets Calico's way to find its address. Call after reading the file, before
/// verify.
std::vector<Diagnostic> apply_environment(Config& config, const Environment& environment);

}  // namespace weft
