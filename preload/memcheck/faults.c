// One fault, or none, for valgrind's memcheck to find, in a program that has `libhakmem.so` built with its feature
// `valgrind`.
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Sizes of every kind: of the classes, a span, and a huge block.
static const size_t sizes[] = {1, 24, 1000, 100 * 1000, 3 * 1000 * 1000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static volatile unsigned char sink;

// Works with blocks as a program does that has no fault.
static void use_all(void)
{
    for (int i = 0; i < SIZES; i++) {
        unsigned char *blocks[20];
        for (int n = 0; n < 20; n++) {
            blocks[n] = malloc(sizes[i]);
            memset(blocks[n], n, malloc_usable_size(blocks[n]));
        }
        for (int n = 0; n < 20; n += 2)
            free(blocks[n]);
        for (int n = 1; n < 20; n += 2) {
            blocks[n] = realloc(blocks[n], 2 * sizes[i]);
            sink = blocks[n][sizes[i] - 1];
            free(blocks[n]);
        }
        for (size_t align = 8; align <= 1 << 16; align *= 2) {
            unsigned char *block = aligned_alloc(align, sizes[i]);
            if ((uintptr_t)block % align)
                abort();
            memset(block, 1, sizes[i]);
            free(block);
        }
        unsigned char *zeroed = calloc(1, sizes[i]);
        if (zeroed[sizes[i] / 2] != 0)
            puts("not zero");
        free(zeroed);
    }
    free(NULL);
    free(realloc(NULL, 5));
    malloc_trim(0);
}

static __attribute__((noinline)) void leak(size_t size)
{
    memset(malloc(size), 1, size);
}

int main(int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "a fault and a size\n");
        return 2;
    }
    const char *fault = words[1];
    size_t size = strtoul(words[2], NULL, 10);
    if (strcmp(fault, "none") == 0) {
        use_all();
        return 0;
    }
    if (strcmp(fault, "leak") == 0) {
        for (int i = 0; i < 10; i++)
            leak(size);
        return 0;
    }
    unsigned char *volatile block = malloc(size);
    memset(block, 1, size);
    if (strcmp(fault, "overflow") == 0)
        block[size] = 1;
    else if (strcmp(fault, "underflow") == 0)
        block[-1] = 1;
    else if (strcmp(fault, "undefined") == 0)
        puts(((unsigned char *volatile)malloc(size))[size / 2] == 1 ? "one" : "another");
    else {
        unsigned char *volatile kept = block;
        if (strcmp(fault, "after-realloc") == 0)
            block = realloc(block, size + 1);
        else
            free(block);
        if (strcmp(fault, "double-free") == 0)
            free(kept);
        else
            sink = kept[size / 2];
    }
    return 0;
}
