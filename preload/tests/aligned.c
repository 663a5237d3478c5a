// The functions of the C face with an alignment, and those that few programs know.
//
// A function that not every C library has is looked up by its name, and left out where it is missing.
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t sizes[] = {0, 1, 7, 100, 4096, 70000, 600000, 3 * MIB};
enum { SIZES = sizeof sizes / sizeof *sizes };

// Volatile: a compiler that knows the size warns, or answers for the allocator.
static volatile size_t absurd[] = {PTRDIFF_MAX, SIZE_MAX, SIZE_MAX - 15, (size_t)1 << 62};
enum { ABSURD = sizeof absurd / sizeof *absurd };

static int at_multiple(const void *at, size_t align)
{
    return (uintptr_t)at % align == 0;
}

// Checks a block: it is there, aligned, and the caller's to its end.
static void check_block(void *block, size_t align, size_t size)
{
    CHECK(block != NULL);
    CHECK(at_multiple(block, align));
    CHECK(malloc_usable_size(block) >= size);
    memset(block, 0xC3, malloc_usable_size(block));
}

static void posix_memalign_of_bad_alignments_fails(void)
{
    static const size_t bad[] = {0, 1, 2, 3, 4, 12, 24, 100, SIZE_MAX, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *place = (void *)0x1234;
        volatile size_t align = bad[i];
        errno = 77;
        CHECK(posix_memalign(&place, align, 100) == EINVAL);
        CHECK(place == (void *)0x1234);
        CHECK(errno == 77);
    }
}

static void posix_memalign_of_too_much_fails(void)
{
    for (size_t align = sizeof(void *); align <= 4 * MIB; align *= 8)
        for (int i = 0; i < ABSURD; i++) {
            void *place = (void *)0x1234;
            errno = 0;
            CHECK(posix_memalign(&place, align, absurd[i]) == ENOMEM);
            CHECK(place == (void *)0x1234);
            // POSIX leaves it open; glibc sets it, and programs read it.
            CHECK(errno == ENOMEM);
        }
}

static void posix_memalign_honours_all_alignments(void)
{
    for (size_t align = sizeof(void *); align <= 4 * MIB; align *= 2)
        for (int i = 0; i < SIZES; i++) {
            void *one = NULL, *other = NULL;
            CHECK(posix_memalign(&one, align, sizes[i]) == 0);
            CHECK(posix_memalign(&other, align, sizes[i]) == 0);
            CHECK(one != other);
            check_block(one, align, sizes[i]);
            check_block(other, align, sizes[i]);
            free(one);
            free(other);
        }
}

// A thread that has freed blocks of a size must not hand them out where more alignment is asked for.
static void freed_blocks_serve_only_their_alignment(void)
{
    // So many that a class no longer borrows blocks of a power of two, which are aligned anyway.
    enum { FREED = 1100 };
    for (size_t align = 32; align <= 4096; align *= 2)
        for (size_t size = 8; size <= 1000; size += 72) {
            static void *blocks[FREED];
            for (int i = 0; i < FREED; i++)
                CHECK((blocks[i] = malloc(size)) != NULL);
            for (int i = 0; i < FREED; i++)
                free(blocks[i]);
            for (int i = 0; i < FREED; i++) {
                blocks[i] = memalign(align, size);
                check_block(blocks[i], align, size);
            }
            for (int i = 0; i < FREED; i++)
                free(blocks[i]);
        }
}

static void aligned_blocks_keep_content_in_realloc(void)
{
    for (size_t align = 16; align <= MIB; align *= 4)
        for (int i = 1; i < SIZES; i++) {
            unsigned char *block = memalign(align, sizes[i]);
            check_block(block, align, sizes[i]);
            CHECK((block = realloc(block, 2 * sizes[i])) != NULL);
            for (size_t k = 0; k < sizes[i]; k++)
                CHECK(block[k] == 0xC3);
            CHECK((block = realloc(block, 1 + sizes[i] / 3)) != NULL);
            for (size_t k = 0; k < 1 + sizes[i] / 3; k++)
                CHECK(block[k] == 0xC3);
            free(block);
        }
}

