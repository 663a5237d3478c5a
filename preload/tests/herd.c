// Thousands of threads allocate, wait for each other, free, wait again, and end together: all of them want a few locks
// at once.
//
// A waiting thread must sleep until the lock is given up. If each thread polled now and then, thousands would do so in
// turn, and the holder of the lock would hardly run. The time of that depends on chance, so the check counts how often
// a thread gave up its processor.
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

// The program ends after this long if the threads wait for ever.
enum { PATIENCE_S = 100 };
enum { THREADS = 2000, ROUNDS = 5 };
// Blocks of a thread: of many classes, and some that no list of a thread serves.
enum { SMALL = 30, LARGE = 40, BLOCKS = SMALL + LARGE };
// Per thread and round. A thread waits twice for the others, and for a lock hardly more often than it takes one, to
// allocate or free a block; four in all are usual.
enum { MOST_SWITCHES = 2 + 2 * BLOCKS };

static pthread_barrier_t barrier;

static void *live(void *unused)
{
    void *blocks[BLOCKS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = malloc(i < SMALL ? 16 + (size_t)i * 37 : 40000)) != NULL);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

static long switches(void)
{
    struct rusage used;
    CHECK(getrusage(RUSAGE_SELF, &used) == 0);
    return used.ru_nvcsw + used.ru_nivcsw;
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    alarm(PATIENCE_S);
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 * KIB) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    // Another check looks at the very first calls.
    free(malloc(40000));
    long before = switches();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], &small, live, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    long taken = switches() - before;
    snprintf(circumstances, sizeof circumstances, ": %ld", taken);
    CHECK(taken < (long)MOST_SWITCHES * THREADS * ROUNDS);
    puts("ok");
    return 0;
}
