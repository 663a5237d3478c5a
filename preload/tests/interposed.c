// A program, like some preloaded libraries, has its own of some C library functions, and they allocate. They are those
// by which an allocator might ask for its process, its thread and the time.
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

static void allocate(void)
{
    void *block = malloc(100);
    CHECK(block != NULL);
    free(block);
}

pid_t getpid(void)
{
    allocate();
    return (pid_t)syscall(SYS_getpid);
}

pid_t gettid(void)
{
    allocate();
    return (pid_t)syscall(SYS_gettid);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    allocate();
    return (int)syscall(SYS_clock_gettime, clock, time);
}

static void *thread(void *unused)
{
    enum { BLOCKS = 10000 };
    static __thread void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc((size_t)i)) != NULL);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return unused;
}

int main(void)
{
    CHECK(getpid() > 0 && gettid() > 0);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, thread, NULL) == 0);
    thread(NULL);
    CHECK(pthread_join(other, NULL) == 0);
    puts("ok");
    return 0;
}
