// A library for LD_PRELOAD that opens another before `main`, or finds it there, and uses it when everything else has
// ended.
#define _GNU_SOURCE
#include "../preload/tests/check.h"
#include <dlfcn.h>
#include <stdlib.h>

static size_t (*work)(size_t);

static void use_late(int status, void *arg)
{
    (void)status, (void)arg;
    CHECK(work(10000) > 10000);
}

__attribute__((constructor)) static void open_early(void)
{
    void *handle = dlopen(getenv("PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    CHECK(handle != NULL);
    *(void **)&work = dlsym(handle, "work");
    CHECK(work && work(10000) > 10000);
    // Of no library, so it is called when all of them have been told of the end.
    on_exit(use_late, NULL);
}
