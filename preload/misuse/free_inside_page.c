// Free of an address one page inside a block.
// sizes: 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    free(bystander(size) + 4096);
    survived();
}
