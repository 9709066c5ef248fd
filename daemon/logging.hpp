// Where log lines go: the `log` statements of weft.conf, made into spdlog's default logger.
#pragma once

#include <vector>

#include "conf/config.hpp"

namespace weft {

/// Replaces the default logger. A file that cannot be opened is an error, and the logger stays as it was.
Result<Done> set_up_logging(const std::vector<LogTarget>& targets);

}  // namespace weft
