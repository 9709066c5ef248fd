// Memory that a large piece of work has left behind.
#pragma once

namespace weft {

/// Gives what is free back to the system. The allocator keeps it otherwise, in case as much is needed soon; what
/// reading a whole cluster and writing it to the kernel takes is not, for as long as weftd runs. Milliseconds.
void give_back_memory();

}  // namespace weft
