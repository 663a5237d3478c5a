// `calloc` of more bytes than a `size_t` counts.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    if (calloc(SIZE_MAX / size + 2, size) != NULL)
        harm("a block that cannot be");
    survived();
}
