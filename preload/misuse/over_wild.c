// Overflow far past a block: one byte, {n} bytes behind it.
// sizes: 16 100 4096
// n: 262144 1048576
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = bystander(size);
    memset(block + n, 'A', 1);
    survived();
}
