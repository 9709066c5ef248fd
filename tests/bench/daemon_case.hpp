// weftd itself, as a process of its own that follows a store: its start, what a change costs from the store's event to
// the kernel, its memory, and what it does when nothing happens.
#pragma once

#include <chrono>
#include <string>

#include "tests/bench/kernel_cases.hpp"

namespace weft::bench {

struct DaemonOptions {
    std::string weftd;
    std::chrono::seconds quiet{60};
    int changes = 100;
};

/// In a namespace of its own (isolated).
Figures whole_daemon(const Size& size, const DaemonOptions& options);

}  // namespace weft::bench
