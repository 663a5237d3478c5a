// Write to a block that an ended thread has freed.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    in_thread(free_it, block);
    memset(block, 'A', 16);
    survived();
}
