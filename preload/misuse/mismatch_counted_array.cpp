// Mismatch: `new T[]` of a type with a destructor, then `delete`: 8 bytes inside.
// sizes: 24 100 1000 20480 100000 8388608
#include "misuse.h"
#include <new>

struct Item {
    byte *owned = nullptr;
    ~Item() { owned = nullptr; }
};

static void misuse(size_t size)
{
    // The count is before the items. Its bit 2 is 0: the C library would take it for a flag, as in misuse.h.
    Item *volatile items = new Item[size / sizeof(Item) & ~(size_t)4];
    ::operator delete(items);
    survived();
}
