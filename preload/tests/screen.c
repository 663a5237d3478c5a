// The summary of HAKMEM_STATS goes to standard error, also if the program has closed it, and to no file that a program
// has opened in its place. A file of its own it fills anew.
#define _GNU_SOURCE
#include "again.h"
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

// Files with high numbers, as the library's is.
static void count_files(void)
{
    int count = 0;
    for (int number = 700; number < 1024; number++)
        count += fcntl(number, F_GETFD) != -1;
    dprintf(STDERR_FILENO, "%d files\n", count);
}

static void closed_screen(void)
{
    int status;
    const char *said = again("HAKMEM_STATS", "1", "closes", &status);
    CHECK(status == 0 && strncmp(said, "hakmem: variant ", 16) == 0);
}

// A program that another one becomes has the library's file once.
static void one_file(void)
{
    int status;
    const char *said = again("HAKMEM_STATS", "1", "becomes", &status);
    CHECK(status == 0 && (strncmp(said, "1 files\n", 8) == 0 || strncmp(said, "0 files\n", 8) == 0));
}

static void file_filled_anew(void)
{
    static char text[5000];
    char name[] = "/tmp/hakmem-XXXXXX.json";
    int status, file = mkstemps(name, 5);
    memset(text, ' ', sizeof text);
    CHECK(file >= 0 && write(file, text, sizeof text) == (ssize_t)sizeof text);
    const char *said = again("HAKMEM_STATS", name, "nothing", &status);
    CHECK(status == 0 && *said == 0);
    ssize_t size = pread(file, text, sizeof text, 0);
    CHECK(unlink(name) == 0 && size > 2 && text[0] == '{' && memcmp(text + size - 2, "}\n", 2) == 0);
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "closes") == 0)
        return close(STDERR_FILENO);
    if (count > 1 && strcmp(words[1], "becomes") == 0)
        return execl("/proc/self/exe", words[0], "counts", (char *)NULL);
    if (count > 1 && strcmp(words[1], "counts") == 0)
        count_files();
    else if (count > 1 && strcmp(words[1], "nothing") != 0)
        child(atoi(words[1]));
    if (count > 1)
        return 0; // It ends as programs do.
    if (getenv("LD_PRELOAD") != NULL) {
        closed_screen();
        one_file();
        file_filled_anew();
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
