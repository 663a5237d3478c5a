// Underflow by {n} bytes, into a live block.
// sizes: 24 100 1000 20480 100000 8388608
// n: 1 8 32 4096
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    struct pair pair = neighbours(size);
    for (size_t i = 1; i <= n; i++)
        *(pair.high - i) ^= 'A';
    survived();
}
