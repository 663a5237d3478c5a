// A program that opens shared libraries with an allocator of their own, lets its threads use them, and closes them.
//
// host CASE PLUGIN: a case says what must hold, and the program prints "ok".
#define _GNU_SOURCE
#include "../preload/tests/check.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOADS = 100, COPIES = 60, THREADS = 3, BLOCKS = 10000, FORKS = 20, EXITS = 20 };

struct plugin {
    void *handle;
    size_t (*work)(size_t);
    bool (*beside)(size_t);
    void (*forget)(void);
    bool (*standard)(size_t);
};

static const char *path;

static struct plugin load(const char *file)
{
    struct plugin it = {.handle = dlopen(file, RTLD_NOW | RTLD_LOCAL)};
    if (it.handle == NULL)
        dprintf(STDERR_FILENO, "%s\n", dlerror());
    CHECK(it.handle != NULL);
    *(void **)&it.work = dlsym(it.handle, "work");
    *(void **)&it.beside = dlsym(it.handle, "beside");
    *(void **)&it.forget = dlsym(it.handle, "forget");
    *(void **)&it.standard = dlsym(it.handle, "standard");
    CHECK(it.work && it.beside && it.forget && it.standard);
    return it;
}

static void unload(struct plugin it)
{
    CHECK(dlclose(it.handle) == 0);
}

// Whether the loader has it still.
static bool is_there(const char *file)
{
    void *handle = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (handle != NULL)
        dlclose(handle);
    return handle != NULL;
}

static void use(const struct plugin *it)
{
    CHECK(it->work(BLOCKS) > BLOCKS);
    CHECK(it->beside(1));
}

// ---- threads that outlive what they use -----------------------------------------------------------

static struct worker {
    pthread_t thread;
    sem_t go, done;
    void (*job)(const struct plugin *);
    const struct plugin *plugin;
} workers[THREADS];

static void *wait_for_jobs(void *arg)
{
    struct worker *me = arg;
    for (;;) {
        sem_wait(&me->go);
        if (me->job == NULL)
            return NULL;
        me->job(me->plugin);
        sem_post(&me->done);
    }
}

static void start_workers(void)
{
    for (int n = 0; n < THREADS; n++) {
        sem_init(&workers[n].go, 0, 0);
        sem_init(&workers[n].done, 0, 0);
        CHECK(pthread_create(&workers[n].thread, NULL, wait_for_jobs, &workers[n]) == 0);
    }
}

// All of them do it, at the same time.
static void all_do(void (*job)(const struct plugin *), const struct plugin *plugin)
{
    for (int n = 0; n < THREADS; n++) {
        workers[n].job = job;
        workers[n].plugin = plugin;
        sem_post(&workers[n].go);
    }
    for (int n = 0; n < THREADS; n++)
        sem_wait(&workers[n].done);
}

static void end_workers(void)
{
    for (int n = 0; n < THREADS; n++) {
        workers[n].job = NULL;
        sem_post(&workers[n].go);
    }
    for (int n = 0; n < THREADS; n++)
        CHECK(pthread_join(workers[n].thread, NULL) == 0);
}

// ---- the cases ------------------------------------------------------------------------------------

// Once, by threads that end when it is gone.
static void outlived(void)
{
    start_workers();
    struct plugin it = load(path);
    use(&it);
    all_do(use, &it);
    unload(it);
    CHECK(!is_there(path));
    end_workers();
}

static void forget(const struct plugin *it)
{
    it->forget();
}

// Again and again: what it had goes with it, blocks in use too (UN1).
static void again(void)
{
    start_workers();
    unsigned long before = size_of_process().resident;
    for (int n = 0; n < LOADS; n++) {
        struct plugin it = load(path);
        use(&it);
        all_do(use, &it);
        all_do(forget, &it);
        unload(it);
        CHECK(!is_there(path));
    }
    unsigned long after = size_of_process().resident;
    snprintf(circumstances, sizeof circumstances, ", and there are %lu KiB, of %lu before", after / KIB,
             before / KIB);
    // The C library keeps a copy of its thread-local storage for each thread: little, but of fifty variants a MiB.
    unsigned long allowed = strstr(path, "all-variants") != NULL ? 3 * MIB : 2 * MIB;
    CHECK(after <= before + allowed);
    end_workers();
}

static void copy_to(const char *file)
{
    static char bytes[64 * KIB];
    int from = open(path, O_RDONLY), to = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(from >= 0 && to >= 0);
    for (ssize_t size; (size = read(from, bytes, sizeof bytes)) > 0;)
        CHECK(write(to, bytes, (size_t)size) == size);
    close(from);
    close(to);
}

