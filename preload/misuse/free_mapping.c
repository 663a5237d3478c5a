// Free of memory that the program has from `mmap`.
// sizes: 100
#include "misuse.h"
#include <sys/mman.h>

static void misuse(size_t size)
{
    (void)size;
    byte *mapping = (byte *)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    free(mapping + 4096);
    survived();
}
