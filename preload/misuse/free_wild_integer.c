// Free of a small integer.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    free((void *)16);
    survived();
}
