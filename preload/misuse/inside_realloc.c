// `realloc` of an address 16 bytes inside a block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = (byte *)realloc(bystander(size) + 16, size + 64);
    survived();
    if (block != NULL)
        watch(block, size + 64);
}