// Many of them together, unloaded in any order while others are in use.
static void copies(void)
{
    static struct plugin all[COPIES];
    start_workers();
    for (int n = 0; n < COPIES; n++) {
        char file[500];
        snprintf(file, sizeof file, "%s.%d.%d", path, (int)getpid(), n);
        copy_to(file);
        all[n] = load(file);
        unlink(file);
        all_do(use, &all[n]);
    }
    unsigned long before = size_of_process().resident;
    // 7 and the number of copies have no factor in common.
    for (int n = 0; n < COPIES; n++) {
        struct plugin *it = &all[n * 7 % COPIES], *next = &all[(n + 1) * 7 % COPIES];
        all_do(use, it);
        unload(*it);
        it->handle = NULL;
        if (next->handle != NULL)
            all_do(use, next);
    }
    CHECK(size_of_process().resident < before);
    end_workers();
}

static void must_end_well(pid_t child)
{
    int status;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    snprintf(circumstances, sizeof circumstances, ", not %#x", status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    circumstances[0] = 0;
}

// Forks while it is there, whose children unload it, and forks when it is gone.
static void forks(void)
{
    start_workers();
    for (int n = 0; n < FORKS; n++) {
        struct plugin it = load(path);
        all_do(use, &it);
        pid_t child = fork();
        if (child == 0) {
            use(&it);
            unload(it);
            exit(0);
        }
        must_end_well(child);
        use(&it);
        unload(it);
        child = fork();
        if (child == 0) {
            it = load(path);
            use(&it);
            exit(0);
        }
        must_end_well(child);
    }
    end_workers();
}

static void use_standard(const struct plugin *it)
{
    CHECK(it->standard(1000));
}

// What the standard library has for a thread has the object stay until that thread ends.
static void standard(void)
{
    for (int n = 0; n < FORKS; n++) {
        start_workers();
        struct plugin it = load(path);
        all_do(use, &it);
        all_do(use_standard, &it);
        unload(it);
        CHECK(is_there(path));
        end_workers();
        // The loader looks for what can go when something is closed: this does.
        is_there(path);
        CHECK(!is_there(path));
    }
}

// ---- the process's end ----------------------------------------------------------------------------

static struct plugin at_end;

static void use_at_end(void)
{
    use(&at_end);
}

static void close_at_end(void)
{
    unload(at_end);
    end_workers();
}

static void work_on(const struct plugin *it)
{
    sem_post(&workers[0].done);
    for (;;)
        it->work(100);
}

static void *exit_from(void *arg)
{
    (void)arg;
    exit(0);
}

// Ends in several ways, with threads at work in it: nothing goes, and the marks tell so (UN2).
static void exits(void)
{
    for (int n = 0; n < 3 * EXITS; n++) {
        pid_t child = fork();
        if (child == 0) {
            // Registered before it is loaded, so it runs when that has been told.
            atexit(n % 3 == 2 ? close_at_end : use_at_end);
            start_workers();
            at_end = load(path);
            all_do(use, &at_end);
            if (n % 3 == 2)
                exit(0);
            for (int m = 0; m < THREADS; m++) {
                workers[m].job = work_on;
                sem_post(&workers[m].go);
                sem_wait(&workers[0].done);
            }
            pthread_t other;
            if (n % 3 == 1) {
                pthread_create(&other, NULL, exit_from, NULL);
                pthread_join(other, NULL);
            }
            exit(0);
        }
        must_end_well(child);
    }
}

// Is there from the start, by LD_PRELOAD: it cannot be unloaded.
static void preloaded(void)
{
    atexit(use_at_end);
    start_workers();
    CHECK(is_there(path));
    at_end = load(path);
    all_do(use, &at_end);
    unload(at_end);
    CHECK(is_there(path));
    all_do(use, &at_end);
    end_workers();
}

// A library that is there from the start uses it when all have been told of the end: see early.c.
static void nothing(void) {}

// The same, where that is another thread's doing.
static void elsewhere(void)
{
    CHECK(write(STDOUT_FILENO, "ok\n", 3) == 3);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, exit_from, NULL) == 0);
    pthread_join(other, NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"outlived", outlived}, {"again", again}, {"copies", copies},       {"forks", forks},
    {"standard", standard}, {"exits", exits}, {"preloaded", preloaded}, {"nothing", nothing},
    {"elsewhere", elsewhere},
};

int main(int count, char **args)
{
    CHECK(count == 3);
    path = args[2];
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++)
        if (strcmp(args[1], cases[n].name) == 0) {
            cases[n].run();
            CHECK(write(STDOUT_FILENO, "ok\n", 3) == 3);
            return 0;
        }
    CHECK(!"a case of this name");
}
