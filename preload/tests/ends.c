// Calls at strange times: before `main` and after it, in threads that begin and end, and by the C library itself.
//
// The very last destructor prints `ok`, so all of the end is before it.
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t sizes[] = {1, 24, 100, 1000, 5000, 40 * KIB, 300 * KIB, 2 * MIB};
enum { SIZES = sizeof sizes / sizeof *sizes };

// A block, marked at both ends.
static unsigned char *take(size_t size)
{
    unsigned char *block = malloc(size);
    CHECK(block != NULL);
    block[0] = block[size - 1] = (unsigned char)(size % 251);
    return block;
}

static void release(unsigned char *block, size_t size)
{
    CHECK(block[0] == size % 251 && block[size - 1] == size % 251);
    free(block);
}

// Every kind of call, some of each size.
static void use(void)
{
    unsigned char *blocks[SIZES];
    for (int i = 0; i < SIZES; i++)
        blocks[i] = take(sizes[i]);
    for (int i = 0; i < SIZES; i++) {
        CHECK((blocks[i] = realloc(blocks[i], sizes[i] + 50)) != NULL);
        CHECK(blocks[i][0] == sizes[i] % 251);
        unsigned char *zeroed = calloc(1, sizes[i]);
        CHECK(zeroed != NULL && zeroed[0] == 0 && zeroed[sizes[i] - 1] == 0);
        free(blocks[i]);
        free(zeroed);
    }
}

static void run(void *(*work)(void *), void *with)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, with) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

// --- before main, and after it

static unsigned char *of_constructor, *of_main, *of_exit;
static pthread_key_t early_key, late_key;
static atomic_int destroyed;
static int main_is_over;

// Sets its key again, so that it is called in every round that there is.
static void in_destructor(pthread_key_t key, void *block)
{
    release(block, 100);
    use();
    destroyed++;
    CHECK(pthread_setspecific(key, take(100)) == 0);
}

static void in_early_destructor(void *block)
{
    in_destructor(early_key, block);
}

static void in_late_destructor(void *block)
{
    in_destructor(late_key, block);
}

__attribute__((constructor(101))) static void first_of_all(void)
{
    CHECK(pthread_key_create(&early_key, in_early_destructor) == 0);
    use();
    of_constructor = take(5000);
}

static void at_exit(void)
{
    CHECK(main_is_over);
    use();
    release(of_main, 300 * KIB);
    of_exit = take(70);
}

static void at_exit_again(void)
{
    use();
    // Registering may allocate here too.
    for (int i = 0; i < 100; i++)
        CHECK(atexit(use) == 0);
}

__attribute__((destructor(101))) static void last_of_all(void)
{
    release(of_exit, 70);
    use();
    if (write(STDOUT_FILENO, "ok\n", 3) != 3)
        _exit(1);
}

// --- threads that end

static void *with_keys(void *unused)
{
    use();
    CHECK(pthread_setspecific(early_key, take(100)) == 0);
    CHECK(pthread_setspecific(late_key, take(100)) == 0);
    return unused;
}

static void keys_are_destroyed_in_all_rounds(void)
{
    for (int i = 0; i < 20; i++) {
        destroyed = 0;
        run(with_keys, NULL);
        CHECK(destroyed == 2 * PTHREAD_DESTRUCTOR_ITERATIONS);
    }
}

static pthread_key_t only_key;

static void in_only_destructor(void *unused)
{
    (void)unused;
    use();
    destroyed++;
}

static void *without_a_block(void *unused)
{
    CHECK(pthread_setspecific(only_key, &only_key) == 0);
    return unused;
}

static void first_block_in_a_destructor(void)
{
    CHECK(pthread_key_create(&only_key, in_only_destructor) == 0);
    destroyed = 0;
    for (int i = 0; i < 20; i++)
        run(without_a_block, NULL);
    CHECK(destroyed == 20);
}

enum { SET = 1000, SMALLEST = 16 };

static unsigned char *set[SET];

// 4 MiB, in small blocks.
static void *fill_set(void *unused)
{
    for (size_t i = 0; i < SET; i++)
        set[i] = take(SMALLEST + 8 * i);
    return unused;
}

static void *free_set(void *unused)
{
    for (size_t i = 0; i < SET; i++)
        release(set[i], SMALLEST + 8 * i);
    return unused;
}

