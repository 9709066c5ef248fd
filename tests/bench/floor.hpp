// What the kernel itself costs, and what the others do.
//
// The floor writes the same objects as weft in the same batches, with no decisions, no bookkeeping and no error
// texts: messages are laid out beforehand, only sendmsg(2) and the last acknowledgement are timed. The rival writes
// classic routes one message and one acknowledgement at a time, as Felix and flannel do.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "tunnel/desired.hpp"

namespace weft::bench {

struct Floor {
    std::chrono::nanoseconds whole{};  ///< from the first send to the last acknowledgement
    std::size_t messages = 0;
};

/// Neighbours, FDB entries, nexthop objects and routes of `desired` in 128 KiB batches; the device must be there.
Floor write_floor(const Desired& desired, unsigned device_index);
/// Neighbours, FDB entries and classic routes, each awaited.
Floor write_rival(const Desired& desired, unsigned device_index);

}  // namespace weft::bench
