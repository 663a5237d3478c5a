// Double free: after `malloc_trim`.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    // There is much to trim, or it trims nothing.
    work(16 << 10);
    malloc_trim(0);
    free(block);
    survived();
}
