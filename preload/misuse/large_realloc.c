// `realloc` to a size that wrapped below 0.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    if (realloc(bystander(size), (size_t)0 - size) != NULL)
        harm("a block that cannot be");
    survived();
}
