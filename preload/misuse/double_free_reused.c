// Double free: after the block was handed out again.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *block = allocate(size), *again;
    free(block);
    for (size_t i = 0; (again = allocate(size)) != block; i++)
        if (i == many(size))
            impossible();
    watch(again, size);
    free(block);
    survived();
}