static void memory_stays_bounded(void *(*filler)(void *), void *(*freer)(void *))
{
    size_t before = resident();
    for (int i = 0; i < 100; i++) {
        if (filler != NULL)
            run(filler, NULL);
        else
            fill_set(NULL);
        if (freer != NULL)
            run(freer, NULL);
        else
            free_set(NULL);
    }
    CHECK(resident() < before + 64 * MIB);
}

static void threads_that_only_free(void)
{
    memory_stays_bounded(NULL, free_set);
}

static void blocks_of_dead_threads(void)
{
    memory_stays_bounded(fill_set, NULL);
    memory_stays_bounded(fill_set, free_set);
}

static void *small_and_large(void *unused)
{
    unsigned char *blocks[100];
    for (size_t i = 0; i < 100; i++)
        blocks[i] = take(SMALLEST + 40 * i);
    unsigned char *large = take(150 * KIB);
    for (size_t i = 0; i < 100; i++)
        release(blocks[i], SMALLEST + 40 * i);
    release(large, 150 * KIB);
    return unused;
}

static void thousands_of_threads(void)
{
    run(small_and_large, NULL);
    size_t before = resident();
    for (int i = 0; i < 2000; i++)
        run(small_and_large, NULL);
    CHECK(resident() < before + 64 * MIB);
}

// --- the C library as the caller

static _Thread_local char *own_text;
static _Thread_local char own_bytes[1000];

struct handed {
    char *printed, *copied, *line;
    FILE *file;
};

static int by_value(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static void *hand_over(void *to)
{
    struct handed *handed = to;
    for (int i = 0; i < 200; i++) {
        snprintf(own_bytes, sizeof own_bytes, "%0*d", 10 + i, i);
        free(own_text);
        CHECK((own_text = strdup(own_bytes)) != NULL && strlen(own_text) >= (size_t)(10 + i));
        CHECK(dlsym(RTLD_DEFAULT, "there_is_no_such_function") == NULL);
        CHECK(dlerror() != NULL && dlerror() == NULL);
        CHECK(dlsym(RTLD_DEFAULT, "malloc") != NULL);
    }
    free(own_text);

    // More than the stack buffer of qsort holds.
    enum { NUMBERS = 20000 };
    uint64_t *numbers = malloc(NUMBERS * sizeof *numbers);
    CHECK(numbers != NULL);
    for (uint64_t i = 0; i < NUMBERS; i++)
        numbers[i] = i * 7919 % NUMBERS;
    qsort(numbers, NUMBERS, sizeof *numbers, by_value);
    for (uint64_t i = 0; i < NUMBERS; i++)
        CHECK(numbers[i] == i);
    free(numbers);

    size_t room = 0;
    CHECK(asprintf(&handed->printed, "%s: %0*d\n", "seven", 3000, 7) == 3008);
    CHECK((handed->copied = strndup(handed->printed, 2000)) != NULL);
    CHECK((handed->file = tmpfile()) != NULL);
    CHECK(fputs(handed->printed, handed->file) >= 0);
    rewind(handed->file);
    handed->line = NULL;
    CHECK(getline(&handed->line, &room, handed->file) == 3008);
    return NULL;
}

static void what_the_c_library_allocates(void)
{
    pthread_t threads[8];
    struct handed handed[8];
    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL || setlocale(LC_ALL, "C") != NULL);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, hand_over, &handed[i]) == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(strcmp(handed[i].printed, handed[i].line) == 0);
        CHECK(strlen(handed[i].copied) == 2000);
        // Their present thread is not the one that allocated them.
        free(handed[i].printed);
        free(handed[i].copied);
        free(handed[i].line);
        CHECK(fclose(handed[i].file) == 0);
    }
    CHECK(setlocale(LC_ALL, "C") != NULL);
}

// --- the end, while other threads allocate

static atomic_int begun;

static void *without_end(void *unused)
{
    for (;;) {
        use();
        begun++;
    }
    return unused;
}

int main(void)
{
    release(of_constructor, 5000);
    CHECK(pthread_key_create(&late_key, in_late_destructor) == 0);
    CHECK(atexit(at_exit) == 0 && atexit(at_exit_again) == 0);
    keys_are_destroyed_in_all_rounds();
    first_block_in_a_destructor();
    threads_that_only_free();
    blocks_of_dead_threads();
    thousands_of_threads();
    what_the_c_library_allocates();
    of_main = take(300 * KIB);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, without_end, NULL) == 0);
        CHECK(pthread_detach(thread) == 0);
    }
    while (begun < 4)
        usleep(1000);
    main_is_over = 1;
    return 0;
}
