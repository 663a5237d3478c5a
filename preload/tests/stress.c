// Threads that allocate, resize and free at random, and hand blocks to one another; contents are checked throughout.
//
// The numbers drawn are equal in every run; the order in which threads meet at a place is not.
#define _GNU_SOURCE
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, STEPS = 50000, PLACES = 2048, LARGEST = 300 << 10 };

// A block, and the seed of its content. No block if `at` is null.
struct held {
    unsigned char *at;
    size_t size;
    uint64_t seed;
};

// Places where blocks wait for the thread that draws the place next.
static struct place {
    pthread_mutex_t lock;
    struct held held;
} places[PLACES];

// SplitMix64.
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

// Small sizes are frequent, as in programs; 1 in 512 is MiBs.
static size_t draw_size(uint64_t *state)
{
    if (draw(state) % 512 == 0)
        return MIB + draw(state) % (5 * MIB);
    return 1 + draw(state) % (LARGEST >> draw(state) % 18);
}

// The next byte to look at: all near both ends, one in 512 between them.
static size_t next_mark(size_t i, size_t size)
{
    if (i < 256 || i + 64 >= size)
        return i + 1;
    return i + 512 < size - 64 ? i + 512 : size - 64;
}

static unsigned char mark(size_t i, uint64_t seed)
{
    return (unsigned char)(seed >> i % 8 * 8 ^ i ^ i >> 9);
}

static void stamp(struct held held)
{
    for (size_t i = 0; i < held.size; i = next_mark(i, held.size))
        held.at[i] = mark(i, held.seed);
}

// The first bytes of the stamp, at their present place.
static void check_stamp(struct held held, size_t kept)
{
    for (size_t i = 0; i < held.size && i < kept; i = next_mark(i, held.size))
        CHECK(held.at[i] == mark(i, held.seed));
}

static struct held swap(uint64_t *state, struct held held)
{
    struct place *place = &places[draw(state) % PLACES];
    pthread_mutex_lock(&place->lock);
    struct held found = place->held;
    place->held = held;
    pthread_mutex_unlock(&place->lock);
    return found;
}

static struct held take(uint64_t *state)
{
    struct held held = {NULL, draw_size(state), draw(state)};
    uint64_t how = draw(state) % 8;
    if (how < 5) {
        held.at = malloc(held.size);
        CHECK(held.at != NULL && (uintptr_t)held.at % 16 == 0);
    } else if (how < 7) {
        held.at = calloc(1, held.size);
        CHECK(held.at != NULL && (uintptr_t)held.at % 16 == 0);
        CHECK(held.at[0] == 0 && memcmp(held.at, held.at + 1, held.size - 1) == 0);
    } else {
        size_t align = (size_t)1 << draw(state) % 17;
        held.at = aligned_alloc(align, held.size);
        CHECK(held.at != NULL && (uintptr_t)held.at % align == 0);
    }
    CHECK(malloc_usable_size(held.at) >= held.size);
    stamp(held);
    return held;
}

static struct held resize(struct held held, uint64_t *state)
{
    // Half of them change by a little, as growing buffers do; the others to any size.
    size_t size = draw(state) % 2 ? draw_size(state) : held.size + 1 + draw(state) % (held.size / 2 + 1);
    if (size > 6 * MIB)
        size = 6 * MIB;
    held.at = realloc(held.at, size);
    CHECK(held.at != NULL && (uintptr_t)held.at % 16 == 0);
    check_stamp(held, size);
    held.size = size;
    stamp(held);
    return held;
}

static void release(struct held held)
{
    if (held.at == NULL)
        return;
    check_stamp(held, held.size);
    free(held.at);
}

static void *worker(void *seed)
{
    static const struct held none = {NULL, 0, 0};
    uint64_t state = (uint64_t)(uintptr_t)seed;
    for (int step = 0; step < STEPS; step++) {
        struct held held = swap(&state, none);
        if (held.at == NULL) {
            held = take(&state);
        } else if (draw(&state) % 2) {
            check_stamp(held, held.size);
            held = resize(held, &state);
        } else {
            release(held);
            held = take(&state);
        }
        release(swap(&state, held));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < PLACES; i++)
        pthread_mutex_init(&places[i].lock, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < PLACES; i++)
        release(places[i].held);
    puts("ok");
    return 0;
}
