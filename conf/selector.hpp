// Calico's selectors: expressions over an object's labels, such as
// `has(rack) && zone in {"a", "b"} && !(role == 'storage')`.
//
// Grammar: or: and ('||' and)* ; and: not ('&&' not)* ; not: '!' not | '(' or ')' | term ;
// term: all() | global() | has(KEY) | KEY == 'V' | KEY != 'V' | KEY in {...} | KEY not in {...}
//     | KEY contains 'V' | KEY starts with 'V' | KEY ends with 'V'.
// A label that is missing makes `!=` and `not in` true, everything else false.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/result.hpp"

namespace weft {

/// Sorted by key, unique.
using Labels = std::vector<std::pair<std::string, std::string>>;

class Selector {
  public:
    /// Everything.
    Selector();
    /// At most 1024 characters, as Calico has it. An empty text selects everything.
    static Result<Selector> parse(std::string_view text);

    bool matches(const Labels& labels) const { return matches(0, labels); }
    /// True for `all()` as such: no label has to be looked at.
    bool is_all() const { return steps_.front().kind == Kind::all; }
    const std::string& text() const { return text_; }
    bool operator==(const Selector& other) const { return text_ == other.text_; }

  private:
    enum class Kind : std::uint8_t {
        all,
        both,
        either,
        negate,
        has,
        equal,
        unequal,
        in,
        not_in,
        contains,
        starts,
        ends
    };
    struct Step {
        Kind kind = Kind::all;
        std::string key;
        std::vector<std::string> values;
        std::size_t left = 0;  ///< of both, either, negate: indices into steps_
        std::size_t right = 0;
    };
    class Parser;
    bool matches(std::size_t step, const Labels& labels) const;

    std::string text_ = "all()";
    std::vector<Step> steps_;  ///< the first is the root
};

}  // namespace weft
