// Free of a block of another copy of the library.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <dlfcn.h>

static void misuse(size_t size)
{
    const char *path = getenv("COPY");
    void *copy = path != NULL ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
    if (copy == NULL)
        impossible();
    free(((void *(*)(size_t))dlsym(copy, "malloc"))(size));
    survived();
}
