#include "tests/bench/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/bench/measure.hpp"

namespace weft::bench {

Process::Process(const std::vector<std::string>& arguments, const std::string& log) {
    std::vector<char*> raw;
    for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));  // NOLINT
    raw.push_back(nullptr);
    id_ = fork();
    if (id_ < 0) throw std::runtime_error("fork");
    if (id_ > 0) return;
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(raw.front(), raw.data());
    _exit(127);
}

Process::~Process() {
    kill(id_, SIGTERM);
    for (int i = 0; i < 500 && waitpid(id_, nullptr, WNOHANG) == 0; ++i) pause(std::chrono::milliseconds(10));
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
}

bool Process::runs() const {
    return waitpid(id_, nullptr, WNOHANG) == 0;
}

Usage usage_of(pid_t process) {
    Usage usage;
    const std::string directory = fmt::format("/proc/{}", process);
    std::ifstream status(directory + "/status");
    for (std::string line; std::getline(status, line);) {
        const auto mib = [&] { return std::stod(line.substr(line.find(':') + 1)) / 1024; };
        if (line.starts_with("VmRSS:")) usage.resident_mib = mib();
        if (line.starts_with("RssAnon:")) usage.private_mib = mib();
        if (line.starts_with("VmHWM:")) usage.peak_mib = mib();
    }
    for (const auto& thread : std::filesystem::directory_iterator(directory + "/task")) {
        double nanoseconds = 0;
        std::ifstream(thread.path() / "schedstat") >> nanoseconds;
        usage.cpu_milliseconds += nanoseconds / 1e6;
        std::ifstream of_thread(thread.path() / "status");
        for (std::string line; std::getline(of_thread, line);) {
            if (line.starts_with("voluntary_ctxt_switches:")) usage.wake_ups += std::stod(line.substr(24));
        }
    }
    return usage;
}

void await(const std::string& what, const std::function<bool()>& done, std::chrono::seconds deadline) {
    const auto until = Clock::now() + deadline;
    while (!done()) {
        if (Clock::now() > until) throw std::runtime_error(fmt::format("waited in vain: {}", what));
        pause(std::chrono::milliseconds(5));
    }
}

void pause(std::chrono::milliseconds time) {
    const timespec wait{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    nanosleep(&wait, nullptr);
}

}  // namespace weft::bench
