// A string's zero, 1 byte behind the requested size.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    memset(block, 'A', size);
    block[size] = 0;
    survived();
    free(block);
}
