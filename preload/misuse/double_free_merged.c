// Double free: after the memory became the middle of a larger block.
// sizes: 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte *row[8], *larger, *inside = NULL;
    for (int i = 0; i < 8; i++)
        row[i] = allocate(size);
    for (int i = 0; i < 8; i++)
        free(row[i]);
    malloc_trim(0);
    for (int tries = 0; tries < 4 && inside == NULL; tries++) {
        larger = watch(allocate(3 * size), 3 * size);
        for (int i = 0; i < 8; i++)
            if (row[i] > larger && row[i] < larger + 3 * size)
                inside = row[i];
    }
    if (inside == NULL)
        impossible();
    free(inside);
    survived();
}
