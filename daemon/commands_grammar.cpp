#include "daemon/commands_grammar.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace weft {
namespace {

/// Words in lower case are keywords, in upper case arguments. Those without a help text are variants of one that has.
struct Pattern {
    CommandId id;
    std::string_view words;
    std::string_view help;
    bool json = false;
};

constexpr auto kPatterns = [] {
    using enum CommandId;
    return std::array{
        Pattern{show_status, "show status", "what this daemon is, whether it is ready and why not", true},
        Pattern{show_nodes, "show nodes", "the cluster's nodes and how each is reached", true},
        Pattern{show_pools, "show pools", "the pools, their encapsulation, and whether the mode serves them", true},
        Pattern{show_blocks, "show blocks", "each block, its node and the path to it", true},
        Pattern{show_tunnels, "show tunnels", "the tunnel devices and the remote ends", true},
        Pattern{show_routes, "show routes", "weft's routes, wanted and in the kernel", true},
        Pattern{show_routes, "show routes for ADDRESS", "the routes that hold this address", true},
        Pattern{show_bgp, "show bgp", "BIRD and its sessions", true},
        Pattern{show_protocols, "show protocols", "the same as a table in BIRD's form", true},
        Pattern{show_protocols, "show protocols all", "", true},
        Pattern{show_config, "show config", "every setting and where its value comes from", true},
        Pattern{show_events, "show events", "what was changed lately, and why", true},
        Pattern{explain, "explain ADDRESS", "how packets to this address leave this node, why, and what is wrong",
                true},
        Pattern{plan, "plan", "what reading the configuration again would change", true},
        Pattern{plan, "plan FILE", "what another configuration would change", true},
        Pattern{configure, "configure", "read the configuration again"},
        Pattern{configure, "configure FILE", "run another configuration"},
        Pattern{configure_check, "configure check", "only say what is wrong with it"},
        Pattern{configure_check, "configure check FILE", ""},
        Pattern{configure_timeout, "configure timeout", ""},
        Pattern{configure_timeout, "configure timeout SECONDS", "read it again; undone unless confirmed in time"},
        Pattern{configure_timeout, "configure FILE timeout", ""},
        Pattern{configure_timeout, "configure FILE timeout SECONDS", ""},
        Pattern{configure_confirm, "configure confirm", "keep what `configure timeout` has set"},
        Pattern{configure_undo, "configure undo", "back to the configuration before the last one"},
        Pattern{source_accept, "accept source", "follow at once what the source says and weft holds back"},
        Pattern{node_remove, "node remove NAME", "free the blocks and addresses of a node that is gone (source etcd)"},
        Pattern{ready, "ready", "whether this node is ready, as the exit status too", true},
        Pattern{ready_bgp, "ready --bgp", "the same, BGP asked for in any mode", true},
        Pattern{ready_no_bgp, "ready --no-bgp", "the same, whatever BGP does", true},
        Pattern{help, "help", "this list"},
        Pattern{help, "?", ""},
    };
}();

struct Word {
    std::string text;
    bool quoted = false;
};

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (end > 0) words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

bool is_keyword(std::string_view word) {
    return word.front() < 'A' || word.front() > 'Z';
}

Result<std::vector<Word>> words_of(std::string_view line) {
    std::vector<Word> words;
    std::size_t at = 0;
    while (at < line.size()) {
        if (line[at] == ' ' || line[at] == '\t') {
            ++at;
        } else if (line[at] == '"') {
            const std::size_t end = line.find('"', at + 1);
            if (end == std::string_view::npos) return Error{"a closing \" is missing"};
            words.push_back({.text = std::string(line.substr(at + 1, end - at - 1)), .quoted = true});
            at = end + 1;
        } else {
            const std::size_t end = std::min(line.find_first_of(" \t\"", at), line.size());
            words.push_back({.text = std::string(line.substr(at, end - at))});
            at = end;
        }
    }
    return words;
}

/// Whether `word` can be this argument. A file's name without quotes has to look like one, so that a misspelt keyword
/// is not taken for a file.
bool fits(const Word& word, std::string_view argument) {
    if (argument == "FILE")
        return word.quoted ? !word.text.empty() : word.text.find_first_of("./") != std::string::npos;
    if (word.quoted || word.text.empty()) return false;
    if (argument == "NAME") {
        return word.text.size() <= 253 && std::all_of(word.text.begin(), word.text.end(), [](unsigned char c) {
                   return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
               });
    }
    if (argument == "ADDRESS") return word.text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos;
    return word.text.size() <= 6 && word.text.find_first_not_of("0123456789") == std::string::npos;  // SECONDS
}

/// The patterns still possible, each split into words.
struct Candidate {
    const Pattern* pattern;
    std::vector<std::string_view> words;
};

std::vector<Candidate> all_candidates() {
    std::vector<Candidate> all;
    all.reserve(kPatterns.size());
    for (const Pattern& pattern : kPatterns) all.push_back({&pattern, split(pattern.words)});
    return all;
}

/// What may stand at this place, each once.
std::vector<std::string_view> expected_at(const std::vector<Candidate>& candidates, std::size_t place) {
    std::vector<std::string_view> all;
    for (const Candidate& candidate : candidates) {
        if (candidate.words.size() <= place) continue;
        const auto word = candidate.words[place];
        if (std::find(all.begin(), all.end(), word) == all.end()) all.push_back(word);
    }
    return all;
}

void keep(std::vector<Candidate>& candidates, std::size_t place, std::string_view word) {
    std::erase_if(candidates, [&](const Candidate& candidate) {
        return candidate.words.size() <= place || candidate.words[place] != word;
    });
}

std::string wanted(const std::vector<Candidate>& candidates, std::size_t place) {
    const auto words = expected_at(candidates, place);
    if (words.empty()) return "nothing more may stand here";
    return fmt::format("expected {}", fmt::join(words, " | "));
}

/// The pattern's word that `word` stands for; nullopt in the place of a value: none.
Result<std::string_view> resolve(const std::vector<Candidate>& candidates, std::size_t place, const Word& word) {
    std::vector<std::string_view> starts;
    const auto expected = expected_at(candidates, place);
    for (const auto keyword : expected) {
        if (word.quoted || !is_keyword(keyword) || !keyword.starts_with(word.text)) continue;
        if (keyword == word.text) return keyword;
        starts.push_back(keyword);
    }
    if (starts.size() == 1) return starts.front();
    if (starts.size() > 1) {
        return Error{fmt::format("'{}' is ambiguous: {}", word.text, fmt::join(starts, ", "))};
    }
    for (const auto argument : expected) {
        if (!is_keyword(argument) && fits(word, argument)) return argument;
    }
    return Error{fmt::format("'{}' is not understood: {}", word.text, wanted(candidates, place))};
}

/// A line that is being typed: the patterns that its complete words leave, and the incomplete one (empty after a space)
/// with its place.
struct Begun {
    std::vector<Candidate> candidates;
    std::string last;
    std::size_t place = 0;
};

/// nullopt: its complete words begin no command.
std::optional<Begun> begun_by(std::string_view line) {
    auto words = words_of(line);
    if (!words) return std::nullopt;
    Begun begun{.candidates = all_candidates(), .last = {}, .place = 0};
    if (!words->empty() && line.back() != ' ' && line.back() != '\t') {
        begun.last = words->back().text;
        words->pop_back();
    }
    for (; begun.place < words->size(); ++begun.place) {
        const auto resolved = resolve(begun.candidates, begun.place, (*words)[begun.place]);
        if (!resolved) return std::nullopt;
        keep(begun.candidates, begun.place, *resolved);
    }
    return begun;
}

void take(Command& command, std::string_view argument, const Word& word) {
    if (argument == "FILE") command.file = word.text;
    if (argument == "ADDRESS") command.address = word.text;
    if (argument == "SECONDS") command.seconds = word.text;
    if (argument == "NAME") command.node = word.text;
}

}  // namespace

