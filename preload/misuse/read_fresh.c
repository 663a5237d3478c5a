// Read of a fresh block before it was written.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    fill(block, size, 99);
    free(block);
    byte *again = allocate(size);
    byte last = ((volatile byte *)again)[size - 8];
    survived();
    if (last == mark(size - 8, 99))
        harm("another's old content is there");
    watch(again, size);
}
