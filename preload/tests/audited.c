// HAKMEM_AUDIT: a program whose heap is sound goes on, and one that has written over the library's own data is ended with
// one line.
//
// The writes hit the header of a segment: 2 MiB of addresses, aligned, which hold small blocks. Its place in the header
// decides what is broken.
#define _GNU_SOURCE
#include "again.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 2 * MIB, ROUNDS = 60, THREADS = 3 };

// Blocks of all sizes come and go, for long enough that the clock moves.
static void work(unsigned seed)
{
    static const size_t sizes[] = {24, 300, 5000, 40000, 200000, 900000};
    void *held[64] = {NULL};
    for (int i = 0; i < 4000; i++) {
        seed = seed * 1103515245 + 12345;
        void **place = &held[seed >> 8 & 63];
        free(*place);
        *place = malloc(sizes[(seed >> 16) % 6]);
        CHECK(*place != NULL);
    }
    for (int i = 0; i < 64; i++)
        free(held[i]);
}

static void *thread(void *seed)
{
    for (int i = 0; i < ROUNDS / 4; i++)
        work((unsigned)(uintptr_t)seed + (unsigned)i);
    return NULL;
}

static int sound(void)
{
    for (int round = 0; round < 4; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(threads + i, NULL, thread, (void *)(i * 77)) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            work(3);
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return 0;
}

// Writes to a header, and goes on with few small blocks, which need none of what was written over.
static int broken(size_t offset)
{
    enum { BYTES = 96, BLOCKS = 4000 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(BYTES)) != NULL);
    uint32_t *word = (uint32_t *)(((uintptr_t)blocks[0] & ~(uintptr_t)(SEGMENT - 1)) + offset);
    *word ^= 0x00f0f000;
    alarm(60);
    for (;;) {
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = malloc(BYTES);
    }
}

int main(int count, char **words)
{
    if (count > 1) {
        size_t offset = strtoul(words[1], NULL, 10);
        return strcmp(words[1], "nothing") == 0 ? 0 : offset > 0 ? broken(offset) : sound();
    }
    if (getenv("LD_PRELOAD") != NULL) {
        int status = 0;
        const char *said = again("HAKMEM_AUDIT", "1x", "nothing", &status);
        CHECK(strstr(said, "hakmem: HAKMEM_AUDIT=1x is ignored; allowed: ") == said && status == 0);
        said = again("HAKMEM_AUDIT", "5ms", "sound", &status);
        // Some variants look at no clock, and say so.
        int has_audits = strstr(said, "this library has no audits") == NULL;
        snprintf(circumstances, sizeof circumstances, ", but: %.60s", said);
        CHECK(!has_audits || (*said == 0 && status == 0));
        // Which slices are free, and which are dirty.
        static const char *const offsets[] = {"48", "52"};
        for (size_t i = 0; has_audits && i < sizeof offsets / sizeof *offsets; i++) {
            static const char start[] = "hakmem: fatal: audit: ";
            said = again("HAKMEM_AUDIT", "5ms", offsets[i], &status);
            snprintf(circumstances, sizeof circumstances, ", but: %.60s", said);
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
            CHECK(strncmp(said, start, sizeof start - 1) == 0 && strchr(said, '\n')[1] == 0);
        }
    }
    puts("ok");
    return 0;
}
