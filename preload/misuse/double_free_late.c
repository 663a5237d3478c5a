// Double free: after many other frees.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    static byte *others[1 << 16];
    byte *block = allocate(size);
    for (size_t i = 0; i < many(size); i++)
        others[i] = allocate(size);
    free(block);
    for (size_t i = 0; i < many(size); i++)
        free(others[i]);
    free(block);
    survived();
}
