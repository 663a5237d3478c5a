// Write to a freed block: an address over its first word.
// sizes: 24 100 1000 20480 100000 8388608
// A fault is wanted.
#include "misuse.h"

static void misuse(size_t size)
{
    byte *target = bystander(size), *block = allocate(size);
    free(block);
    memcpy(block, &target, sizeof target);
    survived();
}
