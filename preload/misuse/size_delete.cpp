// Sized `operator delete` with a size 4 times as large.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <new>

static void misuse(size_t size)
{
    ::operator delete(::operator new(size), 4 * size);
    survived();
}
