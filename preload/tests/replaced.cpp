// C++'s operators new and delete in a program that has its own of some forms: the other forms must go through them, in
// the order that C++ gives.
//
// Compiled once for each set of forms, which REPLACED names, as in -DREPLACED=NEW or "-DREPLACED=NEW|DELETE".
#include "check.h"
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#define NEW 1
#define NEW_ARRAY 2
#define NEW_ALIGNED 4
#define NEW_ARRAY_ALIGNED 8
#define DELETE 16
#define DELETE_ARRAY 32
#define DELETE_ALIGNED 64
#define DELETE_ARRAY_ALIGNED 128

// The check is about the forms that are not replaced.
#pragma GCC diagnostic ignored "-Wsized-deallocation"

using std::align_val_t;
using std::nothrow;
using std::size_t;

enum { SIZE = 48, ALIGN = 64 };

// True if each block of the program's new comes to the program's delete. Then it may begin inside of a block of malloc,
// and another delete would free an address that is no block's.
constexpr bool is_paired =
    ((REPLACED) & (NEW | NEW_ALIGNED)) != 0 && ((REPLACED) & (DELETE | DELETE_ALIGNED)) != 0;
constexpr size_t before = is_paired ? ALIGN : 0;

static int news, deletes;
static bool refuses;

[[maybe_unused]] static void *create(size_t size, size_t align)
{
    news++;
    if (refuses)
        throw std::bad_alloc();
    size_t bytes = (size + before + align - 1) / align * align;
    char *block = static_cast<char *>(align > 16 ? std::aligned_alloc(align, bytes) : std::malloc(bytes));
    CHECK(block != nullptr);
    return block + before;
}

[[maybe_unused]] static void destroy(void *block)
{
    deletes++;
    if (block != nullptr)
        std::free(static_cast<char *>(block) - before);
}

#if (REPLACED) & NEW
void *operator new(size_t size) { return create(size, 16); }
#endif
#if (REPLACED) & NEW_ARRAY
void *operator new[](size_t size) { return create(size, 16); }
#endif
#if (REPLACED) & NEW_ALIGNED
void *operator new(size_t size, align_val_t align) { return create(size, static_cast<size_t>(align)); }
#endif
#if (REPLACED) & NEW_ARRAY_ALIGNED
void *operator new[](size_t size, align_val_t align) { return create(size, static_cast<size_t>(align)); }
#endif
#if (REPLACED) & DELETE
void operator delete(void *block) noexcept { destroy(block); }
#endif
#if (REPLACED) & DELETE_ARRAY
void operator delete[](void *block) noexcept { destroy(block); }
#endif
#if (REPLACED) & DELETE_ALIGNED
void operator delete(void *block, align_val_t) noexcept { destroy(block); }
#endif
#if (REPLACED) & DELETE_ARRAY_ALIGNED
void operator delete[](void *block, align_val_t) noexcept { destroy(block); }
#endif

static constexpr align_val_t at{ALIGN};

// A form, and those that it goes through, itself among them.
struct New {
    unsigned through;
    bool is_nothrow;
    void *(*create)();
};
struct Delete {
    unsigned through;
    void (*destroy)(void *);
};

// The sets of forms whose blocks go to one set of forms.
struct Family {
    New news[2];
    Delete deletes[3];
};

