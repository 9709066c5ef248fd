// What the kernel itself costs, and what the others do.
//
// The floor writes the same objects as weft in the same batches, with no decisions, no bookkeeping and no error
// texts: messages are laid out beforehand, only send(2) and the last acknowledgement are timed. The rival writes
// classic routes one message and one acknowledgement at a time, as Felix and flannel do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tunnel/desired.hpp"

namespace weft::bench {

struct Floor {
    double milliseconds = 0;  ///< from the first send to the last acknowledgement
    double cpu_milliseconds = 0;
    std::size_t messages = 0;
};

/// Neighbours, FDB entries, nexthop objects (numbered from `first_id` on) and routes of `desired` in 128 KiB batches;
/// the device must be there.
Floor write_floor(const Desired& desired, unsigned device_index, std::uint32_t first_id = 1000);
/// Neighbours, FDB entries and classic routes, each awaited.
Floor write_rival(const Desired& desired, unsigned device_index);
/// What the kernel has of the same, dumped and counted without being looked at.
Floor dump_floor(Family family, unsigned device_index, bool objects);

}  // namespace weft::bench
