// The questions of monitoring tools to the heap: mallinfo, mallinfo2, malloc_info, malloc_stats; and malloc_trim.
//
// The answers must be about the heap that serves malloc.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 64 * KIB };

static void *blocks[BLOCKS];

static void take_64_mib(void)
{
    for (int i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(KIB)) != NULL);
}

static void free_64_mib(void)
{
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static size_t by_mallinfo2(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// It is deprecated, but old tools still call it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static size_t by_mallinfo(void)
{
    struct mallinfo info = mallinfo();
    return (size_t)info.uordblks + (size_t)info.hblkhd;
}
#pragma GCC diagnostic pop

static void in_use_follows(size_t (*in_use)(void))
{
    size_t before = in_use();
    take_64_mib();
    size_t full = in_use();
    CHECK(full >= before + 60 * MIB);
    free_64_mib();
    CHECK(in_use() + 50 * MIB <= full);

    // And large blocks, which are often counted elsewhere.
    before = in_use();
    void *large = malloc(40 * MIB);
    CHECK(large != NULL);
    full = in_use();
    CHECK(full >= before + 40 * MIB && full < before + 60 * MIB);
    free(large);
    CHECK(in_use() + 40 * MIB <= full);
}

static void mallinfo2_follows(void)
{
    in_use_follows(by_mallinfo2);
}

static void free_blocks_are_counted(void)
{
    take_64_mib();
    free_64_mib();
    struct mallinfo2 info = mallinfo2();
    CHECK(info.fordblks == 0 || info.ordblks > 0);
    CHECK(info.ordblks == 0 || info.fordblks > 0);
    CHECK(info.uordblks + info.fordblks == info.arena);
}

static void mallinfo_follows(void)
{
    in_use_follows(by_mallinfo);
}

// Numbers of 31 bits end there. The C library's own begin anew.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void mallinfo_has_a_largest_number(void)
{
    void *large = malloc((size_t)5 << 30);
    if (large != NULL && getenv("LD_PRELOAD") != NULL)
        CHECK(mallinfo().hblkhd == INT_MAX && mallinfo().uordblks >= 0);
    free(large);
}
#pragma GCC diagnostic pop

static void malloc_trim_answers(void)
{
    take_64_mib();
    free_64_mib();
    for (int i = 0; i < 2; i++) {
        int answer = malloc_trim(0);
        CHECK(answer == 0 || answer == 1);
    }
    // Blocks in use stay.
    unsigned char *block = malloc(100000);
    CHECK(block != NULL);
    memset(block, 0x6B, 100000);
    malloc_trim(0);
    for (int i = 0; i < 100000; i++)
        CHECK(block[i] == 0x6B);
    free(block);
}

static void malloc_info_is_xml(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    CHECK(file != NULL);
    CHECK(malloc_info(0, file) == 0);
    CHECK(fclose(file) == 0);
    CHECK(text != NULL);
    CHECK(strncmp(text, "<malloc", 7) == 0);
    CHECK(strstr(text, "</malloc>") != NULL);
    free(text);
}

static void malloc_info_of_unknown_options_fails(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    CHECK(file != NULL);
    errno = 0;
    int answer = malloc_info(1, file);
    // glibc returns the error; by the manual it is in errno.
    CHECK(answer == EINVAL || (answer == -1 && errno == EINVAL));
    CHECK(fclose(file) == 0);
    CHECK(size == 0);
    free(text);
}

// The C library's own does not look.
static void malloc_info_to_a_full_file_fails(void)
{
    FILE *file = fopen("/dev/full", "w");
    if (file == NULL || getenv("LD_PRELOAD") == NULL)
        return;
    CHECK(setvbuf(file, NULL, _IONBF, 0) == 0);
    CHECK(malloc_info(0, file) == -1);
    fclose(file);
}

// An action must write something to stderr. The action has no checks: their messages would go to the file.
static void writes_to_stderr(void (*action)(void))
{
    FILE *file = tmpfile();
    CHECK(file != NULL);
    int screen = dup(STDERR_FILENO);
    CHECK(screen >= 0);
    CHECK(dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
    action();
    fflush(stderr);
    CHECK(dup2(screen, STDERR_FILENO) == STDERR_FILENO);
    close(screen);
    CHECK(lseek(fileno(file), 0, SEEK_END) > 0);
    fclose(file);
}

static void malloc_stats_writes_to_stderr(void)
{
    writes_to_stderr(malloc_stats);
}

static volatile int stats_returned;
static int joined;
static void *ended_with;

static void *say_stats_when_cancelled(void *unused)
{
    pthread_cancel(pthread_self());
    malloc_stats();
    stats_returned = 1;
    pthread_testcancel();
    return unused;
}

static void say_stats_in_a_cancelled_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, say_stats_when_cancelled, NULL) == 0)
        joined = pthread_join(thread, &ended_with) == 0;
}

static void malloc_stats_is_no_cancellation_point(void)
{
    writes_to_stderr(say_stats_in_a_cancelled_thread);
    CHECK(joined);
    CHECK(ended_with == PTHREAD_CANCELED);
    CHECK(stats_returned);
}

int main(void)
{
    mallinfo2_follows();
    mallinfo_follows();
    mallinfo_has_a_largest_number();
    free_blocks_are_counted();
    malloc_trim_answers();
    malloc_info_is_xml();
    malloc_info_of_unknown_options_fails();
    malloc_info_to_a_full_file_fails();
    malloc_stats_writes_to_stderr();
    malloc_stats_is_no_cancellation_point();
    puts("ok");
    return 0;
}
