// Free of a static variable.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    _Alignas(16) static byte variable[256];
    free(variable + 64);
    survived();
}
