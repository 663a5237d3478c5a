// HAKMEM_BACKGROUND=1: a thread gives memory back while the program does nothing. It starts with a second thread or the
// first freed large block, takes no signal, and starts again after a fork.
#define _GNU_SOURCE
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Without stdio, whose allocations may start the thread.
static int threads(void)
{
    char text[4096];
    int count = 0, file = open("/proc/self/status", O_RDONLY);
    ssize_t size = read(file, text, sizeof text - 1);
    CHECK(size > 0);
    close(file);
    text[size] = 0;
    const char *line = strstr(text, "\nThreads:");
    CHECK(line != NULL && sscanf(line, "\nThreads: %d", &count) == 1);
    return count;
}

enum { COUNT = 200000, BYTES = 500 };

static char *block[COUNT];

static void a_peak(void)
{
    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(BYTES);
        CHECK(block[i] != NULL);
        memset(block[i], 1, BYTES);
    }
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
}

// Nobody allocates meanwhile; even on a slow machine the memory goes back in the end.
static void silence(size_t mib)
{
    alarm(100);
    while (resident() > mib * MIB)
        usleep(100000);
    alarm(0);
}

static void *nothing(void *unused)
{
    free(malloc(100));
    return unused;
}

static volatile sig_atomic_t handled;

static void handle(int signal)
{
    (void)signal;
    handled = 1;
}

static void no_signal_is_taken(void)
{
    sigset_t usr1, pending;
    signal(SIGUSR1, handle);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &usr1, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    usleep(100000);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && !handled);
    CHECK(sigprocmask(SIG_UNBLOCK, &usr1, NULL) == 0);
    CHECK(handled);
}

static void in_a_child(void (*begin)(void))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        begin();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void child_of_one_that_runs(void)
{
    CHECK(threads() == 1);
    a_peak();
    silence(40);
    CHECK(threads() == 2);
    in_a_child(a_peak);
}

static void with_a_second_thread(void)
{
    pthread_t thread;
    CHECK(threads() == 1);
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(threads() == 2);
    a_peak();
    silence(40);
}

// The thread that starts the other one takes signals as before.
static void signals_are_taken(void)
{
    sigset_t blocked;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0);
    for (int signal = 1; signal < 32; signal++)
        CHECK(!sigismember(&blocked, signal));
}

static void with_a_large_block(void)
{
    CHECK(threads() == 1);
    free(malloc(8 << 20));
    CHECK(threads() == 2);
    signals_are_taken();
    a_peak();
    silence(40);
    no_signal_is_taken();
    in_a_child(child_of_one_that_runs);
}

int main(int count, char **words)
{
    // Only under our own allocator, and if it gives memory back: then mallopt accepts this setting.
    if (getenv("LD_PRELOAD") != NULL && mallopt(M_TRIM_THRESHOLD, 0) == 1) {
        if (getenv("HAKMEM_BACKGROUND") == NULL) {
            CHECK(threads() == 1);
            free(malloc(8 << 20));
            CHECK(threads() == 1);
            CHECK(setenv("HAKMEM_BACKGROUND", "1", 1) == 0);
            CHECK(count == 1 && execv("/proc/self/exe", words) == 0);
        }
        in_a_child(with_a_second_thread);
        in_a_child(with_a_large_block);
    }
    puts("ok");
    return 0;
}
