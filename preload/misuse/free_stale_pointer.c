// Free of a pointer that recycled memory still holds.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static void misuse(size_t size)
{
    byte **record = (byte **)allocate(size), **again;
    record[2] = bystander(size);
    free(record);
    for (size_t i = 0; (again = (byte **)allocate(size)) != record; i++)
        if (i == many(size))
            impossible();
    free(again[2]);
    survived();
}
