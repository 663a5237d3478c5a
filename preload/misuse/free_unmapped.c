// Free of memory that the program has given back by `munmap`.
// sizes: 100
#include "misuse.h"
#include <sys/mman.h>

static void misuse(size_t size)
{
    (void)size;
    byte *mapping = (byte *)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(mapping, 65536);
    free(mapping + 4096);
    survived();
}
