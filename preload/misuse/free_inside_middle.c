// Free of an address in the middle of a block.
// sizes: 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    free(bystander(size) + size / 2 / 16 * 16);
    survived();
}