static const Family families[] = {
    {
        {
            {NEW, false, [] { return ::operator new(SIZE); }},
            {NEW, true, [] { return ::operator new(SIZE, nothrow); }},
        },
        {
            {DELETE, [](void *p) { ::operator delete(p); }},
            {DELETE, [](void *p) { ::operator delete(p, size_t{SIZE}); }},
            {DELETE, [](void *p) { ::operator delete(p, nothrow); }},
        },
    },
    {
        {
            {NEW_ARRAY | NEW, false, [] { return ::operator new[](SIZE); }},
            {NEW_ARRAY | NEW, true, [] { return ::operator new[](SIZE, nothrow); }},
        },
        {
            {DELETE_ARRAY | DELETE, [](void *p) { ::operator delete[](p); }},
            {DELETE_ARRAY | DELETE, [](void *p) { ::operator delete[](p, size_t{SIZE}); }},
            {DELETE_ARRAY | DELETE, [](void *p) { ::operator delete[](p, nothrow); }},
        },
    },
    {
        {
            {NEW_ALIGNED, false, [] { return ::operator new(SIZE, at); }},
            {NEW_ALIGNED, true, [] { return ::operator new(SIZE, at, nothrow); }},
        },
        {
            {DELETE_ALIGNED, [](void *p) { ::operator delete(p, at); }},
            {DELETE_ALIGNED, [](void *p) { ::operator delete(p, size_t{SIZE}, at); }},
            {DELETE_ALIGNED, [](void *p) { ::operator delete(p, at, nothrow); }},
        },
    },
    {
        {
            {NEW_ARRAY_ALIGNED | NEW_ALIGNED, false, [] { return ::operator new[](SIZE, at); }},
            {NEW_ARRAY_ALIGNED | NEW_ALIGNED, true, [] { return ::operator new[](SIZE, at, nothrow); }},
        },
        {
            {DELETE_ARRAY_ALIGNED | DELETE_ALIGNED, [](void *p) { ::operator delete[](p, at); }},
            {DELETE_ARRAY_ALIGNED | DELETE_ALIGNED, [](void *p) { ::operator delete[](p, size_t{SIZE}, at); }},
            {DELETE_ARRAY_ALIGNED | DELETE_ALIGNED, [](void *p) { ::operator delete[](p, at, nothrow); }},
        },
    },
};

static bool is_replaced(unsigned through)
{
    return (through & (REPLACED)) != 0;
}

// Each form comes to the program's once, and not at all if it goes through none of the program's.
static void each_goes_through_the_program_s()
{
    for (const Family &family : families)
        for (const New &create : family.news)
            for (const Delete &destroy : family.deletes) {
                news = deletes = 0;
                void *block = create.create();
                CHECK(block != nullptr && news == is_replaced(create.through) && deletes == 0);
                std::memset(block, 1, SIZE);
                destroy.destroy(block);
                CHECK(news == is_replaced(create.through) && deletes == is_replaced(destroy.through));
                destroy.destroy(nullptr);
                CHECK(deletes == 2 * is_replaced(destroy.through));
            }
}

// An exception of the program's form comes out of every form that may throw; the others return null.
static void what_it_throws_comes_out()
{
    for (const Family &family : families)
        for (const New &create : family.news) {
            news = 0;
            refuses = true;
            bool is_thrown = false;
            void *block = nullptr;
            try {
                block = create.create();
            } catch (const std::bad_alloc &) {
                is_thrown = true;
            }
            refuses = false;
            CHECK(news == is_replaced(create.through));
            CHECK(is_thrown == (is_replaced(create.through) && !create.is_nothrow));
            CHECK((block == nullptr) == is_replaced(create.through));
            family.deletes[0].destroy(block);
        }
}

struct Plain {
    long numbers[6];
    ~Plain() { numbers[0] = 0; }
};
struct alignas(ALIGN) Wide {
    long numbers[6];
    ~Wide() { numbers[0] = 0; }
};

template <class T>
static void expressions()
{
    T *volatile one = new T;
    T *volatile some = new T[4];
    T *volatile other = new (nothrow) T;
    T *volatile others = new (nothrow) T[4];
    delete one;
    delete[] some;
    delete other;
    delete[] others;
}

// A block that was freed at a wrong address, or twice, is handed out twice.
static void no_two_are_one()
{
    enum { COUNT = 256 };
    static unsigned char *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK((blocks[i] = static_cast<unsigned char *>(std::malloc(SIZE + i % 3 * ALIGN))) != nullptr);
        std::memset(blocks[i], static_cast<int>(i), SIZE + i % 3 * ALIGN);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned k = 0; k < SIZE + i % 3 * ALIGN; k++)
            CHECK(blocks[i][k] == i);
        std::free(blocks[i]);
    }
}

int main()
{
    each_goes_through_the_program_s();
    what_it_throws_comes_out();
    news = deletes = 0;
    expressions<Plain>();
    expressions<Wide>();
    if (is_paired)
        CHECK(news > 0 && news == deletes);
    no_two_are_one();
    std::puts("ok");
}
