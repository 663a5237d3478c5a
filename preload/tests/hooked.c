// A program, like some preloaded libraries, has its own of some C library functions, and they allocate. They are those
// by which an allocator might ask the kernel for memory, wait for another thread, or print.
//
// None of them may run while the allocator holds a lock that an allocation needs: the thread would wait for itself.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// The program ends after this long if something waits for ever.
enum { PATIENCE_S = 60 };

// --- the program's own functions

enum { MMAP, MMAP64, MUNMAP, MREMAP, MADVISE, GETTID, YIELD, WRITE, SYSCALL, FUNCTIONS };

// Number of calls of each function by this thread.
static _Thread_local unsigned calls[FUNCTIONS];

// Blocks of a class, of a segment's slices, and with a mapping of their own: they need every lock that there is.
static void allocate(void)
{
    static _Thread_local volatile int is_at_it;
    if (is_at_it)
        return;
    is_at_it = 1;
    int kept = errno;
    for (size_t i = 0; i < 203; i++) {
        void *block = malloc(i < 200 ? 3000 + i : i < 202 ? 100 * KIB : 2 * MIB);
        CHECK(block != NULL);
        free(block);
    }
    errno = kept;
    is_at_it = 0;
}

// A system call by the instruction, without any function of the C library.
static long pass_on(long number, long a, long b, long c, long d, long e, long f)
{
    long answer;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    if (answer >= -4095 && answer < 0) {
        errno = (int)-answer;
        return -1;
    }
    return answer;
}

static long noted(int function, long number, long a, long b, long c, long d, long e, long f)
{
    calls[function]++;
    allocate();
    long answer = pass_on(number, a, b, c, d, e, f);
    allocate();
    return answer;
}

void *mmap(void *start, size_t size, int access, int flags, int file, off_t from)
{
    return (void *)noted(MMAP, SYS_mmap, (long)start, (long)size, access, flags, file, from);
}

void *mmap64(void *start, size_t size, int access, int flags, int file, off64_t from)
{
    return (void *)noted(MMAP64, SYS_mmap, (long)start, (long)size, access, flags, file, from);
}

int munmap(void *start, size_t size)
{
    return (int)noted(MUNMAP, SYS_munmap, (long)start, (long)size, 0, 0, 0, 0);
}

void *mremap(void *start, size_t old, size_t new, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    long to = flags & MREMAP_FIXED ? va_arg(rest, long) : 0;
    va_end(rest);
    return (void *)noted(MREMAP, SYS_mremap, (long)start, (long)old, (long)new, flags, to, 0);
}

int madvise(void *start, size_t size, int advice)
{
    return (int)noted(MADVISE, SYS_madvise, (long)start, (long)size, advice, 0, 0, 0);
}

pid_t gettid(void)
{
    return (pid_t)noted(GETTID, SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int sched_yield(void)
{
    return (int)noted(YIELD, SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

ssize_t write(int file, const void *bytes, size_t size)
{
    return noted(WRITE, SYS_write, file, (long)bytes, (long)size, 0, 0, 0);
}

long syscall(long number, ...)
{
    va_list rest;
    long words[6];
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(rest, long);
    va_end(rest);
    return noted(SYSCALL, number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

// The linker finds these functions, and they do their work.
static void each_is_found(void)
{
    memset(calls, 0, sizeof calls);
    const int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *pages = mmap(NULL, 4096, access, flags, -1, 0);
    CHECK(pages != MAP_FAILED);
    pages[0] = 1;
    CHECK((pages = mremap(pages, 4096, 8192, MREMAP_MAYMOVE)) != MAP_FAILED && pages[0] == 1);
    CHECK(madvise(pages, 8192, MADV_DONTNEED) == 0 && pages[0] == 0);
    CHECK(munmap(pages, 8192) == 0);
    CHECK((pages = mmap64(NULL, 4096, access, flags, -1, 0)) != MAP_FAILED && munmap(pages, 4096) == 0);
    CHECK(write(STDOUT_FILENO, "", 0) == 0 && sched_yield() == 0);
    CHECK(gettid() > 0 && syscall(SYS_gettid) == gettid());
    for (int i = 0; i < FUNCTIONS; i++)
        CHECK(calls[i] > 0);
}

// --- ways to bring an allocator to the kernel

// Segments, for more blocks than there ever were before, and no lists that would serve them.
static void small(void)
{
    enum { BLOCKS = 3000 };
    static _Thread_local void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(16 + i * 7919 % 9000)) != NULL);
        memset(blocks[i], 1, 16);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

// A block of every length, made longer and shorter.
static void large(void)
{
    static const size_t sizes[] = {100 * KIB, 400 * KIB, 3 * MIB, 6 * MIB, 40 * MIB, 5 * MIB, 700 * KIB, 200 * KIB};
    char *block = NULL, *zeroed = calloc(3, MIB);
    CHECK(zeroed != NULL && zeroed[3 * MIB - 1] == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK((block = realloc(block, sizes[i])) != NULL);
        CHECK(i == 0 || block[0] == 7);
        block[0] = block[sizes[i] - 1] = 7;
        void *other = malloc(sizes[i]), *aligned = NULL;
        CHECK(other != NULL && posix_memalign(&aligned, 2 * MIB, sizes[i]) == 0);
        free(other);
        free(aligned);
    }
    free(block);
    free(zeroed);
}

static void *work(void *unused)
{
    for (int round = 0; round < 5; round++) {
        small();
        large();
        malloc_trim(0);
    }
    return unused;
}

static void forked(void)
{
    for (int i = 0; i < 5; i++) {
        int status = -1;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(PATIENCE_S);
            small();
            large();
            malloc_trim(0);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
}

static void told(void)
{
    FILE *nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && malloc_info(0, nowhere) == 0 && fclose(nowhere) == 0);
}

static void in_threads(int count)
{
    pthread_t threads[4];
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; count > 1 && i < 3; i++)
        forked();
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    alarm(PATIENCE_S);
    each_is_found();
    work(NULL);
    told();
    forked();
    in_threads(1);
    in_threads(4);
    each_is_found();
    told();
    puts("ok");
    return 0;
}
