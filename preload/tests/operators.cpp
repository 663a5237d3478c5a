// C++'s operators new and delete, in every form that a program may replace, and the use that programs make of them.
#include "check.h"
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

using std::align_val_t;
using std::nothrow;

static const std::size_t sizes[] = {0, 1, 8, 24, 100, 1000, 5000, 70000, 600000, 3 << 20};

// Volatile: a compiler that knows the size warns, or answers for the allocator.
static volatile std::size_t absurd[] = {PTRDIFF_MAX, SIZE_MAX, SIZE_MAX - 15, std::size_t{1} << 62};

// Two blocks at once: each must be there, aligned, the caller's to its end, and different from the other.
template <class New, class Delete>
static void pair(std::size_t size, std::size_t align, New create, Delete destroy)
{
    void *one = create(), *other = create();
    CHECK(one != nullptr && other != nullptr && one != other);
    CHECK(reinterpret_cast<std::uintptr_t>(one) % align == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(other) % align == 0);
    std::memset(one, 1, size);
    std::memset(other, 2, size);
    for (std::size_t i = 0; i < size; i++)
        CHECK(static_cast<unsigned char *>(one)[i] == 1);
    destroy(one);
    destroy(other);
}

static void plain_forms()
{
    for (std::size_t n : sizes) {
        pair(n, 16, [=] { return ::operator new(n); }, [](void *p) { ::operator delete(p); });
        pair(n, 16, [=] { return ::operator new(n); }, [=](void *p) { ::operator delete(p, n); });
        pair(n, 16, [=] { return ::operator new(n, nothrow); }, [](void *p) { ::operator delete(p); });
        pair(n, 16, [=] { return ::operator new(n, nothrow); }, [](void *p) { ::operator delete(p, nothrow); });
    }
}

static void array_forms()
{
    for (std::size_t n : sizes) {
        pair(n, 16, [=] { return ::operator new[](n); }, [](void *p) { ::operator delete[](p); });
        pair(n, 16, [=] { return ::operator new[](n); }, [=](void *p) { ::operator delete[](p, n); });
        pair(n, 16, [=] { return ::operator new[](n, nothrow); }, [](void *p) { ::operator delete[](p); });
        pair(n, 16, [=] { return ::operator new[](n, nothrow); }, [](void *p) { ::operator delete[](p, nothrow); });
    }
}

static void aligned_forms()
{
    for (std::size_t at : {16, 32, 64, 4096, 1 << 20})
        for (std::size_t n : sizes) {
            const align_val_t a{at};
            pair(n, at, [=] { return ::operator new(n, a); }, [=](void *p) { ::operator delete(p, a); });
            pair(n, at, [=] { return ::operator new(n, a); }, [=](void *p) { ::operator delete(p, n, a); });
            pair(n, at, [=] { return ::operator new(n, a, nothrow); },
                 [=](void *p) { ::operator delete(p, a, nothrow); });
            pair(n, at, [=] { return ::operator new[](n, a); }, [=](void *p) { ::operator delete[](p, a); });
            pair(n, at, [=] { return ::operator new[](n, a); }, [=](void *p) { ::operator delete[](p, n, a); });
            pair(n, at, [=] { return ::operator new[](n, a, nothrow); },
                 [=](void *p) { ::operator delete[](p, a, nothrow); });
        }
}

static void delete_of_null()
{
    const align_val_t a{64};
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::size_t{8});
    ::operator delete[](nullptr, std::size_t{8});
    ::operator delete(nullptr, nothrow);
    ::operator delete[](nullptr, nothrow);
    ::operator delete(nullptr, a);
    ::operator delete[](nullptr, a);
    ::operator delete(nullptr, std::size_t{8}, a);
    ::operator delete[](nullptr, std::size_t{8}, a);
    ::operator delete(nullptr, a, nothrow);
    ::operator delete[](nullptr, a, nothrow);
}

template <class Error, class New>
static bool throws(New create)
{
    try {
        create();
    } catch (const Error &) {
        return true;
    }
    return false;
}

// libstdc++ rounds the size up to a multiple of the alignment before it asks, and does not always see an overflow. It
// then takes such a size for a small one.
static bool rounds_up_to_nothing(std::size_t size, align_val_t align)
{
    return size + static_cast<std::size_t>(align) - 1 < size;
}

static void too_much_throws()
{
    const align_val_t a{4096};
    for (std::size_t n : absurd) {
        CHECK(throws<std::bad_alloc>([=] { return ::operator new(n); }));
        CHECK(throws<std::bad_alloc>([=] { return ::operator new[](n); }));
        if (rounds_up_to_nothing(n, a))
            continue;
        CHECK(throws<std::bad_alloc>([=] { return ::operator new(n, a); }));
        CHECK(throws<std::bad_alloc>([=] { return ::operator new[](n, a); }));
    }
}

