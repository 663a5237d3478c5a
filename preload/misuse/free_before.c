// Free of an address 16 bytes before a block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    free(bystander(size) - 16);
    survived();
}
