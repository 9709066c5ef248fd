#include "tests/bench/measure.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace weft::bench {

double Stopwatch::cpu() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Figures isolated(const std::function<Figures()>& measure) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork");
    if (child == 0) {
        close(ends[0]);
        std::string text;
        try {
            if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("no new network namespace (run as root)");
            command("ip link set lo up");
            text = nlohmann::json(measure()).dump();
        } catch (const std::exception& failure) {
            text = std::string("!") + failure.what();
        }
        const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
        _exit(written ? 0 : 1);
    }
    close(ends[1]);
    std::string text;
    std::array<char, 4096> chunk{};
    for (ssize_t size = 0; (size = read(ends[0], chunk.data(), chunk.size())) > 0;) {
        text.append(chunk.data(), static_cast<std::size_t>(size));
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (text.empty() || text[0] == '!') throw std::runtime_error(text.empty() ? "a case died" : text.substr(1));
    return nlohmann::json::parse(text).get<Figures>();
}

double percentile(std::vector<double> values, double rank) {
    std::ranges::sort(values);
    const auto at = static_cast<std::size_t>(std::lround(rank * static_cast<double>(values.size() - 1)));
    return values.at(at);
}

Figures medians(const std::vector<Figures>& runs) {
    std::map<std::string, std::vector<double>> all;
    for (const Figures& run : runs) {
        for (const auto& [name, value] : run) all[name].push_back(value);
    }
    Figures result;
    for (const auto& [name, values] : all) result[name] = percentile(values, 0.5);
    return result;
}

void command(const std::string& line) {
    if (std::system(line.c_str()) != 0) throw std::runtime_error(fmt::format("'{}' failed", line));  // NOLINT
}

}  // namespace weft::bench
