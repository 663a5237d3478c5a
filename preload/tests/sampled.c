// Sampled blocks: each misuse of one ends the program with a report, and all else works as ever.
//
// The program runs itself once for each case, with HAKMEM_SAMPLE set. With the argument `samples` the library must be
// one that samples. The C library's malloc ignores the setting.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef volatile unsigned char byte;

enum { PAGE = 4096 };

// The line that the report must begin with.
static void expect(const char *what, const byte *at)
{
    dprintf(STDOUT_FILENO, "hakmem: fatal: %s: 0x%lx\n", what, (unsigned long)at);
}

static byte *take(size_t size)
{
    byte *block = malloc(size);
    CHECK(block != NULL && malloc_usable_size((void *)block) == size);
    memset((void *)block, 7, size);
    return block;
}

// A block with other bytes of its pages in front of it.
static byte *take_at_end(void)
{
    byte *block;
    do
        block = take(100);
    while ((uintptr_t)block % PAGE == 0);
    return block;
}

static void give(byte *block)
{
    free((void *)block);
}

static void overflow_write(void)
{
    byte *block = take(PAGE);
    expect("buffer overflow", block + PAGE);
    block[PAGE] = 1;
}

static void overflow_read(void)
{
    byte *block = take(2 * PAGE);
    expect("buffer overflow", block + 2 * PAGE + 9);
    (void)block[2 * PAGE + 9];
}

static void overflow_found(void)
{
    byte *block = take(100);
    expect("buffer overflow", block + 100);
    block[100] = 1;
    give(block);
}

static void underflow_write(void)
{
    byte *block = take(PAGE);
    expect("buffer underflow", block - 1);
    block[-1] = 1;
}

static void underflow_found(void)
{
    byte *block = take_at_end();
    expect("buffer underflow", block - 3);
    block[-3] = 1;
    give(block);
}

static void late_read(void)
{
    byte *block = take(24);
    give(block);
    expect("use after free", block + 8);
    (void)block[8];
}

static void late_write(void)
{
    byte *block = take(20000);
    give(block);
    expect("use after free", block + 19999);
    block[19999] = 1;
}

static void late_large(void)
{
    byte *block = take(200000);
    give(block);
    expect("use after free", block + 150000);
    (void)block[150000];
}

static void double_free(void)
{
    byte *block = take(100);
    give(block);
    // Others in between, which get other slots.
    for (int i = 0; i < 20; i++)
        give(take(100));
    expect("double free", block);
    give(block);
}

static void free_inside(void)
{
    byte *block = take(100);
    expect("free of an address inside a block", block + 16);
    give(block + 16);
}

static void realloc_late(void)
{
    byte *block = take(100);
    byte *other = realloc((void *)block, 3000);
    CHECK(other != NULL && other != block && other[0] == 7 && other[99] == 7);
    expect("use after free", block);
    block[0] = 1;
}

static void realloc_freed(void)
{
    byte *block = take(100);
    give(block);
    expect("use after free", block);
    CHECK(realloc((void *)block, 200) == NULL);
}

static void usable_freed(void)
{
    byte *block = take(100);
    give(block);
    expect("use after free", block);
    CHECK(malloc_usable_size((void *)block) == 1);
}

static void *free_it(void *block)
{
    free(block);
    dprintf(STDOUT_FILENO, "  it was freed in thread %ld:\n", syscall(SYS_gettid));
    return NULL;
}

static void other_thread(void)
{
    byte *block = take(100);
    pthread_t thread;
    dprintf(STDOUT_FILENO, "  it was allocated in thread %d:\n", getpid());
    CHECK(pthread_create(&thread, NULL, free_it, (void *)block) == 0);
    pthread_join(thread, NULL);
    expect("use after free", block + 1);
    block[1] = 1;
}

// The child of a fork goes on with samples of its own, and knows the parent's.
static void forked(void)
{
    byte *block = take(100);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        give(take(1000));
        give(block);
        expect("use after free", block);
        block[0] = 1;
        _exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    block[0] = 1;
    give(block);
    raise(WTERMSIG(status));
}

// What a function knows of a fault by a handler of its own.
static void say_where(int signal, siginfo_t *about, void *context)
{
    (void)context;
    dprintf(STDOUT_FILENO, "%d at %p\n", signal, about->si_addr);
    _exit(0);
}

