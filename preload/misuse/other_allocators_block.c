// Free of a block of the C library's own malloc.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <dlfcn.h>

static void misuse(size_t size)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *(*other)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    if (other == malloc)
        impossible();
    free(other(size));
    survived();
}
