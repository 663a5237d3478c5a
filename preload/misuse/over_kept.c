// Overflow by 1 byte of a block that is never freed.
// sizes: 24 100 1000 20480 100000
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    block[malloc_usable_size(block)] ^= 'A';
    survived();
}
