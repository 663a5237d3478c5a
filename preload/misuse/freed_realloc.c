// `realloc` of a freed block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    block = (byte *)realloc(block, 2 * size);
    survived();
    if (block != NULL)
        watch(block, 2 * size);
}
