// The summary of HAKMEM_STATS goes to standard error, and to no file that a program has opened in its place.
#include "check.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char MINE[] = "mine\n";

// Closes all files that it did not open, as daemons do, and has one file under every number.
static void child(int file)
{
    char text[20];
    for (int number = 0; number < 1024; number++)
        if (number != file)
            close(number);
    for (int number = 0; number < 1024; number++)
        if (number != file && dup2(file, number) != number)
            break; // There are no more files.
    snprintf(text, sizeof text, "%s", MINE);
    if (write(file, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(1);
}

int main(int count, char **words)
{
    if (count > 1) {
        child(atoi(words[1]));
        return 0; // It ends as programs do.
    }
    char name[] = "/tmp/hakmem-XXXXXX", number[20], text[1000];
    int status = -1, file = mkstemp(name);
    CHECK(file >= 0);
    snprintf(number, sizeof number, "%d", file);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setenv("HAKMEM_STATS", "1", 1);
        execl("/proc/self/exe", words[0], number, (char *)NULL);
        _exit(2);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    ssize_t size = pread(file, text, sizeof text - 1, 0);
    CHECK(unlink(name) == 0);
    CHECK(size == (ssize_t)strlen(MINE) && memcmp(text, MINE, strlen(MINE)) == 0);
    puts("ok");
    return 0;
}
