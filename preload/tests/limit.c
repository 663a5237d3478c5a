// HAKMEM_LIMIT: memory goes up to the limit and no further, what waits goes back first, and then the answer is null and
// ENOMEM. A value that is no amount has no effect but one line.
#define _GNU_SOURCE
#include "again.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 * MIB, BESIDES = 12 * MIB, MOST = 1 << 20 };

static void *blocks[MOST];

static size_t take(size_t size)
{
    size_t count = 0;
    errno = 0;
    while (count < MOST && (blocks[count] = malloc(size)) != NULL)
        memset(blocks[count++], 1, size);
    CHECK(count == MOST || errno == ENOMEM);
    return count;
}

static void release(size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

static void *a_thread(void *unused)
{
    void *block = malloc(30 * MIB);
    CHECK(block != NULL);
    CHECK(malloc(40 * MIB) == NULL);
    free(block);
    return unused;
}

static int limited(void)
{
    static const size_t sizes[] = {2000, 30000, 120000, MIB};
    // Under some variants the C library serves large blocks, without a limit.
    int serves_large = mallopt(M_PERTURB, 0) == 1;
    for (int i = 0; i < (serves_large ? 4 : 1); i++) {
        size_t count = take(sizes[i]), bytes = count * sizes[i];
        snprintf(circumstances, sizeof circumstances, ", with %zu blocks of %zu", count, sizes[i]);
        CHECK(bytes > LIMIT / 5 * 4 && bytes <= LIMIT);
        CHECK(resident() < LIMIT + BESIDES);
        if (!serves_large) {
            release(count);
            return 0;
        }
        errno = 0;
        CHECK(calloc(4, MIB) == NULL && errno == ENOMEM);
        void *aligned = NULL;
        CHECK(posix_memalign(&aligned, 4096, 4 * MIB) == ENOMEM);
        char *large = realloc(blocks[0], 50 * MIB);
        CHECK(large == NULL && *(char *)blocks[0] == 1);
        release(count);
    }
    // What was freed waits for blocks of its size, and goes back for others.
    void *large = malloc(50 * MIB);
    CHECK(large != NULL);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(malloc(50 * MIB) == NULL);
        free(large);
        CHECK(malloc(50 * MIB) != NULL);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    free(large);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, a_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

// A limit of so many bytes. No block is touched.
static int in_larger_units(size_t bytes)
{
    if (mallopt(M_PERTURB, 0) != 1)
        return 0;
    void *volatile below = malloc(bytes - 100 * (size_t)MIB);
    CHECK(below != NULL);
    free(below);
    below = malloc(bytes + 100 * (size_t)MIB);
    CHECK(below == NULL);
    return 0;
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "GiB") == 0)
        return in_larger_units((size_t)1 << 30);
    if (count > 1)
        return strcmp(words[1], "limited") == 0 ? limited() : 0;
    if (getenv("LD_PRELOAD") != NULL) {
        static const char *const wrong[] = {"12x", "-1", "1.5G", "M", "64 M", "99999999999999999999"};
        static const char *const none[] = {"", "0", "0M"};
        int status = 0;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            char expected[100];
            snprintf(expected, sizeof expected, "hakmem: HAKMEM_LIMIT=%s is ignored; allowed: ", wrong[i]);
            const char *said = again("HAKMEM_LIMIT", wrong[i], "nothing", &status);
            CHECK(strstr(said, expected) == said && strchr(said, '\n')[1] == 0 && status == 0);
        }
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
            CHECK(*again("HAKMEM_LIMIT", none[i], "nothing", &status) == 0 && status == 0);
        const char *larger = again("HAKMEM_LIMIT", "1G", "GiB", &status);
        CHECK(strstr(larger, "this library has no limit") != NULL || (*larger == 0 && status == 0));
        static const char *const same[] = {"64M", "65536k", "67108864"};
        for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
            const char *said = again("HAKMEM_LIMIT", same[i], "limited", &status);
            // Some variants have no limit, and say so.
            if (strstr(said, "this library has no limit") == NULL && (*said != 0 || status != 0)) {
                dprintf(STDERR_FILENO, "under HAKMEM_LIMIT=%s: %s", same[i], said);
                return 1;
            }
        }
    }
    puts("ok");
    return 0;
}
