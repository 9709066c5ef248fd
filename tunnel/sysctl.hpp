// Settings under /proc/sys/net. Paths, not dotted names: interface names have dots of their own.
#pragma once

#include <string>

#include "conf/result.hpp"
#include "tunnel/desired.hpp"

namespace weft {

/// The value without its line's end; empty where there is no such setting (or it cannot be read).
std::string read_sysctl(const std::string& path);
/// 0 or errno.
int write_sysctl(const Sysctl& setting);

}  // namespace weft
