// A sorted set of small values in flat memory: for tens of thousands of them that come at once and change one at a time
// afterwards. A std::set of 24-byte values takes three times as much.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace weft {

/// Two runs of changes, short enough to insert into, lie over one long vector; they are merged into it when they are
/// full. insert, erase and find cost O(log n), and now and then O(n).
template <class T>
class FlatSet {
  public:
    /// False: it was there.
    bool insert(const T& value) {
        if (erase_from(gone_, value)) return true;
        if (has(settled_, value) || has(fresh_, value)) return false;
        insert_into(fresh_, value);
        return true;
    }
    /// False: it was not there.
    bool erase(const T& value) {
        if (erase_from(fresh_, value)) return true;
        if (!has(settled_, value) || has(gone_, value)) return false;
        insert_into(gone_, value);
        return true;
    }

    /// Calls `each` for the values from `first` on, in order, until it returns false. It must not change the set.
    template <class Each>
    void visit(const T& first, Each each) const {
        auto old = std::ranges::lower_bound(settled_, first);
        auto young = std::ranges::lower_bound(fresh_, first);
        while (old != settled_.end() || young != fresh_.end()) {
            if (young != fresh_.end() && (old == settled_.end() || *young < *old)) {
                if (!each(*young++)) return;
            } else {
                if (!has(gone_, *old) && !each(*old)) return;
                ++old;
            }
        }
    }
    /// All of them in order; O(n) after many changes.
    const std::vector<T>& values() {
        settle();
        return settled_;
    }

  private:
    static constexpr std::size_t kRun = 1024;
    /// Up to so many changes are made one by one.
    static constexpr std::size_t kFew = 64;

    static bool has(const std::vector<T>& run, const T& value) { return std::ranges::binary_search(run, value); }
    void insert_into(std::vector<T>& run, const T& value) {
        run.insert(std::ranges::lower_bound(run, value), value);
        if (run.size() >= kRun) settle();
    }
    static bool erase_from(std::vector<T>& run, const T& value) {
        const auto place = std::ranges::lower_bound(run, value);
        if (place == run.end() || *place != value) return false;
        run.erase(place);
        return true;
    }
    void settle() {
        if (fresh_.size() + gone_.size() <= kFew) {
            for (const T& value : fresh_) settled_.insert(std::ranges::lower_bound(settled_, value), value);
            for (const T& value : gone_) erase_from(settled_, value);
        } else {
            auto next = gone_.begin();
            std::erase_if(settled_, [&](const T& value) {
                next = std::lower_bound(next, gone_.end(), value);
                return next != gone_.end() && *next == value;
            });
            const auto middle = static_cast<std::ptrdiff_t>(settled_.size());
            settled_.reserve(settled_.size() + fresh_.size());
            settled_.insert(settled_.end(), fresh_.begin(), fresh_.end());
            std::inplace_merge(settled_.begin(), settled_.begin() + middle, settled_.end());
        }
        fresh_.clear();
        gone_.clear();
    }

    std::vector<T> settled_;  ///< sorted
    std::vector<T> fresh_;    ///< sorted, none of settled_
    std::vector<T> gone_;     ///< sorted, all of settled_
};

}  // namespace weft
