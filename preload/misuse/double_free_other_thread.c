// Double free: in another thread, which ends.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    in_thread(free_it, block);
    survived();
}
