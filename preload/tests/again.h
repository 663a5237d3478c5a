// Runs this program again, under a setting of the library.
#ifndef HAKMEM_AGAIN_H
#define HAKMEM_AGAIN_H

#include "check.h"
#include <stdlib.h>
#include <sys/wait.h>

// Returns what it prints on standard error.
static const char *again(const char *setting, const char *value, const char *argument, int *status)
{
    static char text[1000];
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && setenv(setting, value, 1) == 0);
        execl("/proc/self/exe", "again", argument, (char *)NULL);
        _exit(2);
    }
    close(ends[1]);
    size_t size = 0;
    for (ssize_t more; (more = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)more;
    text[size] = 0;
    close(ends[0]);
    CHECK(waitpid(pid, status, 0) == pid);
    return text;
}

#endif
