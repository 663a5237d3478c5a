// The edges of the C face: one function for each promise of the malloc family to its callers.
//
// Where C, POSIX and others differ, glibc's behaviour is expected. Sizes that no block can have are volatile: a
// compiler that knows them warns, or answers for the allocator.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile size_t absurd[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 15, (size_t)1 << 62};
enum { ABSURD = sizeof absurd / sizeof *absurd };

// A byte that depends on all of its index, so the check also finds pages that changed places.
static unsigned char mark(size_t i, unsigned seed)
{
    return (unsigned char)(i ^ i >> 8 ^ i >> 16 ^ seed);
}

static void fill(unsigned char *at, size_t from, size_t to, unsigned seed)
{
    for (size_t i = from; i < to; i++)
        at[i] = mark(i, seed);
}

static int filled(const unsigned char *at, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != mark(i, seed))
            return 0;
    return 1;
}

static int zero(const unsigned char *at, size_t size)
{
    return size == 0 || (at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
}

static int at_multiple(const void *at, size_t align)
{
    return (uintptr_t)at % align == 0;
}


static void malloc_of_nothing_is_a_block(void)
{
    void *one = malloc(0), *other = malloc(0);
    CHECK(one != NULL && other != NULL);
    CHECK(one != other);
    free(one);
    free(other);
}

static void malloc_of_too_much_fails(void)
{
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(malloc(absurd[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void malloc_is_at_multiples_of_16(void)
{
    // All are kept: if each were freed at once, each would have one address.
    static void *blocks[4097];
    for (size_t size = 0; size <= 4096; size++) {
        CHECK((blocks[size] = malloc(size)) != NULL);
        CHECK(at_multiple(blocks[size], 16));
    }
    for (size_t size = 0; size <= 4096; size++) {
        CHECK((blocks[size] = realloc(blocks[size], size + 1 + size / 2)) != NULL);
        CHECK(at_multiple(blocks[size], 16));
        free(blocks[size]);
    }
    for (size_t size = 4097; size < 10 * MIB; size += size / 9) {
        void *one = malloc(size), *other = calloc(1, size);
        CHECK(one != NULL && at_multiple(one, 16));
        CHECK(other != NULL && at_multiple(other, 16));
        free(one);
        free(other);
    }
}

static void calloc_overflow_fails(void)
{
    static volatile size_t counts[] = {SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 32, 3};
    static volatile size_t sizes[] = {2, 2, (size_t)1 << 32, SIZE_MAX / 3 + 1};
    for (int i = 0; i < 4; i++) {
        errno = 0;
        CHECK(calloc(counts[i], sizes[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(calloc(absurd[i], 1) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void calloc_of_nothing_is_a_block(void)
{
    volatile size_t none = 0;
    void *one = calloc(none, 8), *other = calloc(8, none);
    CHECK(one != NULL && other != NULL && one != other);
    free(one);
    free(other);
}

static void dirty_then_calloc(size_t size, int count)
{
    void *blocks[8];
    for (int i = 0; i < count; i++) {
        CHECK((blocks[i] = malloc(size)) != NULL);
        memset(blocks[i], 0xA5, malloc_usable_size(blocks[i]));
    }
    for (int i = 0; i < count; i++)
        free(blocks[i]);
    for (int i = 0; i < count; i++) {
        CHECK((blocks[i] = calloc(1, size)) != NULL);
        CHECK(zero(blocks[i], size));
        memset(blocks[i], 0x5A, size);
    }
    for (int i = 0; i < count; i++)
        free(blocks[i]);
}

static void calloc_is_zero_where_memory_was_used(void)
{
    for (size_t size = 1; size <= 200000; size += 1 + size / 16)
        dirty_then_calloc(size, 8);
    for (int round = 0; round < 2; round++) {
        dirty_then_calloc(1 * MIB, 2);
        dirty_then_calloc(5 * MIB, 2);
        dirty_then_calloc(40 * MIB, 1);
    }
}

static void realloc_of_null_allocates(void)
{
    for (size_t size = 0; size < 3 * MIB; size += 1 + size / 2) {
        unsigned char *block = realloc(NULL, size);
        CHECK(block != NULL);
        fill(block, 0, size, 7);
        CHECK(filled(block, size, 7));
        free(block);
    }
}

static void realloc_to_nothing_frees(void)
{
    size_t before = resident();
    // They would be 160 MiB, if they stayed.
    for (int i = 0; i < 20000; i++) {
        void *block = malloc(8 * KIB);
        CHECK(block != NULL);
        memset(block, 1, 8 * KIB);
        CHECK(realloc(block, 0) == NULL);
    }
    CHECK(resident() < before + 64 * MIB);
    for (size_t size = 100; size < 40 * MIB; size *= 20) {
        void *block = malloc(size);
        CHECK(block != NULL);
        CHECK(realloc(block, 0) == NULL);
    }
}

static void realloc_keeps_content_up_and_down(void)
{
    // Two in turn: neither can only grow in place.
    unsigned char *one = malloc(16), *other = malloc(16);
    size_t size = 16;
    CHECK(one != NULL && other != NULL);
    fill(one, 0, size, 1);
    fill(other, 0, size, 2);
    while (size < 20 * MIB) {
        size_t more = size + size / 3;
        CHECK((one = realloc(one, more)) != NULL && at_multiple(one, 16));
        CHECK((other = realloc(other, more)) != NULL && at_multiple(other, 16));
        CHECK(filled(one, size, 1));
        CHECK(filled(other, size, 2));
        fill(one, size, more, 1);
        fill(other, size, more, 2);
        size = more;
    }
    while (size > 16) {
        size -= size / 4;
        CHECK((one = realloc(one, size)) != NULL);
        CHECK((other = realloc(other, size)) != NULL);
        CHECK(filled(one, size, 1));
        CHECK(filled(other, size, 2));
    }
    free(one);
    free(other);
}

static void realloc_keeps_content_in_leaps(void)
{
    static const size_t sizes[] = {16, 3 * MIB, 100, 70000, 24, 20 * MIB, 5 * MIB, 600000, 1000, 4096, 16};
    unsigned char *block = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK((block = realloc(block, sizes[i])) != NULL);
        CHECK(filled(block, size < sizes[i] ? size : sizes[i], 3));
        size = sizes[i];
        fill(block, 0, size, 3);
    }
    free(block);
}

static void realloc_that_fails_leaves_the_block(void)
{
    static const size_t sizes[] = {1, 100, 5000, 100000, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = malloc(sizes[i]);
        CHECK(block != NULL);
        fill(block, 0, sizes[i], 4);
        for (int k = 0; k < ABSURD; k++) {
            errno = 0;
            CHECK(realloc(block, absurd[k]) == NULL);
            CHECK(errno == ENOMEM);
            CHECK(filled(block, sizes[i], 4));
        }
        free(block);
    }
}

static void reallocarray_multiplies(void)
{
    unsigned char *block = reallocarray(NULL, 10, 30);
    CHECK(block != NULL);
    fill(block, 0, 300, 5);
    CHECK((block = reallocarray(block, 1000, 300)) != NULL);
    CHECK(filled(block, 300, 5));
    CHECK(reallocarray(block, 0, 300) == NULL);
}

static void reallocarray_overflow_leaves_the_block(void)
{
    volatile size_t half = SIZE_MAX / 2 + 1, root = (size_t)1 << 32;
    unsigned char *block = malloc(300);
    CHECK(block != NULL);
    fill(block, 0, 300, 6);
    errno = 0;
    CHECK(reallocarray(block, half, 2) == NULL);
    CHECK(errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(block, root, root) == NULL);
    CHECK(errno == ENOMEM);
    CHECK(filled(block, 300, 6));
    free(block);
}

static void free_of_null_does_nothing(void)
{
    free(NULL);
}

// The memory may come from anywhere. Freed memory may lie in pieces, and cannot always grow in place.
static void what_is_had_leaves_errno(void)
{
    enum { BLOCKS = 8, STEPS = 1000 };
    unsigned char *blocks[BLOCKS] = {NULL};
    unsigned seed = 1;
    errno = 0;
    for (int i = 0; i < STEPS; i++) {
        unsigned char **block = &blocks[i % BLOCKS];
        seed = seed * 1103515245 + 12345;
        size_t size = 100 * KIB + seed / 65536 % 1024 * (4 * KIB);
        if (seed / 512 % 4 == 0) {
            free(*block);
            *block = malloc(size);
        } else {
            *block = realloc(*block, size);
        }
        CHECK(*block != NULL && errno == 0);
        (*block)[0] = (*block)[size - 1] = (unsigned char)i;
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void free_keeps_errno(void)
{
    static const size_t sizes[] = {10, 1000, 100 * KIB, 3 * MIB, 40 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *one = malloc(sizes[i]), *other = memalign(64 * KIB, sizes[i]);
        CHECK(one != NULL && other != NULL);
        errno = 1234;
        free(one);
        CHECK(errno == 1234);
        free(other);
        CHECK(errno == 1234);
        free(NULL);
        CHECK(errno == 1234);
    }
}

static void usable_size_of_null_is_0(void)
{
    CHECK(malloc_usable_size(NULL) == 0);
}

static void usable_size_is_all_the_callers(size_t size)
{
    unsigned char *blocks[3];
    size_t usable[3];
    for (unsigned i = 0; i < 3; i++) {
        CHECK((blocks[i] = malloc(size)) != NULL);
        usable[i] = malloc_usable_size(blocks[i]);
        CHECK(usable[i] >= size);
    }
    for (unsigned i = 0; i < 3; i++)
        fill(blocks[i], 0, usable[i], i);
    // Other blocks come and go meanwhile.
    free(malloc(size));
    free(malloc(size / 2));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(filled(blocks[i], usable[i], i));
        CHECK(malloc_usable_size(blocks[i]) == usable[i]);
    }
    free(blocks[1]);
    CHECK(filled(blocks[0], usable[0], 0));
    CHECK(filled(blocks[2], usable[2], 2));
    CHECK(malloc_usable_size(blocks[0]) == usable[0]);
    free(blocks[0]);
    free(blocks[2]);
}

static void usable_size_is_stable_and_writable(void)
{
    for (size_t size = 0; size < 600; size++)
        usable_size_is_all_the_callers(size);
    for (size_t size = 600; size < 6 * MIB; size += size / 7)
        usable_size_is_all_the_callers(size);
}

int main(void)
{
    malloc_of_nothing_is_a_block();
    malloc_of_too_much_fails();
    malloc_is_at_multiples_of_16();
    calloc_overflow_fails();
    calloc_of_nothing_is_a_block();
    calloc_is_zero_where_memory_was_used();
    realloc_of_null_allocates();
    realloc_to_nothing_frees();
    realloc_keeps_content_up_and_down();
    realloc_keeps_content_in_leaps();
    realloc_that_fails_leaves_the_block();
    reallocarray_multiplies();
    reallocarray_overflow_leaves_the_block();
    free_of_null_does_nothing();
    what_is_had_leaves_errno();
    free_keeps_errno();
    usable_size_of_null_is_0();
    usable_size_is_stable_and_writable();
    puts("ok");
    return 0;
}
