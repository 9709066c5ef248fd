#include "conf/syntax.hpp"

#include <fmt/format.h>

#include <tao/pegtl.hpp>

namespace weft::syntax {
namespace {

namespace pegtl = tao::pegtl;

/// Deeper than any statement of the language goes; a bound for what hostile files may ask of the stack.
constexpr int kDeepest = 8;

struct line_comment : pegtl::seq<pegtl::one<'#'>, pegtl::star<pegtl::not_one<'\n'>>> {};
struct block_comment : pegtl::seq<pegtl::string<'/', '*'>, pegtl::until<pegtl::string<'*', '/'>>> {};
struct open_comment : pegtl::seq<pegtl::string<'/', '*'>, pegtl::star<pegtl::any>> {};
struct text_string : pegtl::seq<pegtl::one<'"'>, pegtl::star<pegtl::not_one<'"', '\n'>>, pegtl::one<'"'>> {};
struct open_string : pegtl::seq<pegtl::one<'"'>, pegtl::star<pegtl::not_one<'"', '\n'>>> {};
struct comma : pegtl::one<','> {};
struct equals : pegtl::one<'='> {};
struct semicolon : pegtl::one<';'> {};
struct open_brace : pegtl::one<'{'> {};
struct close_brace : pegtl::one<'}'> {};
/// Everything else that a word may hold: printable, and neither punctuation nor the start of a comment.
struct word_byte : pegtl::seq<pegtl::not_at<pegtl::string<'/', '*'>>, pegtl::range<'!', '~'>> {};
struct word : pegtl::plus<pegtl::seq<pegtl::not_at<pegtl::one<';', '{', '}', '"', '#', ',', '='>>, word_byte>> {};
struct byte_order_mark : pegtl::string<'\xEF', '\xBB', '\xBF'> {};
struct strange
    : pegtl::plus<pegtl::seq<pegtl::not_at<pegtl::space>, pegtl::not_at<pegtl::range<'!', '~'>>, pegtl::any>> {};
struct blank : pegtl::plus<pegtl::space> {};
struct element : pegtl::sor<blank, line_comment, block_comment, open_comment, text_string, open_string, comma, equals,
                            semicolon, open_brace, close_brace, word, strange> {};
struct file : pegtl::seq<pegtl::opt<byte_order_mark>, pegtl::star<element>, pegtl::eof> {};

struct Lexed {
    std::string file;
    std::vector<Token> tokens;
    std::vector<Diagnostic> errors;

    template <class Input>
    Place place(const Input& in) const {
        const auto at = in.position();
        return {.file = file, .line = static_cast<unsigned>(at.line), .column = static_cast<unsigned>(at.column)};
    }
    template <class Input>
    void add(Token::Kind kind, const Input& in, std::string_view text) {
        tokens.push_back({.kind = kind, .text = std::string(text), .place = place(in)});
    }
    template <class Input>
    void wrong(const Input& in, std::string_view message) {
        errors.push_back(
            {.severity = Severity::error, .place = place(in), .message = std::string(message), .line_text = {}});
    }
};

template <class Rule>
struct Action : pegtl::nothing<Rule> {};

template <>
struct Action<word> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.add(Token::Kind::word, in, in.string());
    }
};
template <>
struct Action<equals> : Action<word> {};
template <>
struct Action<text_string> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        const std::string quoted = in.string();
        lexed.add(Token::Kind::string, in, quoted.substr(1, quoted.size() - 2));
    }
};
template <>
struct Action<comma> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.add(Token::Kind::comma, in, ",");
    }
};
template <>
struct Action<semicolon> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.add(Token::Kind::semicolon, in, ";");
    }
};
template <>
struct Action<open_brace> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.add(Token::Kind::open, in, "{");
    }
};
template <>
struct Action<close_brace> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.add(Token::Kind::close, in, "}");
    }
};
template <>
struct Action<open_comment> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.wrong(in, "the comment that starts here never ends: expected '*/'");
    }
};
template <>
struct Action<open_string> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.wrong(in, "the string that starts here has no closing '\"' on its line");
        lexed.add(Token::Kind::string, in, in.string().substr(1));
    }
};
template <>
struct Action<byte_order_mark> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        lexed.wrong(in, "the file starts with a byte order mark: save it as plain UTF-8 without one");
    }
};
template <>
struct Action<strange> {
    template <class Input>
    static void apply(const Input& in, Lexed& lexed) {
        const auto byte = static_cast<unsigned char>(*in.begin());
        lexed.wrong(in, fmt::format("a byte that has no place here (0x{:02x}): outside of strings and comments only "
                                    "ASCII is understood",
                                    byte));
    }
};

