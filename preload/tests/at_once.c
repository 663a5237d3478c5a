// Two threads make the first calls of a process at once, and these calls may reach the C library's malloc.
//
// The C library calls its own malloc before there is a second thread, and sets it up without a lock. An allocator that
// takes its place, and leaves some blocks to it, must do so too.
#define _GNU_SOURCE
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { TRIES = 600, THREADS = 2 };

static atomic_int arrived;

static void wait_for(int count)
{
    arrived++;
    while (arrived < count)
        sched_yield();
}

static void *call(void *kind)
{
    // Each thread's own start is done.
    free(malloc(10));
    wait_for(THREADS);
    switch ((size_t)kind) {
    case 0:
        free(malloc(100000));
        break;
    case 1:
        malloc_trim(0);
        break;
    default:
        CHECK(mallinfo2().uordblks > 0 || mallinfo2().hblkhd == 0);
    }
    // Both threads allocate before either ends.
    wait_for(2 * THREADS);
    return NULL;
}

int main(void)
{
    int failures = 0;
    for (size_t i = 0; i < TRIES; i++) {
        int status = -1;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            pthread_t threads[THREADS];
            for (int k = 0; k < THREADS; k++)
                CHECK(pthread_create(&threads[k], NULL, call, (void *)(i % 3)) == 0);
            for (int k = 0; k < THREADS; k++)
                CHECK(pthread_join(threads[k], NULL) == 0);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        failures += status != 0;
    }
    snprintf(circumstances, sizeof circumstances, ": %d of %d", failures, TRIES);
    CHECK(failures == 0);
    puts("ok");
    return 0;
}
