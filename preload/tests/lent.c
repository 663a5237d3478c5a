// A class that a thread hardly uses may borrow larger blocks (LE1). A block keeps every promise all the same, and a size that
// is much used comes to have blocks of its own.
#include "check.h"
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 1040, STEP = 16, MANY = 4000 };

static int is_zero(const char *block, size_t bytes)
{
    for (size_t at = 0; at < bytes; at++)
        if (block[at] != 0)
            return 0;
    return 1;
}

// Room of the last of many blocks.
static size_t room_of_many(size_t size)
{
    static char *many[MANY];
    for (int at = 0; at < MANY; at++)
        CHECK((many[at] = malloc(size)) != NULL);
    size_t room = malloc_usable_size(many[MANY - 1]);
    for (int at = 0; at < MANY; at++)
        free(many[at]);
    return room;
}

int main(void)
{
    // In a fresh thread cache: blocks that are kept beside ones of the lender, and blocks that are shortened.
    static char *blocks[MANY];
    for (int at = 0; at < MANY; at++) {
        CHECK((blocks[at] = malloc(136)) != NULL);
        free(malloc(250));
    }
    size_t kept = malloc_usable_size(blocks[MANY - 1]);
    for (int at = 0; at < MANY; at++) {
        free(blocks[at]);
        CHECK((blocks[at] = realloc(malloc(1000), 520)) != NULL);
    }
    size_t shortened = malloc_usable_size(blocks[MANY - 1]);
    for (int at = 0; at < MANY; at++)
        free(blocks[at]);
    // In a variant that has a class for each of them. Others leave some to the system's malloc.
    if (room_of_many(136) == 144 && room_of_many(520) == 576)
        CHECK(kept == 144 && shortened == 576);
    // One block of each size.
    for (size_t size = STEP; size < SIZES; size += STEP) {
        char *block = malloc(size - 3);
        size_t room = malloc_usable_size(block);
        CHECK(block && room >= size - 3 && (uintptr_t)block % 16 == 0);
        memset(block, 1, room);
        CHECK((block = realloc(block, size)) != NULL);
        CHECK(malloc_usable_size(block) >= size && block[0] == 1 && block[size - 4] == 1);
        free(block);
    }
    // Aligned ones, and zeros.
    for (size_t size = STEP; size < SIZES; size += STEP) {
        for (size_t align = 16; align <= 1024; align *= 2) {
            char *block = aligned_alloc(align, (size + align - 1) / align * align);
            CHECK(block && (uintptr_t)block % align == 0);
            memset(block, 1, malloc_usable_size(block));
            free(block);
        }
        char *block = calloc(1, size);
        CHECK(block && is_zero(block, malloc_usable_size(block)));
        free(block);
    }
    // Many of each size: the last ones waste no more than the first.
    for (size_t size = STEP; size < SIZES; size += STEP) {
        for (int at = 0; at < MANY; at++) {
            CHECK((blocks[at] = malloc(size)) != NULL);
            memset(blocks[at], at, size);
        }
        // A variant may leave some to the system's malloc, whose blocks have up to 24 bytes more.
        CHECK(malloc_usable_size(blocks[MANY - 1]) <= malloc_usable_size(blocks[0]) + 24);
        for (int at = 0; at < MANY; at++) {
            CHECK(blocks[at][0] == (char)at && blocks[at][size - 1] == (char)at);
            free(blocks[at]);
        }
    }
    puts("ok");
}
