// Double free: another block is freed in between.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size), *other = allocate(size);
    free(block);
    free(other);
    free(block);
    survived();
}
