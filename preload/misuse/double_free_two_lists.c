// Double free: while the block is in another thread's list.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"

static pthread_barrier_t barrier;
static byte *block;

static void *free_and_wait(void *unused)
{
    free(block);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void misuse(size_t size)
{
    pthread_t thread;
    block = allocate(size);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, free_and_wait, NULL);
    pthread_barrier_wait(&barrier);
    free(block);
    survived();
    work(size);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}
