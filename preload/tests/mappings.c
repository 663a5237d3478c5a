// The kernel gives a process some 65 000 mappings, and at the limit no new hole between two. Nevertheless there may be
// as many blocks as memory holds: freed memory is not lost, and small blocks can always be had.
#include "check.h"
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 100000 };

static char *block[MANY];

static void small_ones_are_served(void)
{
    static char *small[3000];
    for (int i = 0; i < 3000; i++) {
        size_t size = i % 10 ? 16 + i : 100 * KIB;
        small[i] = malloc(size);
        CHECK(small[i] != NULL);
        memset(small[i], i, size);
    }
    for (int i = 0; i < 3000; i++)
        free(small[i]);
}

// Aligned to more than a slice: out of the shared memory, with no mapping of their own.
static void many_aligned(void)
{
    for (int i = 0; i < MANY; i++) {
        CHECK(posix_memalign((void **)&block[i], 128 * KIB, 64) == 0);
        CHECK((uintptr_t)block[i] % (128 * KIB) == 0);
        block[i][0] = 1;
    }
    char *other = malloc(100000), *large = malloc(3000000);
    CHECK(other != NULL && large != NULL);
    free(other);
    free(large);
    for (int i = 0; i < MANY; i++)
        free(block[i]);
}

// Large blocks, of which every other is freed; then others are allocated: as many, of half the size, and of twice.
static void many_holes(size_t size)
{
    for (int i = 0; i < MANY; i++) {
        block[i] = malloc(size);
        CHECK(block[i] != NULL);
        block[i][0] = 1;
    }
    for (int i = 0; i < MANY; i += 2)
        free(block[i]);
    small_ones_are_served();
    for (int i = 0; i < MANY; i += 2) {
        block[i] = calloc(1, size - i % 8 * 4096);
        CHECK(block[i] != NULL);
        CHECK(block[i][0] == 0 && block[i][size / 2] == 0);
        block[i][0] = 1;
    }
    for (int i = 0; i < MANY; i += 2)
        free(block[i]);
    small_ones_are_served();
    for (int i = 1; i < MANY; i += 2)
        free(block[i]);
    for (int i = 0; i < 100; i++) {
        block[i] = malloc(4 * size);
        CHECK(block[i] != NULL);
        memset(block[i], 1, 4096);
    }
    for (int i = 0; i < 100; i++)
        free(block[i]);
}

// Aligned so far that each lies alone, until the kernel has no more mappings. Then other blocks are served
// nevertheless, and freed memory is there again.
static void until_the_limit(void)
{
    int n = 0;
    while (n < MANY && posix_memalign((void **)&block[n], 4096 * KIB, 64) == 0)
        block[n++][0] = 1;
    CHECK(n > 20000);
    small_ones_are_served();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < n; i += 3)
            free(block[i]);
        small_ones_are_served();
        for (int i = 0; i < n; i += 3) {
            CHECK(posix_memalign((void **)&block[i], 4096 * KIB, 64) == 0);
            CHECK((uintptr_t)block[i] % (4096 * KIB) == 0);
            block[i][0] = 1;
        }
    }
    for (int i = 0; i < n; i++)
        free(block[i]);
    small_ones_are_served();
}

int main(void)
{
    // The C library's own allocator takes minutes, and all memory; so do variants that leave large blocks to it. A
    // variant that gives memory back leaves it none, and mallopt accepts a setting there.
    if (getenv("LD_PRELOAD") == NULL || mallopt(M_TRIM_THRESHOLD, 0) != 1) {
        puts("ok");
        return 0;
    }
    many_aligned();
    many_holes(600 * KIB);
    until_the_limit();
    puts("ok");
    return 0;
}