Result<Command> parse_command(std::string_view line) {
    auto words = words_of(line);
    if (!words) return words.error();
    Command command;
    if (words->size() > 1 && words->back().text == "json" && !words->back().quoted) {
        command.json = true;
        words->pop_back();
    }
    auto candidates = all_candidates();
    for (std::size_t place = 0; place < words->size(); ++place) {
        const Word& word = (*words)[place];
        const auto resolved = resolve(candidates, place, word);
        if (!resolved) return resolved.error();
        if (!is_keyword(*resolved)) take(command, *resolved, word);
        keep(candidates, place, *resolved);
    }
    const auto whole = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
        return candidate.words.size() == words->size();
    });
    if (whole == candidates.end())
        return Error{fmt::format("incomplete command: {}", wanted(candidates, words->size()))};
    if (command.json && !whole->pattern->json) {
        return Error{fmt::format("'{}' has no JSON form", whole->pattern->words)};
    }
    command.id = whole->pattern->id;
    return command;
}

std::string to_string(const Command& command) {
    // Of a command's patterns the one that has exactly the arguments that are there.
    for (const Pattern& pattern : kPatterns) {
        if (pattern.id != command.id) continue;
        std::string text;
        const std::string_view words = pattern.words;
        const auto has = [&](std::string_view argument) { return words.find(argument) != std::string_view::npos; };
        if (has("FILE") == command.file.empty() || has("ADDRESS") == command.address.empty() ||
            has("SECONDS") == command.seconds.empty() || has("NAME") == command.node.empty()) {
            continue;
        }
        for (const auto word : split(words)) {
            if (!text.empty()) text += ' ';
            if (word == "FILE") {
                text += '"' + command.file + '"';
            } else if (word == "ADDRESS") {
                text += command.address;
            } else if (word == "SECONDS") {
                text += command.seconds;
            } else if (word == "NAME") {
                text += command.node;
            } else {
                text += word;
            }
        }
        return command.json ? text + " json" : text;
    }
    return {};
}

std::vector<std::string> completions(std::string_view line) {
    const auto begun = begun_by(line);
    if (!begun) return {};
    std::vector<std::string> found;
    for (const auto word : expected_at(begun->candidates, begun->place)) {
        if (is_keyword(word) && word.starts_with(begun->last)) found.emplace_back(word);
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<Usage> usages_of(std::string_view line) {
    const auto begun = begun_by(line);
    if (!begun) return {};
    std::vector<Usage> all;
    for (const Candidate& candidate : begun->candidates) {
        const bool may_follow =
            candidate.words.size() > begun->place
                ? !is_keyword(candidate.words[begun->place]) || candidate.words[begun->place].starts_with(begun->last)
                : begun->last.empty();
        if (may_follow && !candidate.pattern->help.empty()) {
            all.push_back({candidate.pattern->words, candidate.pattern->help});
        }
    }
    return all;
}

std::vector<Usage> usages() {
    std::vector<Usage> all;
    for (const Pattern& pattern : kPatterns) {
        if (!pattern.help.empty()) all.push_back({pattern.words, pattern.help});
    }
    return all;
}

}  // namespace weft
