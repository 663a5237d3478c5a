// Overflow by {n} bytes, into a live block.
// sizes: 24 100 1000 20480 100000 8388608
// n: 1 8 32 4096
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    struct pair pair = neighbours(size);
    memset(end_of(pair.low), 'A', n);
    survived();
}
