// A small program under the library starts and ends with few page faults more than without it.
//
// The program runs itself as a child, with and without LD_PRELOAD, and compares the children's page faults. They repeat
// but for a few, so the least of several runs counts.
#define _GNU_SOURCE
#include "check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 5, BLOCKS = 10 };

// Page faults that the library may add. Each block of the child is the first of its size, and so the first on its page.
enum { MOST = 30 + BLOCKS + 5 };

static int small_program(void)
{
    void *blocks[BLOCKS];
    for (int n = 0; n < BLOCKS; n++)
        blocks[n] = malloc(20 * n + 1);
    for (int n = 0; n < BLOCKS; n++)
        free(blocks[n]);
    return 0;
}

static long faults(const char *program)
{
    long least = -1;
    for (int run = 0; run < RUNS; run++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            execl(program, program, "child", (char *)NULL);
            _exit(127);
        }
        int status;
        struct rusage used;
        CHECK(wait4(child, &status, 0, &used) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (least < 0 || used.ru_minflt < least)
            least = used.ru_minflt;
    }
    return least;
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        return small_program();
    long with = faults("/proc/self/exe");
    CHECK(unsetenv("LD_PRELOAD") == 0);
    long without = faults("/proc/self/exe");
    snprintf(circumstances, sizeof circumstances, ", %ld page faults with, %ld without", with, without);
    CHECK(with - without <= MOST);
    puts("ok");
    return 0;
}
