// Large blocks lie side by side in few mappings, and what a freed one leaves serves the next, of whatever size.
#include "check.h"
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MANY = 200000, LIVE = 16 };

static char *block[MANY], *larger[MANY / 2];

// Lines of the kernel's list of mappings.
static long mappings(void)
{
    static char text[1 << 16];
    int file = open("/proc/self/maps", O_RDONLY);
    long lines = 0;
    for (ssize_t size; (size = read(file, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < size; i++)
            lines += text[i] == '\n';
    close(file);
    return lines;
}

static long faults(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt;
}

static unsigned long state = 88172645463325252ul;

static size_t below(size_t end)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 16) % end;
}

// Every other one of many blocks is freed. Then as many come that are twice as large, none of which fits a hole.
static void many_holes(void)
{
    long before = mappings();
    for (int i = 0; i < MANY; i++)
        CHECK((block[i] = malloc(600 * KIB)) != NULL);
    long all = mappings();
    CHECK(all - before < 100);
    for (int i = 0; i < MANY; i += 2)
        free(block[i]);
    for (int i = 0; i < MANY / 2; i++)
        CHECK((larger[i] = malloc(1200 * KIB)) != NULL);
    CHECK(mappings() - before < 30000);
    for (int i = 0; i < MANY / 2; i++)
        free(larger[i]);
    for (int i = 1; i < MANY; i += 2)
        free(block[i]);
}

// With `fenced` as its argument: large blocks get pages of their own each time.
static int is_fenced;

static void replace(char **place)
{
    free(*place);
    size_t size = 64 * KIB + below(4 * MIB - 64 * KIB);
    CHECK((*place = malloc(size)) != NULL);
    for (size_t at = 0; at < size; at += 4096)
        (*place)[at] = 1;
}

// Buffers of all sizes, one replaced at a time, whose memory is there from some time on.
static void buffers(void)
{
    static char *buffer[LIVE];
    for (int i = 0; i < 3000; i++)
        replace(&buffer[below(LIVE)]);
    long before = faults(), touched = 0;
    for (int i = 0; i < 3000; i++) {
        char **place = &buffer[below(LIVE)];
        replace(place);
        touched += malloc_usable_size(*place) / 4096;
    }
    long more = faults() - before;
    snprintf(circumstances, sizeof circumstances, ": %ld faults of %ld pages", more, touched);
    if (!is_fenced)
        CHECK(more < touched / 50);
    for (int i = 0; i < LIVE; i++)
        free(buffer[i]);
    circumstances[0] = 0;
}

// A block that grows among others keeps its content, and its pages.
static void growing(void)
{
    static unsigned *words[8];
    static size_t count[8];
    for (int turn = 0; turn < 4; turn++) {
        for (size_t n = 64 * KIB; n < 4 * MIB; n += n / 2) {
            for (unsigned i = 0; i < 8; i++) {
                CHECK((words[i] = realloc(words[i], n * sizeof **words)) != NULL);
                for (size_t at = 0; at < count[i]; at++)
                    CHECK(words[i][at] == at + i);
                for (size_t at = count[i]; at < n; at++)
                    words[i][at] = at + i;
                count[i] = n;
            }
        }
        for (int i = 0; i < 8; i++) {
            free(words[i]);
            words[i] = NULL;
            count[i] = 0;
        }
    }
}

int main(int count, char **words)
{
    is_fenced = count > 1 && strcmp(words[1], "fenced") == 0;
    growing();
    // Only a variant with large blocks of its own keeps their mappings.
    if (getenv("LD_PRELOAD") != NULL && mallopt(M_TRIM_THRESHOLD, 0) == 1) {
        buffers();
        if (!is_fenced)
            many_holes();
    }
    puts("ok");
    return 0;
}
