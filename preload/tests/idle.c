// Memory of a program goes back to the kernel when it frees much and falls silent, or goes on with little.
//
// The program moves its own clock by hand, and the allocator looks at that clock. So nothing here waits for long.
//
// With the argument `returns` it checks how much stays. Without it, for an allocator that gives nothing back by itself,
// it does the work in small, and does not check that.
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

// The program ends after this long if something goes on for ever.
enum { PATIENCE_S = 300 };

// --- time

enum { SECOND = 1000, DAY = 24 * 3600 * SECOND };

static _Atomic uint64_t now_ms = 5 * DAY;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    uint64_t now = now_ms;
    time->tv_sec = (time_t)(now / 1000);
    time->tv_nsec = (long)(now % 1000) * 1000000;
    return 0;
}

// While much waits, the allocator looks at the clock when the processor's own counter has gone on by 2^20, or more.
static void pass(uint64_t ms)
{
    now_ms += ms;
    uint64_t from = __builtin_ia32_rdtsc();
    while (__builtin_ia32_rdtsc() - from < 1 << 21)
        ;
}

// --- memory

static int returns;

// One of the cases, each of which has a process of its own.
struct occasion {
    const char *name;
    void (*run)(void);
    // The call that it goes on with; then the days that it sleeps, or the blocks that it frees, at its peak or at a time.
    void (*beat)(size_t);
    int number;
};
static const struct occasion *at_hand;

// Bytes that stay, and bytes that may.
static void at_most(size_t bytes, size_t most)
{
    snprintf(circumstances, sizeof circumstances, ": %s: %zu of %zu KiB", at_hand->name, bytes / KIB, most / KIB);
    CHECK(!returns || bytes <= most);
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// The full number, or few where nothing is checked.
static int worth(int count)
{
    return returns ? count : count / 50;
}

// --- a peak of a million blocks: 277 MiB; or of another number, if the case names one

enum { BLOCKS = 1000000, FREERS = 4 };

static char *blocks[BLOCKS];
static int top;
// Bytes of the process before the peak, and at the peak.
static size_t before, peak;

static void rise(void)
{
    top = worth(at_hand->number > 0 ? at_hand->number : BLOCKS);
    memset(blocks, 1, sizeof blocks);
    before = resident();
    for (int i = 0; i < top; i++) {
        size_t size = 16 + ((uint32_t)i * 2654435761u >> 7) % 500;
        CHECK((blocks[i] = malloc(size)) != NULL);
        memset(blocks[i], 1, size);
    }
    peak = resident();
}

static void *fall(void *from)
{
    for (size_t i = (size_t)from; i < (size_t)top; i += FREERS)
        free(blocks[i]);
    return NULL;
}

static void fall_alone(void)
{
    for (int i = 0; i < top; i++)
        free(blocks[i]);
}

static void fall_in_threads(void)
{
    pthread_t threads[FREERS];
    for (size_t i = 0; i < FREERS; i++)
        CHECK(pthread_create(&threads[i], NULL, fall, (void *)i) == 0);
    for (size_t i = 0; i < FREERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

// A fifth of the memory that held nothing alive may be left.
static void most_is_back(void)
{
    size_t now = resident();
    at_most(now > before ? now - before : 0, (peak - before) / 5);
}

// --- silence: no call follows the last free

static void silence(void)
{
    rise();
    fall_alone();
    at_most(resident(), 100 * MIB);
}

static void silence_after_threads(void)
{
    rise();
    fall_in_threads();
    at_most(resident(), 100 * MIB);
}

enum { THREADS = 2000, OF_A_THREAD = 60 };

static pthread_barrier_t barrier;

static void *live(void *unused)
{
    char *own[OF_A_THREAD];
    for (size_t i = 0; i < OF_A_THREAD; i++) {
        CHECK((own[i] = malloc(16 + i * 37)) != NULL);
        memset(own[i], 1, 16 + i * 37);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < OF_A_THREAD; i++)
        free(own[i]);
    return unused;
}

static void silence_after_a_herd(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 * KIB) == 0);
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], &small, live, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    at_most(resident(), 128 * MIB);
}

// --- a long sleep: the clock moves by days before the next call

static void activity(void)
{
    void *some[300];
    for (size_t i = 0; i < 20; i++) {
        free(malloc(700000 + i * 5000));
        for (size_t j = 0; j < 300; j++)
            CHECK((some[j] = malloc(100 + j * 7)) != NULL);
        for (int j = 0; j < 300; j++)
            free(some[j]);
    }
}

