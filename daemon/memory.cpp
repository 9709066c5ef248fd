#include "daemon/memory.hpp"

#include <malloc.h>

namespace weft {

void give_back_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace weft
