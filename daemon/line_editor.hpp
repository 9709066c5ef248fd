// weftctl's command line on a terminal: editing, history and completion, by libedit.
//
// Tab completes a keyword, or shows what may stand there; `?` shows the commands that what was typed may become.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace weft {

class LineEditor {
  public:
    /// `history_file` is read now and written after each line; empty: no history is kept.
    LineEditor(std::string prompt, std::string history_file);
    ~LineEditor();
    LineEditor(const LineEditor&) = delete;
    LineEditor& operator=(const LineEditor&) = delete;

    /// The next line without its newline; nullopt at the end (Ctrl-D).
    std::optional<std::string> read();

  private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace weft