static void too_much_is_null_for_nothrow()
{
    const align_val_t a{4096};
    for (std::size_t n : absurd) {
        CHECK(::operator new(n, nothrow) == nullptr);
        CHECK(::operator new[](n, nothrow) == nullptr);
        if (rounds_up_to_nothing(n, a))
            continue;
        CHECK(::operator new(n, a, nothrow) == nullptr);
        CHECK(::operator new[](n, a, nothrow) == nullptr);
    }
}

static int handled;

static void gives_up_at_3()
{
    // A handler may allocate, itself.
    delete new std::string(100, 'x');
    if (++handled == 3)
        std::set_new_handler(nullptr);
}

template <class New>
static void handler_is_called_3_times(New failing)
{
    handled = 0;
    std::set_new_handler(gives_up_at_3);
    failing();
    CHECK(handled == 3);
    CHECK(std::get_new_handler() == nullptr);
}

static void handlers_are_called()
{
    const align_val_t a{64};
    const std::size_t n = absurd[0];
    handler_is_called_3_times([=] { CHECK(throws<std::bad_alloc>([=] { return ::operator new(n); })); });
    handler_is_called_3_times([=] { CHECK(throws<std::bad_alloc>([=] { return ::operator new[](n); })); });
    handler_is_called_3_times([=] { CHECK(throws<std::bad_alloc>([=] { return ::operator new(n, a); })); });
    handler_is_called_3_times([=] { CHECK(::operator new(n, nothrow) == nullptr); });
    handler_is_called_3_times([=] { CHECK(::operator new[](n, a, nothrow) == nullptr); });
}

struct Handler : std::bad_alloc {};

// `new` throws what a handler throws; a nothrow form keeps it from the caller.
static void handlers_may_throw()
{
    const align_val_t a{64};
    const std::size_t n = absurd[0];
    std::set_new_handler([] { throw Handler(); });
    CHECK(throws<Handler>([=] { return ::operator new(n); }));
    CHECK(throws<Handler>([=] { return ::operator new[](n); }));
    CHECK(throws<Handler>([=] { return ::operator new(n, a); }));
    CHECK(::operator new(n, nothrow) == nullptr);
    CHECK(::operator new(n, a, nothrow) == nullptr);
    std::set_new_handler(nullptr);
}

struct alignas(128) Wide {
    unsigned char bytes[300];
};

static void expressions()
{
    for (std::size_t count = 1; count < 200; count++) {
        std::unique_ptr<Wide[]> wide(new Wide[count]);
        CHECK(reinterpret_cast<std::uintptr_t>(wide.get()) % alignof(Wide) == 0);
        std::unique_ptr<std::string[]> texts(new std::string[count]);
        texts[count - 1] = std::string(count, 'x');
        CHECK(texts[count - 1].size() == count);
    }
    volatile std::size_t many = SIZE_MAX / 16;
    CHECK(throws<std::bad_alloc>([&] { delete[] new std::string[many]; }));
    CHECK(throws<std::length_error>([&] { std::vector<int>().reserve(many * 16); }));
}

using Rows = std::map<std::string, std::vector<std::shared_ptr<std::string>>>;

static std::shared_ptr<Rows> rows(int seed)
{
    auto made = std::make_shared<Rows>();
    for (int i = 0; i < 10000; i++) {
        auto &row = (*made)["a name that is not short " + std::to_string(i % 300 * seed)];
        row.push_back(std::make_shared<std::string>(static_cast<std::size_t>(i % 200), 'x'));
    }
    return made;
}

// A thread builds objects that the main thread reads and frees; an exception goes that way too.
static void threads()
{
    std::vector<std::thread> all;
    std::vector<std::shared_ptr<Rows>> built(8);
    std::vector<std::exception_ptr> thrown(8);
    for (int i = 0; i < 8; i++)
        all.emplace_back([&built, &thrown, i] {
            auto at = static_cast<std::size_t>(i);
            built[at] = rows(i + 1);
            try {
                throw std::runtime_error(std::string(at * 1000, 'y'));
            } catch (...) {
                thrown[at] = std::current_exception();
            }
            for (int k = 0; k < 1000; k++)
                CHECK(throws<std::string>([k] { throw std::string(static_cast<std::size_t>(k), 'z'); }));
        });
    for (auto &thread : all)
        thread.join();
    for (std::size_t i = 0; i < 8; i++) {
        std::size_t letters = 0;
        for (const auto &[name, row] : *built[i])
            for (const auto &text : row)
                letters += text->size();
        CHECK(built[i]->size() == 300 && letters == 10000 / 200 * (199 * 200 / 2));
        try {
            std::rethrow_exception(thrown[i]);
        } catch (const std::runtime_error &error) {
            CHECK(std::strlen(error.what()) == i * 1000);
        }
    }
}

int main()
{
    plain_forms();
    array_forms();
    aligned_forms();
    delete_of_null();
    too_much_throws();
    too_much_is_null_for_nothrow();
    handlers_are_called();
    handlers_may_throw();
    expressions();
    threads();
    std::puts("ok");
}
