// Aligned `operator delete` with another alignment.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <new>

static void misuse(size_t size)
{
    ::operator delete(::operator new(size, std::align_val_t{64}), std::align_val_t{4096});
    survived();
}
