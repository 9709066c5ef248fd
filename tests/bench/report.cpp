#include "tests/bench/report.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdio>
#include <thread>

namespace weft::bench {

void Report::add(const std::string& size, const std::string& what, const Figures& figures) {
    rows_.push_back({{"size", size}, {"case", what}, {"figures", figures}});
    if (!table_) return;
    std::string text;
    for (const auto& [name, value] : figures) {
        text += fmt::format("{}{} {:.4g}", text.empty() ? "" : ",  ", name, value);
    }
    fmt::print("{:<24} {:<14} {}\n", size, what, text);
    std::fflush(stdout);
}

void Report::note(const std::string& text) {
    notes_.push_back(text);
    if (table_) fmt::print("  ({})\n", text);
}

void Report::goal(const std::string& what, double value, Bound bound, double limit) {
    goals_.push_back({.what = what, .value = value, .bound = bound, .limit = limit});
}

void Report::finish() const {
    if (!table_ || goals_.empty()) return;
    fmt::print("\n{:<58} {:>10} {:>16}\n", "goal", "measured", "wanted");
    for (const Goal& goal : goals_) {
        fmt::print("{:<58} {:>10.4g} {:>16}  {}\n", goal.what, goal.value,
                   fmt::format("{} {:.4g}", goal.bound == Bound::at_most ? "at most" : "at least", goal.limit),
                   goal.met() ? "met" : "NOT MET");
    }
}

nlohmann::json Report::json() const {
    nlohmann::json goals = nlohmann::json::array();
    for (const Goal& goal : goals_) {
        goals.push_back({{"goal", goal.what},
                         {"measured", goal.value},
                         {goal.bound == Bound::at_most ? "at most" : "at least", goal.limit},
                         {"met", goal.met()}});
    }
    utsname system{};
    uname(&system);
    return {{"kernel", system.release},
            {"processors", std::thread::hardware_concurrency()},
            {"rows", rows_},
            {"notes", notes_},
            {"goals", goals}};
}

}  // namespace weft::bench
