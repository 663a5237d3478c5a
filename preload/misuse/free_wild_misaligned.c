// Free of a misaligned address where nothing is mapped.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    free((void *)0x123456789abd);
    survived();
}
