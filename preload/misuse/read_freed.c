// Read of a freed block.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    fill(block, size, 99);
    free(block);
    volatile byte *stale = block + size - 8;
    byte last = stale[0];
    survived();
    if (last == mark(size - 8, 99))
        harm("its old content is there");
}
