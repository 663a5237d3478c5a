// Free of a function.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    free((void *)(uintptr_t)free_it);
    survived();
}
