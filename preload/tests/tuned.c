// mallopt returns 1 for the settings that it honours, and honours them; 0 for anything else.
#define _GNU_SOURCE
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// The library asks for the time by this name. Time stands still until the program moves it.
static long moved = 1000;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    time->tv_sec = moved;
    time->tv_nsec = 0;
    return 0;
}

enum { COUNT = 200000, BYTES = 500 };

static char *block[COUNT];

// Bytes that stay of 95 MiB that were freed, after ten seconds of little activity.
static long stays(void)
{
    long before = resident() / MIB;
    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(BYTES);
        CHECK(block[i] != NULL);
        memset(block[i], 1, BYTES);
    }
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
    for (int i = 0; i < 10; i++) {
        moved++;
        for (int k = 0; k < 30000; k++)
            free(malloc(BYTES + k % 7 * 100));
    }
    return (long)(resident() / MIB) - before;
}

static void idle_memory(void)
{
    if (mallopt(M_TRIM_THRESHOLD, -1) != 1)
        return;
    CHECK(stays() > 80);
    CHECK(mallopt(M_TRIM_THRESHOLD, 512 << 20) == 1);
    CHECK(stays() < 20);
    CHECK(resident() / MIB > 80);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    CHECK(stays() < 20);
    CHECK(mallopt(M_TRIM_THRESHOLD, 0) == 1);
    CHECK(stays() < 20);
}

static int is_filled(const volatile unsigned char *bytes, size_t from, size_t to, unsigned char with)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != with)
            return 0;
    return 1;
}

static void large_blocks(void)
{
    if (mallopt(M_MMAP_MAX, 0) != 1)
        return;
    CHECK(mallopt(M_MMAP_MAX, 5) == 0);
    size_t before = mallinfo2().hblks;
    char *volatile middling = malloc(1 << 20);
    CHECK(middling != NULL && mallinfo2().hblks == before);
    memset(middling, 1, 1 << 20);
    middling = realloc(middling, 1900 << 10);
    CHECK(middling != NULL && middling[(1 << 20) - 1] == 1);
    free(middling);
    // The zeros are the block's own memory; and a request that fits no SuperSlab is served nevertheless.
    static char *neighbour[64];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 64; i++) {
            neighbour[i] = malloc(64 << 10);
            CHECK(neighbour[i] != NULL);
            memset(neighbour[i], 7, 64 << 10);
        }
        for (int i = 0; i < 64; i += 2)
            free(neighbour[i]);
        char *zero[4];
        for (int i = 0; i < 4; i++) {
            zero[i] = calloc(1, (1 << 20) + 1 + i * 70000);
            CHECK(zero[i] != NULL && is_filled((unsigned char *)zero[i], 0, malloc_usable_size(zero[i]), 0));
            memset(zero[i], 9, malloc_usable_size(zero[i]));
        }
        for (int i = 1; i < 64; i += 2)
            CHECK(is_filled((unsigned char *)neighbour[i], 0, 64 << 10, 7));
        for (int i = 0; i < 4; i++)
            free(zero[i]);
        for (int i = 1; i < 64; i += 2)
            free(neighbour[i]);
        void *aligned;
        CHECK(posix_memalign(&aligned, 1 << 20, 3 << 19) == 0 && (uintptr_t)aligned % (1 << 20) == 0);
        free(aligned);
        // One slice too many for a SuperSlab, of which the first aligned one is its second.
        CHECK(posix_memalign(&aligned, 128 << 10, 31 * 64 << 10) == 0);
        free(aligned);
    }
    // Its memory stays, however long it is unused, and serves the next block.
    const size_t large = 200 << 20;
    malloc_trim(0);
    long none = resident() / MIB;
    char *volatile one = malloc(large);
    CHECK(one != NULL);
    memset(one, 1, large);
    free(one);
    for (int i = 0; i < 10; i++) {
        moved++;
        for (int k = 0; k < 100; k++)
            free(malloc(1000));
    }
    CHECK((long)(resident() / MIB) - none > 190);
    // Small blocks, for which more is mapped, take none of it.
    for (int i = 0; i < COUNT / 8; i++)
        CHECK((block[i] = malloc(BYTES)) != NULL);
    char *volatile other = malloc(large);
    CHECK(other == one);
    free(other);
    for (int i = 0; i < COUNT / 8; i++)
        free(block[i]);
}

static void *filled_blocks(void *among_others)
{
    static const size_t sizes[] = {24, 100, 1000, 5000, 40000, 100000, 600000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        for (int round = 0; round < 3; round++) {
            unsigned char *volatile fresh = malloc(size);
            CHECK(is_filled(fresh, 0, size, 0x5a));
            size_t had = malloc_usable_size((void *)fresh);
            memset((void *)fresh, 7, size);
            fresh = realloc(fresh, size * 3);
            CHECK(is_filled(fresh, 0, size, 7) && is_filled(fresh, had, size * 3, 0x5a));
            free(fresh);
            unsigned char *volatile zero = calloc(1, size);
            CHECK(is_filled(zero, 0, size, 0));
            free(zero);
            // A slab's memory stays mapped. So the check can look at a freed block, but for the link in front, as long
            // as no other thread takes it.
            if (size <= 5000 && among_others == NULL)
                CHECK(is_filled(zero, 16, size, 0xa5));
            unsigned char *volatile far;
            CHECK(posix_memalign((void **)&far, 4096, size) == 0);
            CHECK((uintptr_t)far % 4096 == 0 && is_filled(far, 0, size, 0x5a));
            free(far);
        }
    }
    return among_others;
}

static void filling(void)
{
    // Only the lowest byte counts, as in glibc.
    if (mallopt(M_PERTURB, 0x7a5) != 1)
        return;
    filled_blocks(NULL);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(thread + i, NULL, filled_blocks, thread) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(mallopt(M_PERTURB, 0) == 1);
    unsigned char *volatile zero = calloc(1, 100);
    free(zero);
    unsigned char *volatile plain = malloc(100);
    CHECK(!is_filled(plain, 0, 100, 0x5a));
    free(plain);
}

int main(void)
{
    // The C library's own returns 1 for everything.
    if (getenv("LD_PRELOAD") != NULL) {
        static const int unknown[] = {M_MXFAST, M_TOP_PAD, M_MMAP_THRESHOLD, M_CHECK_ACTION, M_ARENA_TEST, M_ARENA_MAX, 77};
        for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
            CHECK(mallopt(unknown[i], 1) == 0);
        idle_memory();
        filling();
        large_blocks();
    }
    puts("ok");
    return 0;
}