static void handle_faults(void)
{
    struct sigaction action = {.sa_sigaction = say_where, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

// A handler that a program installs gets all faults, those in sampled blocks among them.
static void own_handler(void)
{
    byte *block = take(PAGE);
    handle_faults();
    block[PAGE] = 1;
}

static void plain_fault(void)
{
    take(100);
    *(byte *)8 = 1;
}

static void sent_signal(void)
{
    take(100);
    kill(getpid(), SIGSEGV);
    pause();
}

static void aligned(void)
{
    for (size_t align = 16; align <= 64 * KIB; align *= 2)
        for (size_t size = 1; size < 100000; size = size * 3 + 5) {
            byte *block = memalign(align, size);
            CHECK(block != NULL && (uintptr_t)block % align == 0);
            CHECK(malloc_usable_size((void *)block) >= size);
            memset((void *)block, 9, size);
            give(block);
            void *other;
            CHECK(posix_memalign(&other, align, size) == 0 && (uintptr_t)other % align == 0);
            free(other);
        }
    byte *block = aligned_alloc(4096, 8192);
    expect("buffer overflow", block + 8192);
    block[8192] = 1;
}

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

// Random operations with content that must stay.
static void *operate(void *seed)
{
    enum { BLOCKS = 200 };
    struct {
        byte *at;
        size_t size;
        byte mark;
    } blocks[BLOCKS] = {0};
    uint32_t state = (uint32_t)(uintptr_t)seed;
    for (int i = 0; i < 6000; i++) {
        uint32_t place = draw(&state) % BLOCKS, what = draw(&state) % 8;
        size_t size = 1 + draw(&state) % (what == 0 ? 100000 : 600);
        byte *at = blocks[place].at;
        for (size_t n = 0; at != NULL && n < blocks[place].size; n++)
            CHECK(at[n] == blocks[place].mark);
        size_t kept = size < blocks[place].size ? size : blocks[place].size;
        errno = 77;
        if (what == 1) {
            give(at);
            CHECK(errno == 77);
            blocks[place].at = NULL;
            blocks[place].size = 0;
            continue;
        }
        if (what < 4) {
            at = realloc((void *)at, size);
        } else {
            give(at);
            at = what < 6 ? calloc(1, size) : malloc(size);
            kept = 0;
            for (size_t n = 0; what < 6 && n < size; n++)
                CHECK(at[n] == 0);
        }
        CHECK(at != NULL && (uintptr_t)at % 16 == 0);
        for (size_t n = 0; n < kept; n++)
            CHECK(at[n] == blocks[place].mark);
        blocks[place].at = at;
        blocks[place].size = size;
        blocks[place].mark = (byte)draw(&state);
        memset((void *)at, blocks[place].mark, size);
    }
    for (int i = 0; i < BLOCKS; i++)
        give(blocks[i].at);
    return NULL;
}

static void threads(void)
{
    for (uintptr_t round = 0; round < 3; round++) {
        pthread_t others[4];
        for (uintptr_t i = 0; i < 4; i++)
            CHECK(pthread_create(&others[i], NULL, operate, (void *)(round * 4 + i)) == 0);
        for (int i = 0; i < 4; i++)
            pthread_join(others[i], NULL);
    }
}

// Says how much memory blocks take that stay, come and go.
static void memory(void)
{
    static byte *blocks[300];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            blocks[i] = malloc(3000);
            memset((void *)blocks[i], 1, 3000);
        }
        for (int i = 0; round < 2 && i < 300; i++)
            give(blocks[i]);
    }
    // Checks SP3: the caller compares it with what a pool may have open.
    dprintf(STDOUT_FILENO, "%lu\n", resident() / KIB);
}

static void nothing(void)
{
}

static const struct {
    const char *name;
    void (*run)(void);
    // The signal that ends it; 0 for a good end.
    int signal;
    // The mean gap.
    const char *gap;
} cases[] = {
    {"overflow_write", overflow_write, SIGSEGV, "1"},
    {"overflow_read", overflow_read, SIGSEGV, "1"},
    {"overflow_found", overflow_found, SIGABRT, "1"},
    {"underflow_write", underflow_write, SIGSEGV, "1"},
    {"underflow_found", underflow_found, SIGABRT, "1"},
    {"late_read", late_read, SIGSEGV, "1"},
    {"late_write", late_write, SIGSEGV, "1"},
    {"late_large", late_large, SIGSEGV, "1"},
    {"double_free", double_free, SIGABRT, "1"},
    {"free_inside", free_inside, SIGABRT, "1"},
    {"realloc_late", realloc_late, SIGSEGV, "1"},
    {"realloc_freed", realloc_freed, SIGABRT, "1"},
    {"usable_freed", usable_freed, SIGABRT, "1"},
    {"other_thread", other_thread, SIGSEGV, "1"},
    {"forked", forked, SIGSEGV, "1"},
    {"own_handler", own_handler, 0, "1"},
    {"plain_fault", plain_fault, SIGSEGV, "1"},
    {"sent_signal", sent_signal, SIGSEGV, "1"},
    {"aligned", aligned, SIGSEGV, "1"},
    {"threads", threads, 0, "1"},
    {"threads", threads, 0, "2"},
    {"threads", threads, 0, "50"},
    {"memory", memory, 0, "0"},
    {"memory", memory, 0, "1"},
    {"nothing", nothing, 0, "1"},
    {"nothing", nothing, 0, "1000000000"},
    {"nothing", nothing, 0, "1000000001"},
    {"nothing", nothing, 0, "many"},
    {"nothing", nothing, 0, "-1"},
    {"nothing", nothing, 0, ""},
};
enum { CASES = sizeof cases / sizeof *cases };

