// Double free: `realloc` has moved the block, and the old address is freed.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = forget(neighbours(size).low), *moved = (byte *)realloc(block, 4 * size + 4096);
    if (moved == block)
        impossible();
    watch(moved, 4 * size + 4096);
    free(block);
    survived();
}
