// What was measured, as a table while it is being measured and as JSON at the end, with the goals and which are met.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/bench/measure.hpp"

namespace weft::bench {

class Report {
  public:
    /// `table`: print as it comes.
    explicit Report(bool table) : table_(table) {}

    void add(const std::string& size, const std::string& what, const Figures& figures);
    /// Something that was left out or done otherwise, and why.
    void note(const std::string& text);
    enum class Bound : std::uint8_t { at_most, at_least };
    void goal(const std::string& what, double value, Bound bound, double limit);

    /// The goals, and which are met.
    void finish() const;
    nlohmann::json json() const;

  private:
    struct Goal {
        std::string what;
        double value = 0;
        Bound bound = Bound::at_most;
        double limit = 0;
        bool met() const { return bound == Bound::at_most ? value <= limit : value >= limit; }
    };

    bool table_;
    nlohmann::json rows_ = nlohmann::json::array();
    std::vector<std::string> notes_;
    std::vector<Goal> goals_;
};

}  // namespace weft::bench
