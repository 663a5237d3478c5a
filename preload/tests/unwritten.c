// Blocks that a program never writes to, and blocks whose content looks like that of a free block: each is freed once,
// so none is refused.
#define _GNU_SOURCE
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

static const size_t sizes[] = {1, 16, 24, 100, 1000, 5000, 20 * KIB, 100 * KIB, 300 * KIB};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 3000, BYTES = 4 * MIB };

static int count_of(size_t size)
{
    return size * MOST > BYTES ? (int)(BYTES / size) : MOST;
}

// Takes a block in one of several ways, and leaves its content as it is.
static void *take(size_t size, int way)
{
    void *block = NULL;
    switch (way % 4) {
    case 0:
        block = aligned_alloc(64, (size + 63) / 64 * 64);
        break;
    case 1:
        block = realloc(malloc(size), size + size / 2);
        break;
    default:
        block = malloc(size);
    }
    CHECK(block != NULL);
    return block;
}

static void take_and_free(void)
{
    static _Thread_local void *blocks[MOST];
    for (int round = 0; round < 6; round++)
        for (int i = 0; i < SIZES; i++) {
            int count = count_of(sizes[i]);
            for (int at = 0; at < count; at++)
                blocks[at] = take(sizes[i], at + round);
            // In order, and then from both ends, so that blocks come home from lists and past them.
            for (int at = 0; at < count; at++)
                free(blocks[round % 2 ? at : at % 2 ? count - at / 2 - 1 : at / 2]);
        }
}

// In the last rounds of destructors a thread has no cache any more.
static pthread_key_t key;

static void at_the_end(void *value)
{
    for (int i = 0; i < SIZES; i++)
        for (int again = 0; again < 20; again++)
            free(take(sizes[i], again));
    CHECK(pthread_setspecific(key, value) == 0);
}

static void *in_thread(void *unused)
{
    CHECK(pthread_setspecific(key, &key) == 0);
    take_and_free();
    return unused;
}

// The first two words of a block, as far as a free block could hold them. Nothing starts where the first one leads.
static void look_alike(size_t size, uintptr_t first, uintptr_t factor, uintptr_t more)
{
    for (int i = 0; i < 10; i++) {
        uintptr_t *block = malloc(size);
        CHECK(block != NULL);
        uintptr_t second = first + factor * (uintptr_t)block + more;
        block[0] = first;
        block[1] = second;
        CHECK(malloc_usable_size(block) >= size);
        CHECK(block[0] == first && block[1] == second);
        free(block);
    }
}

int main(void)
{
    CHECK(pthread_key_create(&key, at_the_end) == 0);
    for (int i = 0; i < 4; i++) {
        pthread_t threads[2];
        for (int at = 0; at < 2; at++)
            CHECK(pthread_create(&threads[at], NULL, in_thread, NULL) == 0);
        take_and_free();
        for (int at = 0; at < 2; at++)
            CHECK(pthread_join(threads[at], NULL) == 0);
    }
    int local;
    uintptr_t firsts[] = {1, 48, UINTPTR_MAX, (uintptr_t)&local, (uintptr_t)&main};
    // No constant: addresses alone look like no free block.
    for (int i = 1; i < SIZES; i++)
        for (uintptr_t factor = 0; factor < 20; factor++)
            look_alike(sizes[i], 0, factor, 0);
    for (int i = 1; i < SIZES; i++)
        for (size_t at = 0; at < sizeof firsts / sizeof *firsts; at++)
            for (uintptr_t factor = 0; factor < 20; factor++) {
                look_alike(sizes[i], firsts[at], factor, 0);
                // The constant of a seal.
                look_alike(sizes[i], firsts[at], factor, 0x5ea1ed01);
            }
    puts("ok");
    return 0;
}
