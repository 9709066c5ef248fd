// Memory that a large piece of work has left behind.
#pragma once

namespace weft {

/// All threads share one heap, so that what each leaves can be given back: of a heap of its own the free end stays. To
/// be called before any thread starts.
void share_one_heap();

/// Gives what is free back to the system. The allocator keeps it otherwise, in case as much is needed soon; what
/// reading a whole cluster, or all of its routes from the kernel, takes is not. Milliseconds.
void give_back_memory();

}  // namespace weft
