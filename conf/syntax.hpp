// The lexical level of weft.conf: text -> tokens -> statements with their places.
//
// PEGTL knows what a token is; statements are then a matter of ';' and braces, taken apart by hand so that the reader
// can go on after an error at the next ';' or '}'. What the words mean is not known here (conf/reader.cpp).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/config.hpp"

namespace weft::syntax {

struct Token {
    enum class Kind : std::uint8_t { word, string, comma, semicolon, open, close };
    Kind kind = Kind::word;
    std::string text;  ///< a string's without its quotes
    Place place;
};

/// `words ;` or `words { statements }`.
struct Statement {
    std::vector<Token> words;  ///< words, strings and commas; never empty
    std::vector<Statement> block;
    bool has_block = false;
    Place end;  ///< of the ';' or '{' after the words, for "expected ... here"
};

struct Parsed {
    std::vector<Statement> statements;
    std::vector<Diagnostic> errors;  ///< `line_text` not yet filled in
};

/// Never fails as a whole: what can be understood is in `statements`, the rest in `errors`. O(text).
Parsed parse(std::string_view text, const std::string& file);

}  // namespace weft::syntax
