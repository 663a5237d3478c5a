// Free of an address that no program can have: 0x4141414141414141.
// sizes: 100
#include "misuse.h"

static void misuse(size_t size)
{
    (void)size;
    free((void *)0x4141414141414141);
    survived();
}