static void long_sleep(void)
{
    enum { SIZE = 900 };
    int count = worth(300000);
    for (int i = 0; i < count; i++) {
        CHECK((blocks[i] = malloc(SIZE)) != NULL);
        memset(blocks[i], 1, SIZE);
    }
    for (int i = 0; i < count; i++)
        free(blocks[i]);
    pass((uint64_t)at_hand->number * DAY);
    for (int step = 0; step < 300; step++) {
        pass(10);
        activity();
    }
    at_most(resident(), 20 * MIB);
}

// --- heartbeats: little happens after the peak, and these calls alone lead to a look at the clock

static void *volatile kept;

static void beat(size_t size)
{
    char *block = malloc(size);
    CHECK(block != NULL);
    *(volatile char *)block = 1;
    free(block);
}

static void by_malloc(size_t unused)
{
    (void)unused;
    beat(64);
}

static void by_ten(size_t unused)
{
    void *some[10];
    (void)unused;
    for (size_t i = 0; i < 10; i++)
        CHECK((some[i] = malloc(40 + i * 24)) != NULL);
    for (int i = 0; i < 10; i++)
        free(some[i]);
}

static void by_calloc(size_t unused)
{
    (void)unused;
    char *block = calloc(5, 20);
    CHECK(block != NULL && block[99] == 0);
    free(block);
}

// Resizes to a size at which it cannot stay, and back.
static void by_realloc(size_t time)
{
    CHECK((kept = realloc(kept, time % 2 ? 100 : 5000)) != NULL);
}

static void by_aligned_alloc(size_t unused)
{
    (void)unused;
    void *block = aligned_alloc(128, 256);
    CHECK(block != NULL);
    free(block);
}

// Like nodes of several types that come and go one at a time.
static void by_several_classes(size_t time)
{
    static const size_t sizes[] = {16, 24, 32, 48, 80, 160, 400, 2000, 9000};
    beat(sizes[time % (sizeof sizes / sizeof *sizes)]);
}

static void by_large(size_t unused)
{
    (void)unused;
    beat(100 * KIB);
}

static void by_mapped(size_t unused)
{
    (void)unused;
    beat(2 * MIB);
}

static void goes_on(int times, uint64_t ms)
{
    for (int time = 0; time < times; time++) {
        pass(ms);
        at_hand->beat((size_t)time);
    }
}

// Once a second, three seconds long.
static void slowly(void)
{
    rise();
    // The thread's lists are there before the peak.
    at_hand->beat(0);
    fall_alone();
    goes_on(3, SECOND);
    most_is_back();
}

// A hundred times a second, five seconds long.
static void quickly(void)
{
    rise();
    at_hand->beat(0);
    fall_alone();
    goes_on(500, 10);
    at_most(resident(), 60 * MIB);
}

// One block in twenty lives: 161 MiB of pages have one at least.
static void quickly_among_survivors(void)
{
    rise();
    for (int i = 0; i < top; i++)
        if (i % 20)
            free(blocks[i]);
    goes_on(500, 10);
    at_most(resident(), 176 * MIB);
}

static void *beats_beside(void *unused)
{
    // The thread's lists are there before the peak.
    at_hand->beat(0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    goes_on(3, SECOND);
    // The thread's end would be a look at the clock of another kind.
    most_is_back();
    return unused;
}

static void slowly_in_another_thread(void)
{
    pthread_t other;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&other, NULL, beats_beside, NULL) == 0);
    pthread_barrier_wait(&barrier);
    rise();
    fall_alone();
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(other, NULL) == 0);
}

static void slowly_after_threads(void)
{
    rise();
    at_hand->beat(0);
    fall_in_threads();
    goes_on(3, SECOND);
    most_is_back();
}

