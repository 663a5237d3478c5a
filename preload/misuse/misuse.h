// Helpers of the misuse programs: bystanders, whose content must stay, and the work that follows the misuse.
//
// A program's first line is its row of docs/threat-model.md, with `{n}` where a number of the line `// n:` goes. The
// line `// sizes:` names the blocks that it is run with. With `// A fault is wanted` a SIGSEGV is a detection.
#ifndef HAKMEM_MISUSE_H
#define HAKMEM_MISUSE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char byte;

// Breaks a rule, says `survived`, and goes on as programs do.
static void misuse(size_t size);

// The number of this run, of those in the line `// n:`.
static size_t n;

// Without stdio's buffers, which are on the heap under test.
static inline void say(const char *line)
{
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(1);
}

// The misuse is over, and the program still runs.
static inline void survived(void)
{
    say("survived the misuse\n");
}

// This library has no way to break the rule.
static inline void impossible(void)
{
    say("impossible\n");
    _exit(0);
}

// Says what the misuse did to the program, if it is the first harm.
static inline void harm(const char *what)
{
    static int harmed;
    if (!harmed++) {
        say("harm: ");
        say(what);
        say("\n");
    }
}

// Content that depends on the block. A block above 128 KiB has it at both ends. The low bits are 0, which are flags
// where the C library takes content for a header: an address that they lead to is another in each run.
enum { END = 64 << 10 };

static inline size_t after(size_t i, size_t size)
{
    return size > 2 * END && i + 1 == END ? size - END : i + 1;
}

static inline byte mark(size_t i, size_t seed)
{
    return (byte)((i ^ i >> 8 ^ seed * 31 ^ 0x55) << 3);
}

static inline void fill(byte *at, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i = after(i, size))
        at[i] = mark(i, seed);
}

static inline int filled(const byte *at, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i = after(i, size))
        if (at[i] != mark(i, seed))
            return 0;
    return 1;
}

// Bystanders: live blocks that no one but their owner may change.
enum { MOST = 256 };
static struct {
    byte *at;
    size_t size;
} bystanders[MOST];

static inline byte *allocate(size_t size)
{
    byte *block = (byte *)malloc(size);
    if (block == NULL)
        _exit(2);
    return block;
}

// Makes a block a bystander.
static inline byte *watch(byte *block, size_t size)
{
    size_t i = 0;
    while (bystanders[i].at != NULL)
        i++;
    fill(block, size, i);
    bystanders[i].at = block;
    bystanders[i].size = size;
    return block;
}

static inline byte *bystander(size_t size)
{
    return watch(allocate(size), size);
}

// A block is no bystander any more.
static inline byte *forget(byte *block)
{
    for (size_t i = 0; i < MOST; i++)
        if (bystanders[i].at == block)
            bystanders[i].at = NULL;
    return block;
}

static inline void check_bystanders(void)
{
    for (size_t i = 0; i < MOST; i++)
        if (bystanders[i].at != NULL && !filled(bystanders[i].at, bystanders[i].size, i))
            harm("a live block changed");
}

static inline int overlaps_bystander(const byte *block, size_t size)
{
    for (size_t i = 0; i < MOST; i++) {
        const byte *at = bystanders[i].at;
        if (at != NULL && block < at + bystanders[i].size && at < block + size)
            return 1;
    }
    return 0;
}

// Blocks that `work` has: a hash table by address.
enum { SEEN = 1 << 17 };
static byte *seen[SEEN];

// Notes a block; returns whether it was noted before.
static inline int note(byte *block)
{
    size_t i = ((uintptr_t)block >> 3) % SEEN;
    while (seen[i] != NULL && seen[i] != block)
        i = (i + 1) % SEEN;
    int is_noted = seen[i] == block;
    seen[i] = block;
    return is_noted;
}

// So many blocks of a size fill any list of a thread.
static inline size_t many(size_t size)
{
    return size > 1 << 20 ? 4 : size > 32 << 10 ? 16 : 64 + (256 << 10) / (size + 8);
}

// Allocates until a freed block is handed out again, and makes that a bystander.
static inline byte *hand_out_again(const byte *freed, size_t size)
{
    byte *again;
    for (size_t i = 0; (again = allocate(size)) != freed; i++)
        if (i == many(size))
            impossible();
    return watch(again, size);
}

// Allocates, fills, checks and frees many blocks, as a program does that goes on.
static inline void work(size_t size)
{
    static byte *blocks[1 << 16];
    size_t count = many(size);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = allocate(size);
        if ((uintptr_t)blocks[i] % 16 != 0)
            harm("a misaligned block");
        if (note(blocks[i]) || overlaps_bystander(blocks[i], size))
            harm("two owners");
        fill(blocks[i], size, i);
    }
    for (size_t i = 0; i < count; i++)
        if (!filled(blocks[i], size, i))
            harm("two owners");
    check_bystanders();
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

// Two blocks side by side, in the middle of a row of bystanders.
struct pair {
    byte *low, *high;
};

static inline int by_address(const void *one, const void *other)
{
    const byte *a = *(byte *const *)one, *b = *(byte *const *)other;
    return (a > b) - (a < b);
}

static inline struct pair neighbours(size_t size)
{
    byte *row[16];
    size_t count = size > 1 << 20 ? 4 : 16, best = 0;
    for (size_t i = 0; i < count; i++)
        row[i] = bystander(size);
    qsort(row, count, sizeof *row, by_address);
    // From the middle on, so that there are blocks on both sides.
    for (size_t i = count / 4; i + 2 < count; i++)
        if (best == 0 || row[i + 1] - row[i] < row[best + 1] - row[best])
            best = i;
    struct pair pair = {row[best], row[best + 1]};
    return pair;
}

// The first byte behind those that a block has for its owner.
static inline byte *end_of(byte *block)
{
    return block + malloc_usable_size(block);
}

// Runs in another thread, which ends.
static inline void in_thread(void *(*what)(void *), void *with)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, what, with) != 0)
        _exit(2);
    pthread_join(thread, NULL);
}

static inline void *free_it(void *block)
{
    free(block);
    return NULL;
}

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (int i = 0; i < (size > 1 << 20 ? 2 : 8); i++) {
        bystander(size);
        bystander(64);
    }
    misuse(size);
    for (int i = 0; i < 3; i++)
        work(size);
    for (size_t i = 0; i < MOST; i++)
        if (bystanders[i].at != NULL)
            free(forget(bystanders[i].at));
    work(size);
    return 0;
}

#endif
