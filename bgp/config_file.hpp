// The files that go with BIRD, in the state directory: the configuration (it holds passwords: 0640), BIRD's log and its
// pid file.
//
// The live configuration changes by one rename. Until BIRD has accepted the new one the old one is kept beside it, so
// that a rejected one never is what BIRD would be restarted with.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "conf/result.hpp"

namespace weft {

class BirdFiles {
  public:
    explicit BirdFiles(std::string directory) : directory_(std::move(directory)) {}

    std::string live() const { return directory_ + "/bird.conf"; }
    std::string staged() const { return directory_ + "/bird.conf.new"; }
    std::string earlier() const { return directory_ + "/bird.conf.old"; }
    std::string log() const { return directory_ + "/bird.log"; }
    std::string pid() const { return directory_ + "/bird.pid"; }

    /// Writes the text beside the live file, to be checked; what a crash left there is replaced.
    Result<Done> stage(std::string_view text) const;
    /// Puts the checked file in the live one's place.
    Result<Done> place() const;
    /// BIRD runs the live file: the one before is of no use any more.
    void confirm() const;
    /// BIRD rejected the live file: the one before takes its place again. False: there was none, so now there is none.
    bool restore() const;
    /// BIRD is gone for good: away with all that holds passwords.
    void forget() const;
    /// Away with a file that did not pass the check.
    void discard() const;
    /// Whether the live file holds just this text.
    bool live_is(std::string_view text) const;
    bool has_live() const;
    /// The configuration before the live one; empty: it is confirmed, or there was none.
    std::string earlier_text() const;

    /// The process id in the pid file; 0: none.
    pid_t process() const;
    /// BIRD's last line in its log, for telling why it ended; empty: it said nothing.
    std::string last_words() const;
    /// Empties the log, so that last_words() are the next BIRD's.
    void empty_log() const;
    /// Empties a log of more than a mebibyte: nobody else does.
    void limit_log() const;

  private:
    std::string directory_;
};

/// Makes the directory that `path` is in (0750), with those above it.
Result<Done> make_directory_of(const std::string& path);

/// `words` with each password of the configuration `text` starred out.
std::string without_passwords(std::string words, std::string_view text);

}  // namespace weft
