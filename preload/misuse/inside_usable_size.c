// `malloc_usable_size` of an address 16 bytes inside a block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = bystander(size);
    size_t usable = malloc_usable_size(block + 16);
    survived();
    if (usable > malloc_usable_size(block) - 16)
        harm("more than the block's rest");
}
