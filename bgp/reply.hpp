// BIRD's control protocol, as values: bytes -> replies -> sessions. Pure.
//
// A reply is lines that start with a four-digit code and '-' (more follows), a code and a space (the last one), or a
// single space (the code of the line before). Lines that start with '+' may come at any time and are nobody's reply.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/status.hpp"

namespace weft {

struct BirdReplyLine {
    int code = 0;
    std::string text;
    bool operator==(const BirdReplyLine&) const = default;
};

/// The last line's code tells how it ended: 0xxx done, 8xxx failed, 9xxx not understood.
struct BirdReply {
    std::vector<BirdReplyLine> lines;
    int code() const { return lines.empty() ? 0 : lines.back().code; }
    bool failed() const { return code() >= 8000; }
    /// The first text of a failure, else the last line's.
    std::string text() const;
    bool operator==(const BirdReply&) const = default;
};

/// Takes bytes in any portions, gives replies. After an error it gives nothing more: the connection has to go.
class BirdReplyParser {
  public:
    /// BIRD 2 itself writes no line longer than 511 bytes.
    static constexpr std::size_t kLongestLine = 4096;
    /// What a reply may take in memory.
    static constexpr std::size_t kLargestReply = 16U << 20U;

    void feed(std::string_view bytes);
    std::optional<BirdReply> next();
    /// True when nothing has come of a reply that has not been taken with next().
    bool quiet() const;
    /// What was wrong with the bytes; empty: nothing so far.
    const std::string& error() const { return error_; }

  private:
    void line(std::string_view text);
    std::string partial_;
    BirdReply reply_;
    std::size_t size_ = 0;
    std::deque<BirdReply> ready_;
    std::string error_;
};

/// "BIRD 2.0.12 ready." -> "2.0.12"; empty for another greeting.
std::string version_of(const BirdReply& greeting);
/// Why weft cannot work with this version of BIRD, and what to do; empty: it can.
std::string why_not(std::string_view version);

/// The BGP sessions in a reply to `show protocols`, of BIRD 2 and 3, sorted by name: those that weft names (Mesh_,
/// Node_ and Global_, and the peer's address). `node_of_peer` maps that address to a node.
std::vector<Session> sessions_of(const BirdReply& reply, const std::map<std::string, std::string>& node_of_peer);
/// Whether a reply to `show status` tells of graceful restart recovery (code 0024).
bool in_graceful_restart(const BirdReply& reply);

}  // namespace weft
