// Write to a freed block, which was handed out again.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    hand_out_again(block, size);
    memset(block + size - 8, 'A', 8);
    survived();
}
