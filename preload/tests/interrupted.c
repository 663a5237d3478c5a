// A fork at bad moments: in a signal handler that interrupts an allocation, and while other threads hold stdio's locks
// and wait for a block.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>

// The program ends after this long if something waits for ever.
enum { PATIENCE_S = 300 };

static void expect_success(pid_t pid)
{
    int status = -1;
    CHECK(pid > 0);
    while (waitpid(pid, &status, 0) != pid)
        CHECK(errno == EINTR);
    CHECK(status == 0);
}

static volatile sig_atomic_t signals;

static void fork_at_once(int number)
{
    (void)number;
    int kept = errno;
    // The child may do little: an allocation has no place in a signal handler.
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    expect_success(pid);
    signals++;
    errno = kept;
}

// Blocks of all sizes, so most signals come while a lock is held.
static void churn(unsigned *state, void **blocks, int count)
{
    for (int i = 0; i < count; i++) {
        *state = *state * 1664525 + 1013904223;
        free(blocks[i]);
        CHECK((blocks[i] = malloc(1 + (*state >> 8) % (*state & 1 << 7 ? 70000 : 700))) != NULL);
    }
}

static void in_signals(void)
{
    enum { BLOCKS = 1000, SIGNALS = 200 };
    static void *blocks[BLOCKS];
    struct sigaction action = {.sa_handler = fork_at_once, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    unsigned state = 1;
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
    while (signals < SIGNALS)
        churn(&state, blocks, BLOCKS);
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static atomic_int is_over;

// Holds the lock of the list of files, and waits for each of them.
static void *flushes(void *nothing)
{
    while (!is_over)
        CHECK(fflush(NULL) == 0);
    return nothing;
}

// Holds a file, and waits for a block.
static void *reads(void *nothing)
{
    // Longer than blocks that a thread's lists serve.
    enum { LENGTH = 40000, LINES = 16 };
    char *text = malloc(LENGTH + 1);
    CHECK(text != NULL);
    for (int i = 0; i < LENGTH; i++)
        text[i] = 'x';
    text[LENGTH] = 0;
    while (!is_over) {
        FILE *file = tmpfile();
        CHECK(file != NULL && fputs(text, file) >= 0);
        rewind(file);
        char *lines[LINES] = {NULL};
        for (int i = 0; i < LINES; i++) {
            size_t room = 0;
            rewind(file);
            CHECK(getline(&lines[i], &room, file) == LENGTH);
        }
        for (int i = 0; i < LINES; i++)
            free(lines[i]);
        CHECK(fclose(file) == 0);
    }
    free(text);
    return nothing;
}

static void beside_stdio(void)
{
    enum { THREADS = 6, FORKS = 200 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, i % 3 ? reads : flushes, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            // The child may use stdio's list, and the heap.
            alarm(PATIENCE_S);
            FILE *file = fopen("/dev/null", "w");
            CHECK(file != NULL && fputs("x", file) >= 0 && fclose(file) == 0);
            _exit(0);
        }
        expect_success(pid);
    }
    is_over = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    alarm(PATIENCE_S);
    in_signals();
    beside_stdio();
    puts("ok");
    return 0;
}
