// A program under measurement: started, watched through /proc, ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace weft::bench {

struct Usage {
    double cpu_milliseconds = 0;  ///< of all its threads
    double wake_ups = 0;          ///< times that a thread went to sleep of its own will
    double resident_mib = 0;
    double private_mib = 0;  ///< of it, what is in no file
    double peak_mib = 0;
};

class Process {
  public:
    /// Output goes to the file `log`.
    Process(const std::vector<std::string>& arguments, const std::string& log);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t id() const { return id_; }
    bool runs() const;

  private:
    pid_t id_ = 0;
};

Usage usage_of(pid_t process);

/// Looks every few milliseconds; throws, naming `what`, after the deadline.
void await(const std::string& what, const std::function<bool()>& done,
           std::chrono::seconds deadline = std::chrono::seconds(120));

void pause(std::chrono::milliseconds time);

}  // namespace weft::bench
