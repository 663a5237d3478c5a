// `malloc_usable_size` of a freed block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size);
    free(block);
    size_t usable = malloc_usable_size(block);
    survived();
    if (usable >= size)
        harm("a freed block has a size");
}
