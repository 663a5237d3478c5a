// A program with few addresses left before its very first block gets that block, and more.
#include "check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LEFT = 6 * MIB, BLOCKS = 1000, SIZE = 1000 };

int main(void)
{
    static unsigned char *blocks[BLOCKS];
    const struct rlimit limit = {size_of_process().addresses + LEFT, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, SIZE);
    }
    volatile size_t more = LEFT;
    errno = 0;
    CHECK(malloc(more) == NULL && errno == ENOMEM);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(blocks[i][0] == (unsigned char)i && blocks[i][SIZE - 1] == (unsigned char)i);
        free(blocks[i]);
    }
    puts("ok");
    return 0;
}
