#include "daemon/line_editor.hpp"

#include <fmt/format.h>
#include <histedit.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/commands_grammar.hpp"

namespace weft {
namespace {

constexpr int kLinesKept = 1000;

std::string before_cursor(EditLine* editor) {
    const LineInfo* const line = el_line(editor);
    return {line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)};
}

/// What all of `words` (at least one) begin with.
std::string common_beginning(const std::vector<std::string>& words) {
    std::string common = words.front();
    for (const std::string& word : words) {
        const auto differs = std::mismatch(common.begin(), common.end(), word.begin(), word.end());
        common.erase(differs.first, common.end());
    }
    return common;
}

unsigned char complete(EditLine* editor, int) {
    const std::string line = before_cursor(editor);
    const std::vector<std::string> words = completions(line);
    if (words.empty()) return CC_ERROR;
    const std::size_t typed = line.size() - (line.find_last_of(" \t") + 1);  // npos + 1 is 0
    const std::string rest = common_beginning(words).substr(typed) + (words.size() == 1 ? " " : "");
    if (!rest.empty()) return el_insertstr(editor, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    fmt::print("\n");
    for (const std::string& word : words) fmt::print("{}  ", word);
    fmt::print("\n");
    std::fflush(stdout);
    return CC_REDISPLAY;
}

unsigned char explain(EditLine* editor, int) {
    const std::string line = before_cursor(editor);
    if (std::count(line.begin(), line.end(), '"') % 2 != 0) {  // in a file's name it is a letter
        return el_insertstr(editor, "?") == 0 ? CC_REFRESH : CC_ERROR;
    }
    fmt::print("\n");
    for (const Usage& usage : usages_of(line)) fmt::print("{:<32}{}\n", usage.pattern, usage.help);
    if (line.empty()) fmt::print("{:<32}{}\n", "quit", "leave (also: exit, Ctrl-D)");
    std::fflush(stdout);
    return CC_REDISPLAY;
}

}  // namespace

struct LineEditor::Implementation {
    std::string prompt;
    std::string history_file;
    History* history = nullptr;
    EditLine* editor = nullptr;

    int remember(int operation, const char* text) const {
        HistEvent event{};
        return ::history(history, &event, operation, text);  // NOLINT: libedit's interface
    }
};

// NOLINTBEGIN(cppcoreguidelines-pro-type-vararg): el_set and history are what libedit offers.
LineEditor::LineEditor(std::string prompt, std::string history_file) : implementation_(new Implementation) {
    Implementation& self = *implementation_;
    self.prompt = std::move(prompt);
    self.history_file = std::move(history_file);
    self.history = history_init();
    HistEvent event{};
    history(self.history, &event, H_SETSIZE, kLinesKept);
    history(self.history, &event, H_SETUNIQUE, 1);
    if (!self.history_file.empty()) self.remember(H_LOAD, self.history_file.c_str());

    self.editor = el_init("weftctl", stdin, stdout, stderr);
    el_set(self.editor, EL_CLIENTDATA, &self);
    el_set(
        self.editor, EL_PROMPT, +[](EditLine* editor) {
            void* data = nullptr;
            el_get(editor, EL_CLIENTDATA, &data);
            return static_cast<Implementation*>(data)->prompt.data();
        });
    el_set(self.editor, EL_EDITOR, "emacs");
    el_set(self.editor, EL_SIGNAL, 1);  // Ctrl-C gives the terminal back before it ends us
    el_set(self.editor, EL_HIST, history, self.history);
    el_set(self.editor, EL_ADDFN, "weft-complete", "complete the word", complete);
    el_set(self.editor, EL_ADDFN, "weft-explain", "what may be said", explain);
    el_set(self.editor, EL_BIND, "^I", "weft-complete", nullptr);
    el_set(self.editor, EL_BIND, "?", "weft-explain", nullptr);
    el_set(self.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(self.editor, nullptr);  // ~/.editrc, where people say vi
}
// NOLINTEND(cppcoreguidelines-pro-type-vararg)

LineEditor::~LineEditor() {
    el_end(implementation_->editor);
    history_end(implementation_->history);
}

std::optional<std::string> LineEditor::read() {
    const Implementation& self = *implementation_;
    int size = 0;
    const char* const text = el_gets(self.editor, &size);
    if (text == nullptr || size <= 0) return std::nullopt;
    std::string line(text, static_cast<std::size_t>(size));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) {
        self.remember(H_ENTER, line.c_str());
        if (!self.history_file.empty()) self.remember(H_SAVE, self.history_file.c_str());
    }
    return line;
}

}  // namespace weft