static void *falls_and_stays(void *from)
{
    fall(from);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

// The lists of silent threads stay with them, and are small.
static void slowly_beside_silent_threads(void)
{
    pthread_t threads[FREERS];
    CHECK(pthread_barrier_init(&barrier, NULL, FREERS + 1) == 0);
    rise();
    at_hand->beat(0);
    for (size_t i = 0; i < FREERS; i++)
        CHECK(pthread_create(&threads[i], NULL, falls_and_stays, (void *)i) == 0);
    pthread_barrier_wait(&barrier);
    goes_on(3, SECOND);
    most_is_back();
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < FREERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

// --- a random tenth lives, and the program goes on with as much

enum { PEAK = 437000, PLACES = 1 << 18 };

static struct {
    char *start;
    size_t size;
} living[PEAK];

static void take(int place, uint64_t *state)
{
    size_t size = 16 + draw(state) % 1024;
    living[place].size = size;
    CHECK((living[place].start = malloc(size)) != NULL);
    memset(living[place].start, 1, size);
}

// Bytes of pages that hold a living block, or a part of one.
static size_t bytes_of_pages(int count)
{
    static uintptr_t pages[PLACES];
    size_t found = 0;
    for (int i = 0; i < count; i++) {
        uintptr_t first = (uintptr_t)living[i].start / 4096;
        uintptr_t last = ((uintptr_t)living[i].start + living[i].size - 1) / 4096;
        for (uintptr_t page = first; page <= last; page++) {
            size_t place = page * 0x9E3779B97F4A7C15 >> 46;
            while (pages[place] != 0 && pages[place] != page)
                place = (place + 1) % PLACES;
            found += pages[place] == 0;
            pages[place] = page;
        }
    }
    return found * 4096;
}

// So many pairs of a free and a malloc every four milliseconds, for two and a half seconds.
static void random_tenth(void)
{
    uint64_t state = 88172645463325252;
    memset(living, 0, sizeof living);
    before = resident();
    const int most = worth(PEAK);
    for (int i = 0; i < most; i++)
        take(i, &state);
    int count = 0;
    for (int i = 0; i < most; i++) {
        if (draw(&state) % 10 == 0)
            living[count++] = living[i];
        else
            free(living[i].start);
    }
    for (int time = 0; time < 625; time++) {
        pass(4);
        for (int i = 0; i < at_hand->number; i++) {
            int place = (int)(draw(&state) % (uint64_t)count);
            free(living[place].start);
            take(place, &state);
        }
    }
    size_t now = resident() - before;
    at_most(now, bytes_of_pages(count) * 5 / 4);
}

// --- each in a process of its own

static const struct occasion occasions[] = {
    {"silence", silence, .number = 0},
    {"silence after threads", silence_after_threads, .number = 0},
    {"silence after a herd", silence_after_a_herd, .number = 0},
    {"no sleep", long_sleep, .number = 0},
    // As long as 31 bits count milliseconds, as 32 do, and longer.
    {"10 days", long_sleep, .number = 10},
    {"26 days", long_sleep, .number = 26},
    {"40 days", long_sleep, .number = 40},
    {"60 days", long_sleep, .number = 60},
    {"slowly by malloc", slowly, .beat = by_malloc},
    {"slowly by ten", slowly, by_ten, 300000},
    {"slowly by calloc", slowly, by_calloc, 300000},
    {"slowly by realloc", slowly, by_realloc, 300000},
    {"slowly by aligned_alloc", slowly, by_aligned_alloc, 300000},
    {"slowly by several classes", slowly, by_several_classes, 300000},
    {"slowly by large blocks", slowly, by_large, 300000},
    {"slowly by mappings", slowly, by_mapped, 300000},
    {"quickly by malloc", quickly, .beat = by_malloc},
    {"quickly by ten", quickly, .beat = by_ten},
    {"quickly by realloc", quickly, .beat = by_realloc},
    {"quickly by several classes", quickly, .beat = by_several_classes},
    {"quickly among survivors", quickly_among_survivors, .beat = by_malloc},
    {"slowly in another thread", slowly_in_another_thread, .beat = by_malloc},
    {"slowly after threads", slowly_after_threads, .beat = by_malloc},
    {"slowly beside silent threads", slowly_beside_silent_threads, .beat = by_malloc},
    // 55 MiB, of which an equal share must go back.
    {"55 MiB in another thread", slowly_in_another_thread, by_malloc, 200000},
    {"55 MiB after threads", slowly_after_threads, by_malloc, 200000},
    {"55 MiB beside silent threads", slowly_beside_silent_threads, by_malloc, 200000},
    // A hundred thousand calls a second, and a thousand.
    {"random tenth at work", random_tenth, .number = 200},
    {"random tenth at rest", random_tenth, .number = 2},
};

int main(int count, char **words)
{
    int failures = 0;
    returns = count > 1 && strcmp(words[1], "returns") == 0;
    // Another check looks at the very first calls.
    free(malloc(MIB));
    for (size_t i = 0; i < sizeof occasions / sizeof *occasions; i++) {
        int status = -1;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(PATIENCE_S);
            at_hand = &occasions[i];
            at_hand->run();
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        failures += status != 0;
    }
    CHECK(failures == 0);
    puts("ok");
    return 0;
}
