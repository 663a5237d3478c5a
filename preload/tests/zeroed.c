// A block of calloc is zero up to the end that malloc_usable_size returns, and programs may use all of it.
#include "check.h"
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Blocks of a size at once, so that calloc does not always return the block freed last.
enum { BLOCKS = 4 };

static int is_zero(const unsigned char *block, size_t bytes)
{
    return block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0;
}

// Fills whatever the block held before it was freed.
static void after_dirty_frees(size_t size)
{
    unsigned char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(size)) != NULL);
        memset(blocks[i], 0xeb, malloc_usable_size(blocks[i]));
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = calloc(1, size)) != NULL);
        size_t usable = malloc_usable_size(blocks[i]);
        CHECK(usable >= size && is_zero(blocks[i], usable));
        // The next block's bytes too, if a block reaches into it.
        memset(blocks[i], 0xeb, usable);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

// More blocks than a variant may have of its own; the system's malloc serves the rest.
static void many_at_once(size_t size)
{
    static unsigned char *blocks[8 * MIB / 40];
    size_t count = 8 * MIB / size;
    for (size_t i = 0; i < count; i++) {
        CHECK((blocks[i] = malloc(size)) != NULL);
        memset(blocks[i], 0xeb, malloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    for (size_t i = 0; i < count; i++) {
        CHECK((blocks[i] = calloc(1, size)) != NULL);
        CHECK(is_zero(blocks[i], malloc_usable_size(blocks[i])));
        memset(blocks[i], 0xeb, malloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

// Blocks that were shortened or grown, and are used again.
static void after_realloc(size_t size)
{
    unsigned char *block = malloc(2 * size);
    CHECK(block != NULL);
    memset(block, 0xeb, malloc_usable_size(block));
    CHECK((block = realloc(block, size)) != NULL);
    memset(block, 0xeb, malloc_usable_size(block));
    free(block);
    CHECK((block = calloc(size, 1)) != NULL);
    CHECK(is_zero(block, malloc_usable_size(block)));
    free(block);
}

int main(void)
{
    for (size_t size = 1; size <= 70000; size += size < 5000 ? 1 : 997) {
        snprintf(circumstances, sizeof circumstances, ", of %zu bytes", size);
        after_dirty_frees(size);
        after_realloc(size);
    }
    for (size_t size = 70000; size <= 40 * MIB; size += size / 2 + 4001) {
        snprintf(circumstances, sizeof circumstances, ", of %zu bytes", size);
        after_dirty_frees(size);
        after_realloc(size);
    }
    static const size_t sizes[] = {40, 250, 1000, 5000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(circumstances, sizeof circumstances, ", of %zu bytes", sizes[i]);
        many_at_once(sizes[i]);
    }
    puts("ok");
}