// What a case printed, each stream with a 0 behind it.
struct output {
    char said[4000], errors[20000];
    int status;
};

static void read_all(int from, char *text, size_t room)
{
    ssize_t count;
    size_t size = 0;
    while (size + 1 < room && (count = read(from, text + size, room - size - 1)) > 0)
        size += (size_t)count;
    text[size] = 0;
    close(from);
}

static void run(int number, struct output *output)
{
    int said[2], errors[2];
    CHECK(pipe(said) == 0 && pipe(errors) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char word[20];
        snprintf(word, sizeof word, "%d", number);
        dup2(said[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        setenv("HAKMEM_SAMPLE", cases[number].gap, 1);
        execl("/proc/self/exe", "sampled", "case", word, (char *)NULL);
        _exit(1);
    }
    close(said[1]);
    close(errors[1]);
    read_all(said[0], output->said, sizeof output->said);
    read_all(errors[0], output->errors, sizeof output->errors);
    CHECK(waitpid(child, &output->status, 0) == child);
}

// The report: each line that the case expects is in it, and the first line is the last of them.
static void check_report(const struct output *output)
{
    char said[4000], *rest = said, *line, *last = NULL;
    strcpy(said, output->said);
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != 0) {
            CHECK(strstr(output->errors, line) != NULL);
            last = line;
        }
    CHECK(last != NULL && strncmp(output->errors, last, strlen(last)) == 0);
    CHECK(output->errors[strlen(last)] == '\n');
    CHECK(strstr(output->errors, "\n  it was allocated in thread ") != NULL);
    // A trace has this program's functions.
    CHECK(strstr(output->errors, "sampled-c+0x") != NULL);
}

int main(int argc, char **argv)
{
    static struct output output;
    if (argc == 3 && strcmp(argv[1], "case") == 0) {
        cases[atoi(argv[2])].run();
        return 0;
    }
    int must_sample = argc == 2 && strcmp(argv[1], "samples") == 0;
    unsigned long kilobytes[2] = {0, 0};
    for (int i = 0; i < CASES; i++) {
        const char *name = cases[i].name, *gap = cases[i].gap;
        snprintf(circumstances, sizeof circumstances, ", in case %s, gap %s", name, gap);
        if (strcmp(name, "nothing") != 0 && !must_sample)
            continue;
        run(i, &output);
        int ended_by = WIFSIGNALED(output.status) ? WTERMSIG(output.status) : 0;
        if (ended_by != cases[i].signal || (ended_by == 0 && output.status != 0))
            dprintf(STDERR_FILENO, "%s%s", output.said, output.errors);
        CHECK(ended_by == cases[i].signal && (ended_by != 0 || output.status == 0));
        if (strcmp(name, "nothing") == 0) {
            const char *ignored = " is ignored";
            int is_bad = *gap == 'm' || *gap == '-' || strcmp(gap, "1000000001") == 0;
            if (must_sample)
                CHECK((strstr(output.errors, ignored) != NULL) == is_bad);
            if (must_sample && is_bad)
                CHECK(strstr(output.errors, "allowed: a number from 0 to 1000000000\n") != NULL);
            // One line at most.
            char *end = strchr(output.errors, '\n');
            CHECK(end == NULL || end[1] == 0);
        } else if (strcmp(name, "memory") == 0) {
            kilobytes[*gap == '1'] = strtoul(output.said, NULL, 10);
        } else if (strcmp(name, "own_handler") == 0) {
            CHECK(strncmp(output.said, "11 at 0x", 8) == 0 && output.errors[0] == 0);
        } else if (output.said[0] != 0) {
            check_report(&output);
        } else {
            CHECK(output.errors[0] == 0);
        }
    }
    circumstances[0] = 0;
    if (must_sample) {
        snprintf(circumstances, sizeof circumstances, ": %lu KiB and %lu KiB", kilobytes[0], kilobytes[1]);
        CHECK(kilobytes[0] > 0 && kilobytes[1] < kilobytes[0] + KIB);
    }
    puts("ok");
    return 0;
}
