// Read of a freed block, which was handed out again.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    byte *again = hand_out_again(block, size);
    volatile byte *stale = block;
    byte first = stale[0];
    survived();
    if (first == again[0])
        harm("another's content is read");
}
