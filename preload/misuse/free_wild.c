// Free of an address where nothing is mapped.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    free((void *)0x123456789000);
    survived();
}
