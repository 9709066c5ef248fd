// weftctl: asks weftd over its control socket, one command or interactively; resources in etcd it reads and writes
// itself (daemon/weftctl_resources.hpp).
//
// Exit status: 0 it worked, 1 it did not; `plan`: 0 nothing to do, 2 changes, 1 error; `ready`: 0 ready, 1 not;
// `explain`: 0 all is right, 1 something is wrong. Of several commands from a pipe: the highest.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "daemon/commands_grammar.hpp"
#include "daemon/line_editor.hpp"
#include "daemon/weftctl_connection.hpp"
#include "daemon/weftctl_resources.hpp"

namespace weft {
namespace {

constexpr const char* kUsage =
    "weftctl asks weftd what it does and tells it what to do.\n"
    "Without a command it is interactive. `weftctl help` lists the commands; their words can be cut short.\n"
    "apply, get and delete are for resources in etcd, with or without a weftd: `weftctl get --help`.\n"
    "Exit status: 0 it worked, 1 it did not; plan: 0 nothing to do, 2 changes; ready: 0 ready, 1 not;\n"
    "explain: 0 all is right, 1 something is wrong.";

/// The command as sent: keywords in full, a file's name absolute, because weftd has another working directory. What
/// is not understood here goes as it is, so that the daemon says what is wrong with it.
std::string canonical(const std::string& line, bool json) {
    auto command = parse_command(line);
    if (!command) return json ? line + " json" : line;
    if (!command->file.empty()) command->file = std::filesystem::absolute(command->file).lexically_normal();
    command->json = command->json || json;
    return to_string(*command);
}

std::string line_of(const std::vector<std::string>& words) {
    if (words.size() == 1) return words.front();  // `weftctl 'show status'`
    std::string line;
    for (const std::string& word : words) {
        if (!line.empty()) line += ' ';
        line += word.find(' ') == std::string::npos ? word : '"' + word + '"';
    }
    return line;
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> std::quoted(word);) words.push_back(word);
    return words;
}

/// The arguments whose command, the first word that is no option, is one of apply, get and delete.
std::optional<std::vector<std::string>> resource_arguments(int argc, char** argv) {
    std::vector<std::string> all(argv + 1, argv + argc);
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i] == "-s" || all[i] == "--socket" || all[i] == "-c" || all[i] == "--config") {
            ++i;
        } else if (!all[i].starts_with('-')) {
            if (is_resource_command(all[i])) return all;
            break;
        }
    }
    return std::nullopt;
}

int status_of(unsigned code) {
    if (code >= 8000) return 1;
    return code == code::kChanges ? 2 : 0;
}

class Output {
  public:
    void row(const Line& line) const {
        const bool heading = line.code / 1000 == 2;
        write(line.text, heading ? "\033[1m" : nullptr, stdout);
    }
    /// The last line: an error goes to stderr, a word of success is said on its own.
    void last(const Line& line, bool json) const {
        if (line.text.empty()) return;
        // These two are answers, not failures to answer.
        if (line.code == code::kNotReady || line.code == code::kSomethingWrong) {
            if (!json) write(line.text, "\033[31m", stdout);
            return;
        }
        if (line.code >= 8000) return write(line.text, "\033[31m", stderr);
        if (!json) write(line.text, nullptr, stdout);
    }

  private:
    static void write(const std::string& text, const char* colour, std::FILE* to) {
        if (colour != nullptr && isatty(fileno(to)) == 1) {
            fmt::print(to, "{}{}\033[0m\n", colour, text);
        } else {
            fmt::print(to, "{}\n", text);
        }
    }
};

int fail(const Error& error) {
    fmt::print(stderr, "weftctl: {}\n", error.message);
    return 1;
}

/// Those of the commands that weftctl does itself.
void help_with_resources() {
    for (const ResourceUsage& usage : resource_usages()) fmt::print("{:<32}{}\n", usage.pattern, usage.help);
}

/// Says `line` and prints what is answered; the exit status. An error: the connection is of no use any more.
Result<int> ask(Connection& connection, const std::string& line, bool json) {
    const Output output;
    if (canonical(line, false) == "help") help_with_resources();
    const auto last = connection.ask(canonical(line, json), [&](const Line& each) { output.row(each); });
    if (!last) return last.error();
    output.last(*last, json);
    return status_of(last->code);
}

int one_shot(const std::string& socket, const std::string& line, bool json) {
    auto connection = Connection::open(socket);
    if (!connection) return fail(connection.error());
    const auto status = ask(*connection, line, json);
    return status ? *status : fail(status.error());
}

/// Where lines come from: a terminal, with all that belongs to it, or a pipe.
class Input {
  public:
    Input() {
        if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) return;
        const char* const home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): one thread
        editor_.emplace("weft> ", home == nullptr ? "" : std::string(home) + "/.weftctl_history");
    }
    bool terminal() const { return editor_.has_value(); }
    std::optional<std::string> next() {
        if (editor_) return editor_->read();
        std::string line;
        if (!std::getline(std::cin, line)) return std::nullopt;
        return line;
    }

  private:
    std::optional<LineEditor> editor_;
};

/// Commands until the end of input. When weftd was restarted meanwhile, the next command connects anew.
int interactive(const std::string& socket, const std::string& config, bool json) {
    auto first = Connection::open(socket);
    if (!first) return fail(first.error());
    std::optional<Connection> connection(*std::move(first));
    Input input;
    if (input.terminal()) fmt::print("{} `?` shows the commands, `quit` leaves.\n", connection->greeting());
    int worst = 0;
    while (const auto line = input.next()) {
        if (line->find_first_not_of(" \t") == std::string::npos) continue;
        if (*line == "quit" || *line == "exit") break;
        if (auto words = words_of(*line); !words.empty() && is_resource_command(words.front())) {
            words.insert(words.begin(), {"-c", config});
            worst = std::max(worst, resource_command(words));
            std::fflush(stdout);
            continue;
        }
        if (!connection) {
            auto again = Connection::open(socket);
            if (!again) {
                worst = fail(again.error());
                continue;
            }
            connection.emplace(*std::move(again));
        }
        const auto status = ask(*connection, *line, json);
        if (!status) connection.reset();
        worst = std::max(worst, status ? *status : fail(status.error()));
        std::fflush(stdout);
    }
    if (input.terminal()) fmt::print("\n");
    return input.terminal() ? 0 : worst;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    if (const auto arguments = weft::resource_arguments(argc, argv)) return weft::resource_command(*arguments);
    std::string socket = "/run/weft/weft.ctl";
    std::string config = weft::kConfigFile;
    bool json = false;
    std::vector<std::string> words;
    CLI::App app(weft::kUsage);
    app.name("weftctl");
    app.set_version_flag("--version", "weftctl " WEFT_VERSION);
    app.add_option("-s,--socket", socket, "weftd's control socket")->capture_default_str()->take_last();
    app.add_option("-c,--config", config, "The weft.conf that says where etcd is; for apply, get and delete")
        ->capture_default_str()
        ->take_last();
    app.add_flag("--json", json, "JSON, one object a line, from what has it: show, plan, explain, ready");
    app.prefix_command();  // `ready --bgp` is a word of the command
    app.add_option("command", words, "The command");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& wrong) {
        return app.exit(wrong) == 0 ? 0 : 1;
    }
    for (const std::string& word : app.remaining()) words.push_back(word);
    if (!words.empty() && words.back() == "--json") {
        json = true;
        words.pop_back();
    }
    return words.empty() ? weft::interactive(socket, config, json) : weft::one_shot(socket, weft::line_of(words), json);
}
