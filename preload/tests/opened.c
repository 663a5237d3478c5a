// An allocator is opened by dlopen, beside the program's own: each block goes back to its own allocator.
//
// The first argument is the library. Without one there is nothing to check.
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4 };

static const size_t sizes[] = {1, 24, 100, 1000, 5000, 40 * KIB, 300 * KIB, 3 * MIB};
enum { SIZES = sizeof sizes / sizeof *sizes };

// The library's functions. A bare `malloc` or `free` below is the program's.
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    size_t (*usable_size)(void *);
} lib;

static void fill(unsigned char *at, size_t size, unsigned seed)
{
    CHECK(at != NULL);
    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(i ^ i >> 8 ^ seed);
}

static int filled(const unsigned char *at, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != (unsigned char)(i ^ i >> 8 ^ seed))
            return 0;
    return 1;
}

static void own_blocks(void)
{
    unsigned char *blocks[SIZES];
    for (unsigned i = 0; i < SIZES; i++) {
        CHECK((blocks[i] = lib.malloc(sizes[i])) != NULL);
        CHECK((uintptr_t)blocks[i] % 16 == 0);
        CHECK(lib.usable_size(blocks[i]) >= sizes[i]);
        fill(blocks[i], sizes[i], i);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned char *zeroed = lib.calloc(1, sizes[i]);
        CHECK(zeroed != NULL && zeroed[0] == 0);
        CHECK(memcmp(zeroed, zeroed + 1, sizes[i] - 1) == 0);
        CHECK(filled(blocks[i], sizes[i], i));
        CHECK((blocks[i] = lib.realloc(blocks[i], 2 * sizes[i])) != NULL);
        CHECK(filled(blocks[i], sizes[i], i));
        CHECK((blocks[i] = lib.realloc(blocks[i], sizes[i] / 2 + 1)) != NULL);
        CHECK(filled(blocks[i], sizes[i] / 2 + 1, i));
        lib.free(zeroed);
    }
    for (unsigned i = 0; i < SIZES; i++)
        lib.free(blocks[i]);
}

static void foreign_blocks(void)
{
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned char *block = malloc(sizes[i]);
        fill(block, sizes[i], i);
        CHECK(lib.usable_size(block) >= sizes[i]);
        CHECK(filled(block, sizes[i], i));
        lib.free(block);

        // The library knows whose block the result is.
        size_t targets[] = {sizes[i], 2 * sizes[i], 1, 3 * MIB + sizes[i], sizes[i] / 2 + 1};
        for (unsigned k = 0; k < sizeof targets / sizeof *targets; k++) {
            size_t kept = targets[k] < sizes[i] ? targets[k] : sizes[i];
            fill(block = malloc(sizes[i]), sizes[i], i + k);
            CHECK((block = lib.realloc(block, targets[k])) != NULL);
            CHECK(filled(block, kept, i + k));
            CHECK(lib.usable_size(block) >= targets[k]);
            memset(block, 0x77, targets[k]);
            lib.free(block);
        }
        CHECK(lib.realloc(malloc(sizes[i]), 0) == NULL);

        // Aligned blocks do not begin where others do.
        CHECK(posix_memalign((void **)&block, 64 * KIB, sizes[i]) == 0);
        CHECK(lib.usable_size(block) >= sizes[i]);
        lib.free(block);
    }
    // And a block of the C library's.
    char *text = NULL;
    CHECK(asprintf(&text, "%s", "seven") == 5);
    lib.free(text);
}

// A block that the library was handed must come back to the program's own heap.
static void foreign_blocks_come_home(size_t size)
{
    static unsigned char *blocks[64 * KIB];
    size_t count = 32 * MIB / size;
    for (size_t i = 0; i < count; i++)
        fill(blocks[i] = malloc(size), 8, 1);
    struct mallinfo2 full = mallinfo2();
    for (size_t i = 0; i < count; i++)
        lib.free(blocks[i]);
    struct mallinfo2 after = mallinfo2();
    CHECK(full.uordblks + full.hblkhd >= after.uordblks + after.hblkhd + 25 * MIB);
}

static pthread_barrier_t is_open, is_closed;

static void *work(void *is_early)
{
    if (is_early != NULL)
        pthread_barrier_wait(&is_open);
    for (int i = 0; i < 3; i++) {
        own_blocks();
        foreign_blocks();
    }
    return NULL;
}

// Ends when no part of the program has the library open.
static void *outlive(void *unused)
{
    work(NULL);
    pthread_barrier_wait(&is_closed);
    pthread_barrier_wait(&is_closed);
    return unused;
}

static void *function(void *library, const char *name)
{
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

static void *open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        dprintf(STDERR_FILENO, "%s: ", dlerror());
    CHECK(library != NULL);
    lib.malloc = function(library, "malloc");
    lib.calloc = function(library, "calloc");
    lib.realloc = function(library, "realloc");
    lib.free = function(library, "free");
    lib.usable_size = function(library, "malloc_usable_size");
    return library;
}

int main(int count, char **words)
{
    pthread_t early[THREADS], late[THREADS];
    if (count > 1) {
        CHECK(pthread_barrier_init(&is_open, NULL, THREADS + 1) == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&early[i], NULL, work, &is_open) == 0);
        unsigned char *before = malloc(1000);
        fill(before, 1000, 9);

        void *library = open_library(words[1]);
        lib.free(NULL);
        CHECK(lib.usable_size(NULL) == 0);
        // The first call to the library may be about a block that is not its own.
        CHECK((before = lib.realloc(before, 100 * KIB)) != NULL);
        CHECK(filled(before, 1000, 9));
        lib.free(before);

        pthread_barrier_wait(&is_open);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&late[i], NULL, work, NULL) == 0);
        work(NULL);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(early[i], NULL) == 0 && pthread_join(late[i], NULL) == 0);
        foreign_blocks_come_home(KIB);
        foreign_blocks_come_home(MIB);

        pthread_t last;
        CHECK(pthread_barrier_init(&is_closed, NULL, 2) == 0);
        CHECK(pthread_create(&last, NULL, outlive, NULL) == 0);
        pthread_barrier_wait(&is_closed);
        CHECK(dlclose(library) == 0);
        pthread_barrier_wait(&is_closed);
        CHECK(pthread_join(last, NULL) == 0);
    }
    puts("ok");
    return 0;
}
