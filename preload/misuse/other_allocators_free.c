// The C library's own free of a block.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <dlfcn.h>

static void misuse(size_t size)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void (*other)(void *) = (void (*)(void *))dlsym(libc, "free");
    if (other == free)
        impossible();
    other(bystander(size));
    survived();
}
