// What is wanted beside what is there, one key after the other.
//
// Both are sorted vectors that may be replaced between two steps (a reply is pulled while the daemon goes on), so a
// walk remembers the last key told and finds its place anew each time: O(log n) a step.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

namespace weft {

/// The first of `sorted` past `last` (all of them at first), or nullptr. `key` makes a key of an element.
template <class T, class Key, class KeyOf>
const T* after(const std::vector<T>& sorted, const std::optional<Key>& last, KeyOf key) {
    const auto at =
        !last ? sorted.begin()
              : std::upper_bound(sorted.begin(), sorted.end(), *last, [&](const Key& wanted, const T& element) {
                    return wanted < std::invoke(key, element);
                });
    return at == sorted.end() ? nullptr : &*at;
}

template <class Wanted, class Found>
struct Pair {
    const Wanted* wanted = nullptr;  ///< nullptr: not wanted
    const Found* found = nullptr;    ///< nullptr: not there
};

/// The next key's two sides, past `last`, which becomes that key; nullopt after the last one.
template <class Key, class Wanted, class Found, class KeyOfWanted, class KeyOfFound>
std::optional<Pair<Wanted, Found>> next_pair(const std::vector<Wanted>& all_wanted, const std::vector<Found>& all_found,
                                             std::optional<Key>& last, KeyOfWanted key_of_wanted,
                                             KeyOfFound key_of_found) {
    Pair<Wanted, Found> pair{after(all_wanted, last, key_of_wanted), after(all_found, last, key_of_found)};
    if (pair.wanted == nullptr && pair.found == nullptr) return std::nullopt;
    if (pair.wanted != nullptr && pair.found != nullptr) {
        const Key left = std::invoke(key_of_wanted, *pair.wanted);
        const Key right = std::invoke(key_of_found, *pair.found);
        if (left < right) pair.found = nullptr;
        if (right < left) pair.wanted = nullptr;
    }
    last = pair.wanted != nullptr ? std::invoke(key_of_wanted, *pair.wanted) : std::invoke(key_of_found, *pair.found);
    return pair;
}

}  // namespace weft
