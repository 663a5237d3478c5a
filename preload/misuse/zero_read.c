// Read of 1 byte of a block of size 0.
// sizes: 0
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte first = *(volatile byte *)allocate(size);
    survived();
    if (first != 0)
        harm("old content is there");
}
