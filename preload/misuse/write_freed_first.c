// Write to a freed block: text over its first word.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(allocate(size));
    free(block);
    memset(block, 'A', 8);
    survived();
}
