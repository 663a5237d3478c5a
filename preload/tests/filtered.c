// A service may make only the system calls of a list, and the kernel ends it for any other. The list here is the part
// of systemd's `@default` and `@system-service` that memory and threads need. An allocator must get by with it.
#include "check.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const int allowed[] = {
    // To go on, to end, to print, and to read: glibc reads a file that says whether memory is overcommitted.
    SYS_ioctl,
    SYS_openat, SYS_close, SYS_read, SYS_write, SYS_newfstatat, SYS_fstat, SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall,
    // Memory.
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise,
    // Threads, their waiting, and time.
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
    SYS_clone, SYS_set_robust_list, SYS_futex, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_getpid, SYS_gettid, SYS_clock_gettime, SYS_clock_nanosleep, SYS_getrandom,
};
enum { ALLOWED = sizeof allowed / sizeof *allowed };

static int filter(void)
{
    struct sock_filter program[4 + 2 * ALLOWED];
    size_t length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < ALLOWED; i++) {
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog all = {length, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0;
}

static void *work(void *unused)
{
    enum { BLOCKS = 2000 };
    static const size_t sizes[] = {1, 100, 3000, 40000, 300000, 1 * MIB, 5 * MIB};
    void *blocks[BLOCKS] = {0};
    for (int i = 0; i < 10 * BLOCKS; i++) {
        const int at = i * 7 % BLOCKS;
        // Few of the large blocks, but in every way.
        const size_t size = sizes[i % 101 == 0 ? i / 101 % 7 : i % 3];
        switch (i % 4) {
        case 0:
            free(blocks[at]);
            CHECK((blocks[at] = calloc(1, size)) != NULL);
            for (size_t byte = 0; byte < size; byte += 500)
                CHECK(((char *)blocks[at])[byte] == 0);
            memset(blocks[at], 1, size / 2);
            break;
        case 1:
            CHECK((blocks[at] = realloc(blocks[at], size)) != NULL);
            break;
        case 2:
            free(blocks[at]);
            CHECK(posix_memalign(&blocks[at], 8192, size) == 0);
            break;
        default:
            free(blocks[at]);
            CHECK((blocks[at] = malloc(size)) != NULL);
            memset(blocks[at], i, size);
        }
        if (i % 1000 == 0)
            malloc_trim(0);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return unused;
}

int main(void)
{
    // A kernel without filters has no services that use them.
    const int filtered = filter();
    CHECK(filtered || errno == EINVAL || errno == ENOSYS);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
        work(NULL);
        for (int i = 0; i < 4; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    puts("ok");
    return 0;
}
