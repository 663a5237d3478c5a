// Blocks of another allocator: the C library's own. Each is used, grown and freed like any other, unless the variant
// ends the program at such a block.
#include "check.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    CHECK(libc != NULL);
    void *(*libc_malloc)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    CHECK(libc_malloc != NULL);
    // Some begin at a page, as blocks with a mapping of their own do.
    enum { SMALL = 100, LARGE = MIB };
    for (int i = 0; i < 3; i++) {
        unsigned char *small = libc_malloc(SMALL), *large = libc_malloc(LARGE);
        CHECK(small != NULL && large != NULL);
        small[0] = large[0] = 1;
        CHECK(malloc_usable_size(small) >= SMALL && malloc_usable_size(large) >= LARGE);
        CHECK((small = realloc(small, 2 * SMALL)) != NULL && small[0] == 1);
        CHECK((large = realloc(large, 2 * LARGE)) != NULL && large[0] == 1);
        free(small);
        free(large);
    }
    puts("ok");
    return 0;
}
