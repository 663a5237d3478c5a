// Mismatch: `malloc`, then `delete`.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <new>

static void misuse(size_t size)
{
    ::operator delete(allocate(size));
    survived();
}
