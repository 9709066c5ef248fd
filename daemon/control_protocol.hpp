// The language of the control socket: BIRD's reply-code protocol (nest/cli.c), so that birdc can talk to weftd.
//
//   server:  "0001 weft VERSION ready."
//   client:  a command, one line of at most kLongestCommand bytes
//   server:  lines "NNNN-text" (or " text" while the code stays the same), and at last "NNNN text"
//
// Codes: 0xxx done, 1xxx a table's row, 2xxx a heading, 8xxx it failed, 9xxx it was not understood. Programs go by the
// class and the last line's code, people by the text.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

inline constexpr std::size_t kLongestCommand = 1000;

namespace code {
// as BIRD numbers them
inline constexpr unsigned kOk = 0;
inline constexpr unsigned kWelcome = 1;
inline constexpr unsigned kReconfigured = 3;
inline constexpr unsigned kStatus = 13;
inline constexpr unsigned kConfirmed = 18;
inline constexpr unsigned kNothingToDo = 19;
inline constexpr unsigned kConfigOk = 20;
inline constexpr unsigned kVersion = 1000;
inline constexpr unsigned kProtocol = 1002;
inline constexpr unsigned kRoute = 1007;
inline constexpr unsigned kUptime = 1011;
inline constexpr unsigned kProtocolHeading = 2002;
inline constexpr unsigned kNoRoute = 8001;
inline constexpr unsigned kConfigError = 8002;
inline constexpr unsigned kTooLong = 9000;
inline constexpr unsigned kNotUnderstood = 9001;
// of weft alone, from 100 on in each class
inline constexpr unsigned kChanges = 100;  ///< last line of `plan`: there is something to do
inline constexpr unsigned kReady = 101;
inline constexpr unsigned kAllRight = 102;  ///< last line of `explain`
inline constexpr unsigned kRow = 1100;
inline constexpr unsigned kJson = 1101;  ///< a JSON object
inline constexpr unsigned kHeading = 2100;
inline constexpr unsigned kFailed = 8100;
inline constexpr unsigned kNotReady = 8101;
inline constexpr unsigned kSomethingWrong = 8102;  ///< last line of `explain`
}  // namespace code

/// A line of a reply: no newline in the text.
struct Line {
    unsigned code = 0;
    std::string text;
    bool operator==(const Line&) const = default;
};

/// An answer, pulled line by line as the client reads it: nullopt after the last line, of which there is at least one.
/// What it tells may change between two calls; it must live through that.
using Reply = std::function<std::optional<Line>()>;

Reply reply_of(std::vector<Line> lines);
/// One line for each line of `text`, then `last`.
Reply reply_of(unsigned code, std::string_view text, Line last);

/// Everything a (short) reply has to say.
std::vector<Line> lines_of(const Reply& reply);
/// `first`, and after it what `rest` says.
Reply joined(std::vector<Line> first, Reply rest);

/// Appends lines to `text`, as lines of one code.
void append_lines(std::vector<Line>& lines, unsigned code, std::string_view text);

/// Lines to bytes. One for each reply, because " text" refers to the line before.
class Encoder {
  public:
    void encode(const Line& line, bool last, std::string& out);

  private:
    std::optional<unsigned> before_;
};

/// Bytes to lines, for clients: one line without its newline at a time.
class Decoder {
  public:
    struct Decoded {
        Line line;
        bool last = false;
        bool asynchronous = false;  ///< "+text": said at any time, no part of a reply
    };
    /// nullopt: this is no line of the protocol.
    std::optional<Decoded> decode(std::string_view line);

  private:
    unsigned before_ = 0;
};

}  // namespace weft
