#include <fmt/format.h>

#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "bgp/config_file.hpp"
#include "daemon/bgp_side.hpp"

namespace weft {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

using Lines = std::vector<std::string_view>;

/// The end of the furthest path on each diagonal after each number of edits (Myers, "An O(ND) Difference Algorithm").
using Reach = std::map<std::ptrdiff_t, std::ptrdiff_t>;

bool goes_down(const Reach& reach, std::ptrdiff_t edits, std::ptrdiff_t diagonal) {
    return diagonal == -edits || (diagonal != edits && reach.at(diagonal - 1) < reach.at(diagonal + 1));
}

/// Beyond so many edits nobody reads them one by one, and the search would cost their square.
constexpr std::ptrdiff_t kMostEdits = 2'000;

/// Empty: more than kMostEdits.
std::vector<Reach> search(const Lines& before, const Lines& after) {
    const auto rows = static_cast<std::ptrdiff_t>(before.size());
    const auto columns = static_cast<std::ptrdiff_t>(after.size());
    std::vector<Reach> history;
    Reach reach{{1, 0}};
    for (std::ptrdiff_t edits = 0; edits <= kMostEdits; ++edits) {
        history.push_back(reach);
        for (std::ptrdiff_t diagonal = -edits; diagonal <= edits; diagonal += 2) {
            std::ptrdiff_t x = goes_down(reach, edits, diagonal) ? reach.at(diagonal + 1) : reach.at(diagonal - 1) + 1;
            while (x < rows && x - diagonal < columns && x - diagonal >= 0 &&
                   before[static_cast<std::size_t>(x)] == after[static_cast<std::size_t>(x - diagonal)]) {
                ++x;
            }
            reach[diagonal] = x;
            if (x >= rows && x - diagonal >= columns) return history;
        }
    }
    return {};
}

}  // namespace

std::string line_difference(std::string_view before, std::string_view after) {
    Lines old_lines = lines_of(before);
    Lines new_lines = lines_of(after);
    while (!old_lines.empty() && !new_lines.empty() && old_lines.back() == new_lines.back()) {
        old_lines.pop_back();
        new_lines.pop_back();
    }
    const std::vector<Reach> history = search(old_lines, new_lines);
    if (history.empty()) return fmt::format("-{} lines\n+{} lines", old_lines.size(), new_lines.size());
    auto x = static_cast<std::ptrdiff_t>(old_lines.size());
    auto y = static_cast<std::ptrdiff_t>(new_lines.size());
    std::vector<std::string> backwards;
    for (auto edits = static_cast<std::ptrdiff_t>(history.size()) - 1; edits > 0; --edits) {
        const Reach& reach = history[static_cast<std::size_t>(edits)];
        const std::ptrdiff_t diagonal = x - y;
        const bool down = goes_down(reach, edits, diagonal);
        const std::ptrdiff_t from = down ? diagonal + 1 : diagonal - 1;
        x = reach.at(from);
        y = x - from;
        backwards.push_back(down ? "+" + std::string(new_lines[static_cast<std::size_t>(y)])
                                 : "-" + std::string(old_lines[static_cast<std::size_t>(x)]));
    }
    std::string text;
    for (auto line = backwards.rbegin(); line != backwards.rend(); ++line) {
        if (!text.empty()) text += '\n';
        text += *line;
    }
    return text;
}

std::string bird_difference(const Config& config, const Cluster& cluster) {
    std::ifstream in(BirdFiles(config.state_directory.value).live(), std::ios::binary);
    std::ostringstream content;
    content << in.rdbuf();
    const std::string before = content.str();
    const bool wanted = config.backend.value == Backend::bird && cluster.find_node(config.hostname.value) != nullptr;
    if (!wanted) return before.empty() ? std::string{} : "-all of BIRD's configuration: BIRD ends";
    const std::string after = bird_config(config, cluster).text;
    if (before.empty()) return fmt::format("+BIRD starts, with a configuration of {} lines", lines_of(after).size());
    return without_passwords(without_passwords(line_difference(before, after), before), after);
}

}  // namespace weft
