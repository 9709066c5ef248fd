// Child processes: short ones that are waited for, and BIRD, which must outlive weftd.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "conf/result.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

struct Ended {
    int status = 0;      ///< exit status, or 128 + N when signal N ended it
    std::string output;  ///< standard output and error, the first 64 KiB
};

/// Runs a program (a path, no shell) and calls back when it has ended, never from here; at the deadline it is killed,
/// which is an Error. It is killed and reaped, too, when the io_context goes before it has ended.
void run_program(boost::asio::io_context& io, const std::vector<std::string>& arguments,
                 std::chrono::milliseconds patience, std::function<void(Result<Ended>)> done);

/// Starts a program in a session of its own, as no child of this process, with its output appended to `log`: this
/// process's end, however it comes about, does not touch it. Answers its process id.
Result<pid_t> start_detached(const std::vector<std::string>& arguments, const std::string& log);

/// Whether this process runs (a zombie does not) and has `argument` on its command line.
bool runs_with(pid_t process, const std::string& argument);

}  // namespace weft
