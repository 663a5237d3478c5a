// Write of 1 byte to a block of size 0.
// sizes: 0
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    struct pair pair = neighbours(size);
    pair.low[0] = 'A';
    survived();
}
