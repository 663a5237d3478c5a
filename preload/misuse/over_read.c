// Read of {n} bytes behind a block.
// sizes: 24 100 1000 20480 100000 8388608
// n: 1 8 32 4096
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    struct pair pair = neighbours(size);
    volatile byte *end = end_of(pair.low);
    for (size_t i = 0; i < n; i++)
        (void)end[i];
    survived();
    if (end + n > pair.high)
        harm("another's content is read");
}
