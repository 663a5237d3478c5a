// `free_sized` with a quarter of the size.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

void free_sized(void *block, size_t size) __attribute__((weak));

static void misuse(size_t size)
{
    if (free_sized == NULL)
        impossible();
    free_sized(allocate(size), size / 4);
    survived();
}
