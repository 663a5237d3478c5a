// Helpers of the checks: reporting a failure, and reading the kernel's figures of the process.
#ifndef HAKMEM_CHECK_H
#define HAKMEM_CHECK_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

// Without stdio's buffers, which are on the heap under test.
#define CHECK(cond) ((cond) ? (void)0 : failed(__FILE__, __LINE__, #cond))

// The values of a failure's message, besides its place.
static char circumstances[80];

#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
static inline void failed(const char *file, int line, const char *expected)
{
    dprintf(STDERR_FILENO, "%s:%d: expected %s%s\n", file, line, expected, circumstances);
    _exit(1);
}

enum { KIB = 1 << 10, MIB = 1 << 20 };

// Bytes of addresses, and of memory, that the process has.
struct size_of_process {
    unsigned long addresses, resident;
};

static inline struct size_of_process size_of_process(void)
{
    char text[100];
    unsigned long pages[2], page = (unsigned long)sysconf(_SC_PAGESIZE);
    int file = open("/proc/self/statm", O_RDONLY);
    ssize_t size = read(file, text, sizeof text - 1);
    CHECK(size > 0);
    close(file);
    text[size] = 0;
    CHECK(sscanf(text, "%lu %lu", &pages[0], &pages[1]) == 2);
    struct size_of_process found = {pages[0] * page, pages[1] * page};
    return found;
}

// Bytes of memory that the process has. The question allocates nothing.
static inline size_t resident(void)
{
    return size_of_process().resident;
}

#endif
