// As many instances of templates as SIZE says, each with its own containers.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

template <int N>
struct Tag {
    std::array<char, N + 1> bytes{};
    bool operator<(const Tag &other) const { return bytes < other.bytes; }
};

template <int N>
struct Work {
    static long run(long seed) {
        std::map<Tag<N>, std::vector<std::string>> ordered;
        std::unordered_map<std::string, std::unique_ptr<Tag<N>>> owned;
        for (long i = 0; i < seed; i++) {
            Tag<N> tag;
            tag.bytes[i % tag.bytes.size()] = static_cast<char>(i);
            ordered[tag].push_back(std::to_string(i));
            owned.emplace(std::to_string(i * N), std::make_unique<Tag<N>>(tag));
        }
        std::vector<Tag<N>> tags;
        for (const auto &entry : ordered) tags.push_back(entry.first);
        std::sort(tags.begin(), tags.end(), [](const Tag<N> &a, const Tag<N> &b) { return b < a; });
        std::function<long(long)> sum = [&](long start) {
            return std::accumulate(tags.begin(), tags.end(), start,
                                   [](long left, const Tag<N> &tag) { return left + tag.bytes[0]; });
        };
        return sum(static_cast<long>(owned.size())) + Work<N - 1>::run(seed);
    }
};

template <>
struct Work<0> {
    static long run(long seed) { return seed; }
};

long work(long seed) { return Work<SIZE>::run(seed); }
