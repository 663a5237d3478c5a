// Free of a variable on the stack.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    _Alignas(16) volatile byte variable[256];
    for (size_t i = 0; i < sizeof variable; i++)
        variable[i] = 0;
    free((void *)(variable + 64));
    survived();
}