static void memalign_rounds_odd_alignments_up(void)
{
    static const size_t asked[] = {0, 1, 3, 8, 24, 100, 5000};
    static const size_t given[] = {1, 1, 4, 8, 32, 128, 8192};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        for (int k = 0; k < SIZES; k++) {
            volatile size_t align = asked[i];
            void *one = memalign(align, sizes[k]), *other = memalign(align, sizes[k]);
            check_block(one, given[i], sizes[k]);
            check_block(other, given[i], sizes[k]);
            free(one);
            free(other);
        }
}

static void memalign_of_absurd_alignments_fails(void)
{
    static volatile size_t aligns[] = {SIZE_MAX / 2 + 2, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof aligns / sizeof *aligns; i++) {
        errno = 0;
        CHECK(memalign(aligns[i], 100) == NULL);
        CHECK(errno == EINVAL);
    }
    volatile size_t top = SIZE_MAX / 2 + 1;
    CHECK(memalign(top, 100) == NULL);
}

static void memalign_of_too_much_fails(void)
{
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(memalign(64, absurd[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void aligned_alloc_takes_any_size(void)
{
    for (size_t align = 1; align <= 64 * KIB; align *= 2)
        for (size_t size = 0; size < 200000; size += 1 + size / 2) {
            void *block = aligned_alloc(align, size);
            check_block(block, align, size);
            free(block);
        }
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(aligned_alloc(4096, absurd[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
}

// Older C libraries round such an alignment up.
static void aligned_alloc_of_odd_alignments_fails(void)
{
    static const size_t odd[] = {0, 3, 24, 100};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        volatile size_t align = odd[i];
        errno = 0;
        void *block = aligned_alloc(align, 100);
        CHECK(block != NULL || errno == EINVAL);
        free(block);
    }
}

static void valloc_is_at_a_page(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SIZES; i++) {
        void *one = valloc(sizes[i]), *other = valloc(sizes[i]);
        CHECK(one != other);
        check_block(one, page, sizes[i]);
        check_block(other, page, sizes[i]);
        free(one);
        free(other);
    }
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(valloc(absurd[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void pvalloc_is_whole_pages(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SIZES; i++) {
        size_t whole = (sizes[i] + page - 1) / page * page;
        void *one = pvalloc(sizes[i]), *other = pvalloc(sizes[i]);
        CHECK(one != other);
        check_block(one, page, whole);
        check_block(other, page, whole);
        free(one);
        free(other);
    }
    for (int i = 0; i < ABSURD; i++) {
        errno = 0;
        CHECK(pvalloc(absurd[i]) == NULL);
        CHECK(errno == ENOMEM);
    }
}

static void free_sized_frees(void)
{
    void (*free_sized)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    if (free_sized == NULL)
        return;
    free_sized(NULL, 0);
    for (int i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]);
        check_block(block, 16, sizes[i]);
        errno = 1234;
        free_sized(block, sizes[i]);
        CHECK(errno == 1234);
        block = calloc(1, sizes[i]);
        check_block(block, 16, sizes[i]);
        free_sized(block, sizes[i]);
        block = realloc(malloc(sizes[SIZES - 1 - i]), sizes[i] + 1);
        check_block(block, 16, sizes[i] + 1);
        free_sized(block, sizes[i] + 1);
    }
}

// Only under our own allocator, and if it serves large blocks itself: then mallopt accepts this setting.
static void free_sized_of_another_span_ends_the_program(void)
{
    static const size_t had[] = {70000, 140000, 300000, 600000}, told[] = {140000, 70000, 100, 5 * MIB};
    void (*free_sized)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    if (free_sized == NULL || getenv("LD_PRELOAD") == NULL || mallopt(M_PERTURB, 0) != 1)
        return;
    for (size_t i = 0; i < sizeof had / sizeof *had; i++) {
        void *block = malloc(had[i]);
        CHECK(block != NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            close(STDERR_FILENO);
            free_sized(block, told[i]);
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        free(block);
    }
}

static void free_aligned_sized_frees(void)
{
    void (*free_aligned_sized)(void *, size_t, size_t) = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (free_aligned_sized == NULL)
        return;
    free_aligned_sized(NULL, 64, 0);
    for (size_t align = 1; align <= 4 * MIB; align *= 2)
        for (int i = 0; i < SIZES; i++) {
            void *block = aligned_alloc(align, sizes[i]);
            check_block(block, align, sizes[i]);
            errno = 1234;
            free_aligned_sized(block, align, sizes[i]);
            CHECK(errno == 1234);
        }
}

// The function of this name, if it is in the file that has malloc: an allocator need not know the C library's.
static void *beside_malloc(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name), *own = dlsym(RTLD_DEFAULT, "malloc");
    Dl_info here, there;
    if (found == NULL || dladdr(found, &here) == 0 || dladdr(own, &there) == 0)
        return NULL;
    return here.dli_fbase == there.dli_fbase ? found : NULL;
}

// Frees blocks that would be 160 MiB, if they stayed.
static void gives_memory_back(void (*give)(void *))
{
    size_t before = resident();
    for (int i = 0; i < 20000; i++) {
        void *block = malloc(8 * KIB);
        CHECK(block != NULL);
        memset(block, 1, 8 * KIB);
        give(block);
    }
    CHECK(resident() < before + 64 * MIB);
}

static void cfree_frees(void)
{
    void (*cfree)(void *) = beside_malloc("cfree");
    if (cfree == NULL)
        return;
    cfree(NULL);
    for (int i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]);
        check_block(block, 16, sizes[i]);
        cfree(block);
    }
    gives_memory_back(cfree);
}

static void libc_names_are_the_same_heap(void)
{
    void *(*libc_malloc)(size_t) = beside_malloc("__libc_malloc");
    void *(*libc_calloc)(size_t, size_t) = beside_malloc("__libc_calloc");
    void *(*libc_realloc)(void *, size_t) = beside_malloc("__libc_realloc");
    void (*libc_free)(void *) = beside_malloc("__libc_free");
    void *(*libc_memalign)(size_t, size_t) = beside_malloc("__libc_memalign");
    void *(*libc_valloc)(size_t) = beside_malloc("__libc_valloc");
    void *(*libc_pvalloc)(size_t) = beside_malloc("__libc_pvalloc");
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (libc_free != NULL)
        gives_memory_back(libc_free);
    // Each block is freed by the other family.
    for (int i = 0; i < SIZES; i++) {
        void *block;
        if (libc_malloc != NULL) {
            check_block(block = libc_malloc(sizes[i]), 16, sizes[i]);
            free(block);
        }
        if (libc_calloc != NULL) {
            // What was just freed comes first, and is not zero.
            check_block(block = malloc(sizes[i]), 16, sizes[i]);
            free(block);
            CHECK((block = libc_calloc(1, sizes[i])) != NULL);
            for (size_t k = 0; k < sizes[i]; k++)
                CHECK(((char *)block)[k] == 0);
            check_block(block, 16, sizes[i]);
            free(block);
        }
        if (libc_realloc != NULL) {
            check_block(block = libc_realloc(malloc(100), sizes[i] + 1), 16, sizes[i] + 1);
            free(block);
        }
        if (libc_free != NULL) {
            check_block(block = malloc(sizes[i]), 16, sizes[i]);
            errno = 1234;
            libc_free(block);
            CHECK(errno == 1234);
        }
        if (libc_memalign != NULL) {
            check_block(block = libc_memalign(256, sizes[i]), 256, sizes[i]);
            free(block);
        }
        if (libc_valloc != NULL) {
            check_block(block = libc_valloc(sizes[i]), page, sizes[i]);
            free(block);
        }
        if (libc_pvalloc != NULL) {
            check_block(block = libc_pvalloc(sizes[i]), page, (sizes[i] + page - 1) / page * page);
            free(block);
        }
    }
}

int main(void)
{
    // First: while much freed memory waits, no list serves a request at once.
    freed_blocks_serve_only_their_alignment();
    posix_memalign_of_bad_alignments_fails();
    posix_memalign_of_too_much_fails();
    posix_memalign_honours_all_alignments();
    aligned_blocks_keep_content_in_realloc();
    memalign_rounds_odd_alignments_up();
    memalign_of_absurd_alignments_fails();
    memalign_of_too_much_fails();
    aligned_alloc_takes_any_size();
    aligned_alloc_of_odd_alignments_fails();
    valloc_is_at_a_page();
    pvalloc_is_whole_pages();
    free_sized_frees();
    free_sized_of_another_span_ends_the_program();
    free_aligned_sized_frees();
    cfree_frees();
    libc_names_are_the_same_heap();
    puts("ok");
    return 0;
}
