#include "conf/selector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace weft {
namespace {

constexpr std::size_t kLongest = 1024;
constexpr int kDeepest = 32;

struct Wrong {
    std::string message;
};

bool is_key(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == '/';
}

}  // namespace

/// Recursive descent; throws Wrong.
class Selector::Parser {
  public:
    explicit Parser(std::string_view text) : rest_(text) {}

    std::vector<Step> run() {
        steps_.emplace_back();  // the root's place
        Step root = either(0);
        skip();
        if (!rest_.empty()) wrong("an operator or the end");
        steps_.front() = std::move(root);
        return std::move(steps_);
    }

  private:
    [[noreturn]] void wrong(std::string_view expected) const {
        throw Wrong{rest_.empty() ? fmt::format("expected {} at the end", expected)
                                  : fmt::format("expected {} at '{}'", expected, rest_.substr(0, 20))};
    }
    void skip() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    }
    bool accept(std::string_view sign) {
        skip();
        if (!rest_.starts_with(sign)) return false;
        rest_.remove_prefix(sign.size());
        return true;
    }
    void expect(std::string_view sign) {
        if (!accept(sign)) wrong(fmt::format("'{}'", sign));
    }
    std::size_t keep(Step step) {
        steps_.push_back(std::move(step));
        return steps_.size() - 1;
    }

    Step joined(Kind kind, std::string_view sign, int depth) {
        Step left = kind == Kind::either ? joined(Kind::both, "&&", depth) : negation(depth);
        while (accept(sign)) {
            Step right = kind == Kind::either ? joined(Kind::both, "&&", depth) : negation(depth);
            const std::size_t first = keep(std::move(left));
            left = Step{.kind = kind, .key = {}, .values = {}, .left = first, .right = keep(std::move(right))};
        }
        return left;
    }
    Step either(int depth) { return joined(Kind::either, "||", depth); }
    Step negation(int depth) {
        if (depth > kDeepest) throw Wrong{fmt::format("nested more than {} deep", kDeepest)};
        skip();
        if (rest_.starts_with("!") && !rest_.starts_with("!=")) {
            accept("!");
            const std::size_t inner = keep(negation(depth + 1));
            return {.kind = Kind::negate, .key = {}, .values = {}, .left = inner};
        }
        if (accept("(")) {
            Step inner = either(depth + 1);
            expect(")");
            return inner;
        }
        return term();
    }

    std::string key() {
        skip();
        std::size_t size = 0;
        while (size < rest_.size() && is_key(rest_[size])) ++size;
        if (size == 0) wrong("a label's name");
        std::string name(rest_.substr(0, size));
        rest_.remove_prefix(size);
        return name;
    }
    std::string value() {
        skip();
        if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) wrong("a string in quotes");
        const std::size_t end = rest_.find(rest_.front(), 1);
        if (end == std::string_view::npos) throw Wrong{"a closing quote is missing"};
        std::string text(rest_.substr(1, end - 1));
        rest_.remove_prefix(end + 1);
        return text;
    }
    std::vector<std::string> values() {
        expect("{");
        std::vector<std::string> all;
        if (accept("}")) return all;
        do {
            all.push_back(value());
        } while (accept(","));
        expect("}");
        return all;
    }

    Step term() {
        std::string name = key();
        if ((name == "all" || name == "global") && accept("(")) {
            expect(")");
            if (name == "global") throw Wrong{"global() selects no node"};
            return {};
        }
        if (name == "has" && accept("(")) {
            Step step{.kind = Kind::has, .key = key(), .values = {}};
            expect(")");
            return step;
        }
        const auto with = [&](Kind kind) { return Step{.kind = kind, .key = std::move(name), .values = {value()}}; };
        if (accept("==")) return with(Kind::equal);
        if (accept("!=")) return with(Kind::unequal);
        const std::string word = key();
        if (word == "contains") return with(Kind::contains);
        if (word == "in") return {.kind = Kind::in, .key = std::move(name), .values = values()};
        if (word == "not" && key() == "in") return {.kind = Kind::not_in, .key = std::move(name), .values = values()};
        if (word == "starts" && key() == "with") return with(Kind::starts);
        if (word == "ends" && key() == "with") return with(Kind::ends);
        throw Wrong{fmt::format("'{}' is no operator", word)};
    }

    std::string_view rest_;
    std::vector<Step> steps_;
};

Selector::Selector() : steps_(1) {}

Result<Selector> Selector::parse(std::string_view text) {
    if (text.size() > kLongest) return Error{fmt::format("a selector has at most {} characters", kLongest)};
    Selector selector;
    if (text.find_first_not_of(" \t") == std::string_view::npos) return selector;
    try {
        selector.steps_ = Parser(text).run();
        selector.text_ = text;
        return selector;
    } catch (const Wrong& failure) {
        return Error{fmt::format("no selector: {}", failure.message)};
    }
}

bool Selector::matches(std::size_t step, const Labels& labels) const {
    const Step& now = steps_[step];
    if (now.kind == Kind::all) return true;
    if (now.kind == Kind::both) return matches(now.left, labels) && matches(now.right, labels);
    if (now.kind == Kind::either) return matches(now.left, labels) || matches(now.right, labels);
    if (now.kind == Kind::negate) return !matches(now.left, labels);
    const auto at = std::lower_bound(labels.begin(), labels.end(), now.key,
                                     [](const auto& label, const std::string& key) { return label.first < key; });
    if (at == labels.end() || at->first != now.key) return now.kind == Kind::unequal || now.kind == Kind::not_in;
    const std::string& value = at->second;
    const bool listed = std::find(now.values.begin(), now.values.end(), value) != now.values.end();
    switch (now.kind) {
        case Kind::has:
            return true;
        case Kind::equal:
        case Kind::in:
            return listed;
        case Kind::unequal:
        case Kind::not_in:
            return !listed;
        case Kind::contains:
            return value.find(now.values.front()) != std::string::npos;
        case Kind::starts:
            return value.starts_with(now.values.front());
        default:
            return value.ends_with(now.values.front());
    }
}

}  // namespace weft
