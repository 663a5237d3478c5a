// Free of an address {n} bytes inside a block.
// sizes: 24 100 1000 20480 100000 8388608
// n: 1 8 16
#include "misuse.h"

static void misuse(size_t size)
{
    free(bystander(size) + n);
    survived();
}
