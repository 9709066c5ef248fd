// Whether a configuration may be given to BIRD, found out by a child process: a living BIRD can abort on a bad one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "bgp/config_file.hpp"

namespace boost::asio {
class io_context;
}

namespace weft {

struct Verdict {
    enum class Kind : std::uint8_t {
        good,
        refused,  ///< `bird -p` says no; `words` are BIRD's
        unable,   ///< BIRD cannot be asked (missing, too old, too slow); `words` say what to do
    };
    Kind kind = Kind::good;
    std::string words;
};

/// `PROGRAM --version`, then `PROGRAM -p -c FILE`.
void check_config(boost::asio::io_context& io, const std::string& program, const std::string& file,
                  std::function<void(Verdict)> done);

/// The same for a text that is written to `files.staged()` first. The passwords in it are starred out of the words.
void stage_and_check(boost::asio::io_context& io, const std::string& program, const BirdFiles& files,
                     const std::string& text, std::function<void(Verdict)> done);

}  // namespace weft
