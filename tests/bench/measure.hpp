// How a case is measured: in a network namespace of its own, several times, in turn with what it is compared to.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weft::bench {

using Clock = std::chrono::steady_clock;

/// What a run of a case found, by name; the unit is part of the name.
using Figures = std::map<std::string, double>;

/// The time that passes, and what of it this thread spent on a processor, in the kernel too: on a machine that others
/// use as well, the second is the one to compare.
class Stopwatch {
  public:
    Stopwatch() : begin_(Clock::now()), begin_cpu_(cpu()) {}
    double milliseconds() const { return std::chrono::duration<double, std::milli>(Clock::now() - begin_).count(); }
    double cpu_milliseconds() const { return cpu() - begin_cpu_; }

  private:
    static double cpu();
    Clock::time_point begin_;
    double begin_cpu_;
};

/// Runs `measure` in a child process that has a network namespace of its own. Throws what it throws.
Figures isolated(const std::function<Figures()>& measure);

/// 0.5: the median.
double percentile(std::vector<double> values, double rank);
/// Of each figure that any of the runs has.
Figures medians(const std::vector<Figures>& runs);

/// Throws when the shell's command fails.
void command(const std::string& line);

}  // namespace weft::bench
