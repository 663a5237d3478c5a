// fork, vfork and their kin while eight threads allocate and free: the child must be able to allocate and free at once.
//
// The first argument is the number of forks.
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { THREADS = 8, PLACES = 64 };

// Places where a block waits for another thread to free it.
static _Atomic(unsigned char *) places[PLACES];
static atomic_int is_over;

// Every range of sizes; large ones are rare, since each costs system calls.
static const size_t ranges[] = {64, 64, 256, KIB, KIB, 8 * KIB, 32 * KIB, 200 * KIB};
enum { RANGES = sizeof ranges / sizeof *ranges };

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t draw_size(uint32_t *state)
{
    if (draw(state) % 256 == 0)
        return MIB + draw(state) % (2 * MIB);
    return sizeof(size_t) + draw(state) % ranges[draw(state) % RANGES];
}

// A block begins and ends with its size.
static unsigned char *take(size_t size)
{
    unsigned char *block = size % 3 ? malloc(size) : calloc(1, size);
    CHECK(block != NULL);
    memcpy(block, &size, sizeof size);
    block[size - 1] = (unsigned char)(size % 251);
    return block;
}

static void release(unsigned char *block)
{
    size_t size;
    if (block == NULL)
        return;
    memcpy(&size, block, sizeof size);
    // If the block is no longer than its size, the two are one.
    CHECK(size <= sizeof size || block[size - 1] == size % 251);
    free(block);
}

static void step(uint32_t *state)
{
    unsigned char *block = take(draw_size(state) + sizeof(size_t));
    if (draw(state) % 8 == 0) {
        size_t size = draw_size(state) + sizeof(size_t);
        CHECK((block = realloc(block, size)) != NULL);
        memcpy(block, &size, sizeof size);
        block[size - 1] = (unsigned char)(size % 251);
    }
    release(atomic_exchange(&places[draw(state) % PLACES], block));
}

static void *without_end(void *seed)
{
    // The forks go first where processors are few; otherwise a thousand of them take a minute.
    CHECK(setpriority(PRIO_PROCESS, (id_t)gettid(), 19) == 0);
    uint32_t state = (uint32_t)(uintptr_t)seed;
    while (!is_over)
        step(&state);
    return NULL;
}

static void *some_steps(void *seed)
{
    uint32_t state = (uint32_t)(uintptr_t)seed;
    for (int i = 0; i < 50; i++)
        step(&state);
    return NULL;
}

static _Noreturn void child(uintptr_t round)
{
    // Ends a child that waits for a lock which nobody will give up; no other.
    alarm(120);
    // A block of each range at once, so one meets any lock that another thread held.
    unsigned char *blocks[RANGES + 1];
    for (int i = 0; i < RANGES; i++)
        blocks[i] = take(ranges[i]);
    blocks[RANGES] = take(3 * MIB);
    for (int i = 0; i <= RANGES; i++)
        release(blocks[i]);
    // And the blocks that threads of the parent have left, which may be any of theirs.
    for (int i = round % 4; i < PLACES; i += 4)
        release(atomic_exchange(&places[i], NULL));
    some_steps((void *)round);
    if (round % 10 == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, some_steps, (void *)(round + 1)) == 0);
        some_steps((void *)(round + 2));
        CHECK(pthread_join(thread, NULL) == 0);
    }
    if (round % 50 == 0) {
        // The child can fork in turn.
        int status = -1;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(120);
            some_steps((void *)(round + 3));
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    _exit(0);
}

static void expect_success(pid_t pid)
{
    int status = -1;
    CHECK(pid > 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(!WIFSIGNALED(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forks(long count)
{
    uint32_t state = 1;
    for (long round = 0; round < count; round++) {
        pid_t pid = fork();
        if (pid == 0)
            child((uintptr_t)round);
        expect_success(pid);
        // The parent's own heap is unchanged.
        step(&state);
    }
}

static void spawns(void)
{
    for (int i = 0; i < 5; i++) {
        char *words[] = {"true", NULL};
        pid_t pid = -1;
        CHECK(posix_spawnp(&pid, "true", NULL, NULL, words, environ) == 0);
        expect_success(pid);
    }
}

static pid_t vfork_true(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execlp("true", "true", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void vforks(void)
{
    for (int i = 0; i < 5; i++)
        expect_success(vfork_true());
}

static void pipes(void)
{
    for (int i = 0; i < 5; i++) {
        char line[10] = "";
        FILE *file = popen("echo x", "r");
        CHECK(file != NULL);
        CHECK(fgets(line, sizeof line, file) != NULL && strcmp(line, "x\n") == 0);
        CHECK(pclose(file) == 0);
    }
}

int main(int count, char **words)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, without_end, (void *)(i + 100)) == 0);
    forks(count > 1 ? strtol(words[1], NULL, 10) : 1000);
    spawns();
    vforks();
    pipes();
    is_over = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < PLACES; i++)
        release(places[i]);
    puts("ok");
    return 0;
}