/// Statements from tokens. After an error it goes on behind the next ';' or at the next '}'.
class Statements {
  public:
    explicit Statements(Lexed& lexed) : lexed_(lexed) {}

    std::vector<Statement> file() {
        std::vector<Statement> all = until_close(0);
        while (!done()) {
            wrong(here().place, "a '}' that closes nothing");
            ++at_;
            for (Statement& statement : until_close(0)) all.push_back(std::move(statement));
        }
        return all;
    }

  private:
    bool done() const { return at_ == lexed_.tokens.size(); }
    const Token& here() const { return lexed_.tokens[at_]; }
    void wrong(const Place& place, std::string message) {
        lexed_.errors.push_back(
            {.severity = Severity::error, .place = place, .message = std::move(message), .line_text = {}});
    }

    /// Just behind the last token that was read.
    Place behind() const {
        const Token& last = lexed_.tokens[at_ - 1];
        Place place = last.place;
        place.column += static_cast<unsigned>(last.text.size()) + (last.kind == Token::Kind::string ? 2 : 0);
        return place;
    }

    std::vector<Statement> until_close(int depth) {
        std::vector<Statement> statements;
        while (!done() && here().kind != Token::Kind::close) {
            if (here().kind == Token::Kind::semicolon) {
                ++at_;  // an empty statement, as after a block's '}'
                continue;
            }
            if (here().kind == Token::Kind::open) {
                wrong(here().place, "a '{' without a keyword before it");
                skip_block();
                continue;
            }
            read_one(depth, statements);
        }
        return statements;
    }

    void read_one(int depth, std::vector<Statement>& statements) {
        Statement statement;
        // `log` alone has braces that hold a list and not statements: they are words of it.
        const bool list = here().text == "log";
        while (!done() && (here().kind <= Token::Kind::comma ||
                           (list && (here().kind == Token::Kind::open || here().kind == Token::Kind::close)))) {
            statement.words.push_back(lexed_.tokens[at_++]);
            if (list && statement.words.back().kind > Token::Kind::comma) {
                statement.words.back().kind = Token::Kind::word;
            }
        }
        if (done() || here().kind == Token::Kind::close) {
            wrong(behind(), fmt::format("expected ';' after '{}'", statement.words.back().text));
            return;
        }
        statement.end = here().place;
        if (here().kind == Token::Kind::semicolon) {
            ++at_;
        } else if (depth == kDeepest) {
            wrong(here().place, fmt::format("blocks are nested more than {} deep", kDeepest));
            skip_block();
            return;
        } else {
            statement.has_block = true;
            const Place opened = here().place;
            ++at_;
            statement.block = until_close(depth + 1);
            if (done()) {
                wrong(opened, "the block that starts here is never closed: expected '}'");
            } else {
                ++at_;
            }
        }
        statements.push_back(std::move(statement));
    }

    /// Past the '}' that belongs to the '{' here.
    void skip_block() {
        int depth = 0;
        for (; !done(); ++at_) {
            if (here().kind == Token::Kind::open) ++depth;
            if (here().kind == Token::Kind::close && --depth == 0) {
                ++at_;
                return;
            }
        }
    }

    Lexed& lexed_;
    std::size_t at_ = 0;
};

}  // namespace

Parsed parse(std::string_view text, const std::string& file_name) {
    Lexed lexed{.file = file_name, .tokens = {}, .errors = {}};
    pegtl::memory_input<pegtl::tracking_mode::eager, pegtl::eol::lf> input(text.data(), text.data() + text.size(),
                                                                           file_name);
    pegtl::parse<file, Action>(input, lexed);
    Statements statements(lexed);
    Parsed parsed;
    parsed.statements = statements.file();
    parsed.errors = std::move(lexed.errors);
    return parsed;
}

}  // namespace weft::syntax
