// Memory runs out, in a child for each size of block: the answer is null and ENOMEM, nothing is lost, and freed memory
// can be had again.
//
// The limit is on addresses, above those that the process has already. An allocator that has reserved some before may
// never meet it; after MOST bytes the check takes memory for exhausted.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t block_size;

enum { LIMIT = 256 * MIB, LEAST = 100 * MIB, MOST = 1024 * MIB };

// A list through the blocks themselves, since there is no memory for a table.
struct link {
    struct link *next;
    size_t size;
};

static unsigned char mark(const struct link *link)
{
    return (unsigned char)((uintptr_t)link >> 4 ^ link->size);
}

static int take_one(struct link **list, size_t size)
{
    errno = 0;
    struct link *link = malloc(size);
    if (link == NULL) {
        CHECK(errno == ENOMEM);
        return 0;
    }
    link->next = *list;
    link->size = size;
    ((unsigned char *)link)[size - 1] = mark(link);
    *list = link;
    return 1;
}

static size_t take(struct link **list, size_t size, size_t most)
{
    size_t count = 0;
    while (count < most && take_one(list, size))
        count++;
    return count;
}

static void release(struct link *link)
{
    CHECK(((unsigned char *)link)[link->size - 1] == mark(link));
    free(link);
}

static void release_all(struct link **list)
{
    while (*list != NULL) {
        struct link *link = *list;
        *list = link->next;
        release(link);
    }
}

static void release_every_second(struct link **list)
{
    while (*list != NULL) {
        struct link *link = *list;
        *list = link->next;
        release(link);
        if (*list != NULL)
            list = &(*list)->next;
    }
}

// Allocates until nothing is left, not even for the smallest size.
static void take_the_rest(struct link **list)
{
    for (size_t size = 4 * MIB; size >= 24; size /= 2)
        take(list, size, MOST / size);
}

static void set_limit(void)
{
    rlim_t bytes = size_of_process().addresses + LIMIT;
    struct rlimit limit = {bytes, bytes};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void check_kept(const unsigned char *kept, size_t size)
{
    for (size_t i = 0; i < size; i++)
        CHECK(kept[i] == (unsigned char)(i ^ i >> 8));
}

static unsigned char *take_kept(size_t size)
{
    unsigned char *kept = malloc(size);
    CHECK(kept != NULL);
    for (size_t i = 0; i < size; i++)
        kept[i] = (unsigned char)(i ^ i >> 8);
    return kept;
}

// More than the limit, and so more than can be had.
static void too_much_fails(void)
{
    static const size_t sizes[] = {40, 5000, 100 * KIB, 2 * MIB};
    volatile size_t more = (size_t)MOST * 2;
    for (int i = 0; i < 4; i++) {
        unsigned char *kept = take_kept(sizes[i]);
        errno = 0;
        CHECK(realloc(kept, more) == NULL && errno == ENOMEM);
        check_kept(kept, sizes[i]);
        errno = 0;
        CHECK(calloc(more / 8, 8) == NULL && errno == ENOMEM);
        CHECK(aligned_alloc(4096, more) == NULL && errno == ENOMEM);
        free(kept);
    }
}

static void *short_of_memory(void *unused)
{
    // The thread's first block, which may not be had.
    for (size_t size = 10; size < 10 * MIB; size *= 10) {
        free(malloc(size));
        free(calloc(1, size));
        free(realloc(malloc(size), 2 * size));
    }
    return unused;
}

static void try_threads(const pthread_attr_t *attributes)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        if (pthread_create(&thread, attributes, short_of_memory, NULL) == 0)
            CHECK(pthread_join(thread, NULL) == 0);
    }
}

static void blocks_of_one_size(void)
{
    struct link *list = NULL;
    set_limit();
    too_much_fails();
    size_t count = take(&list, block_size, MOST / block_size);
    CHECK(count * block_size >= LEAST);
    try_threads(NULL);
    release_every_second(&list);
    CHECK(take(&list, block_size, count / 2) > 0);
    release_all(&list);
    CHECK(take(&list, block_size, count / 2) == count / 2);
    release_all(&list);
    too_much_fails();
}

static void nothing_at_all(void)
{
    struct link *list = NULL;
    unsigned char *small = take_kept(100), *large = take_kept(3 * MIB), *grown;
    // A stack that is there already, so that a thread starts where its heap cannot.
    pthread_attr_t attributes;
    void *stack = mmap(NULL, 256 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stack, 256 * KIB) == 0);
    set_limit();
    take_the_rest(&list);
    try_threads(NULL);
    try_threads(&attributes);
    take_the_rest(&list);

    // The calls may succeed or fail; blocks from before are still there.
    if ((grown = realloc(small, 50 * KIB)) != NULL)
        small = grown;
    check_kept(small, 100);
    if ((grown = realloc(large, 9 * MIB)) != NULL)
        large = grown;
    check_kept(large, 3 * MIB);
    for (size_t size = 1; size < 10 * MIB; size = size * 3 + 1) {
        unsigned char *zeroed = calloc(1, size);
        CHECK(zeroed == NULL || (zeroed[0] == 0 && memcmp(zeroed, zeroed + 1, size - 1) == 0));
        free(zeroed);
        free(aligned_alloc(64 * KIB, size));
    }
    errno = 1234;
    release_all(&list);
    CHECK(errno == 1234);
    free(small);
    free(large);
    // All memory is back.
    CHECK(take(&list, 10000, LEAST / 10000) == LEAST / 10000);
    try_threads(&attributes);
    release_all(&list);
}

static void in_a_child(void (*check)(void))
{
    int status = -1;
    snprintf(circumstances, sizeof circumstances, ", with blocks of %zu bytes", block_size);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        check();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(!WIFSIGNALED(status));
    if (status != 0)
        _exit(1); // The child has printed why.
}

int main(void)
{
    static const size_t sizes[] = {24, 1000, 40000, 300000, 5 * MIB};
    for (int i = 0; i < 5; i++) {
        block_size = sizes[i];
        in_a_child(blocks_of_one_size);
    }
    block_size = 0;
    in_a_child(nothing_at_all);
    puts("ok");
    return 0;
}
