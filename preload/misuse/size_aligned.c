// `free_aligned_sized` with another alignment.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

static void misuse(size_t size)
{
    if (free_aligned_sized == NULL)
        impossible();
    free_aligned_sized(aligned_alloc(64, size), 4096, size);
    survived();
}
