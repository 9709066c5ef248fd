// Reading one statement's words: each call takes the next literal of the kind that belongs there, or throws Wrong with
// the place and what was expected.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "conf/syntax.hpp"

namespace weft::syntax {

/// Ends the reading of one statement; caught by the reader, which goes on with the next.
struct Wrong {
    Place place;
    std::string message;
};

/// Constants named by `define`, by name.
using Defines = std::map<std::string, Token>;

class Words {
  public:
    Words(const Statement& statement, const Defines& defines) : statement_(statement), defines_(defines) {}

    bool done() const { return at_ == statement_.words.size(); }
    /// Where the next word stands, or would have to.
    const Place& place() const { return done() ? statement_.end : statement_.words[at_].place; }
    const Place& start() const { return statement_.words.front().place; }

    /// Takes the next word if it is this one.
    bool accept(std::string_view word);
    void expect(std::string_view word);
    /// Takes one of these words.
    std::string one_of(const std::vector<std::string_view>& words);
    bool accept_comma();
    /// The statement has to end here.
    void end() const;

    std::string identifier(std::string_view what);
    std::string string(std::string_view what);
    std::uint32_t number(std::string_view what, std::uint32_t least, std::uint32_t most);
    bool yes_or_no();
    Address address(std::string_view what);
    Prefix prefix(std::string_view what);
    InterfaceAddress interface_address(std::string_view what);
    Mac mac();
    /// "10", "10 s", "500 ms"; a bare number is in seconds.
    std::chrono::milliseconds duration(std::string_view what);
    /// The raw literal, for `define`.
    Token literal();

  private:
    /// The next token with a defined name replaced by what it stands for.
    Token take(std::string_view what);
    [[noreturn]] void wrong(const Token& token, std::string_view what) const;

    const Statement& statement_;
    const Defines& defines_;
    std::size_t at_ = 0;
};

/// "'a', 'b' or 'c'".
std::string enumerate(const std::vector<std::string_view>& words);
/// " (did you mean 'vxlan'?)" for the candidate that is nearest to `word`, if one is near; else empty.
std::string suggestion(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace weft::syntax
