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
    Item *volatile items = new Item[size / sizeof(Item)];
    ::operator delete(items);
    survived();
}
