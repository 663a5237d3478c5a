// A program that locks its memory, that of the future included. It gets memory, zeroed where it is to be, and all of it
// can be written, whether the kernel takes memory back or refuses to.
#include "check.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MANY = 4000 };

static unsigned char *blocks[MANY];

static void fill_and_free(size_t size, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK((blocks[i] = calloc(1, size)) != NULL);
        CHECK(blocks[i][0] == 0 && memcmp(blocks[i], blocks[i] + 1, size - 1) == 0);
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < count; i++) {
        CHECK(blocks[i][0] == (unsigned char)i && memcmp(blocks[i], blocks[i] + 1, size - 1) == 0);
        free(blocks[i]);
    }
}

static void work(void)
{
    fill_and_free(100, MANY);
    fill_and_free(5000, MANY / 10);
    fill_and_free(300 * KIB, 8);
    fill_and_free(1 * MIB, 2);
    malloc_trim(0);
}

int main(void)
{
    free(malloc(100));
    // A process without the privilege may lock little: then it locks what it has, and later nothing.
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        mlockall(MCL_CURRENT);
    for (int i = 0; i < 3; i++)
        work();
    munlockall();
    work();
    puts("ok");
    return 0;
}
