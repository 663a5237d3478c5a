// Double free: after the thread ended that freed the block first.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    in_thread(free_it, block);
    free(block);
    survived();
}
