// What etcd's JSON gateway (etcd 3.4 and later, /v3/...) is asked and answers: requests as JSON text, replies as
// values.
//
// The gateway is protobuf in JSON: keys and values are base64, 64-bit integers are strings, and what is zero or empty
// is left out. Nothing here does I/O, and nothing throws for what a server may say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/result.hpp"

namespace weft {

struct EtcdKeyValue {
    std::string key;
    std::string value;
    std::int64_t create_revision = 0;
    std::int64_t mod_revision = 0;  ///< of the last change; of a deleted key: of its deletion
    std::int64_t version = 0;       ///< 1: as created
    std::int64_t lease = 0;

    bool operator==(const EtcdKeyValue&) const = default;
};

/// Which store answered, and its revision then. Another cluster id than before: this is not the store it was.
struct EtcdHeader {
    std::uint64_t cluster_id = 0;
    std::int64_t revision = 0;
    bool operator==(const EtcdHeader&) const = default;
};

struct EtcdEvent {
    bool deleted = false;
    EtcdKeyValue kv;  ///< of a deletion: key and mod_revision
    bool operator==(const EtcdEvent&) const = default;
};

/// A condition on one key; all conditions are equalities.
struct EtcdCompare {
    enum class Target : std::uint8_t { mod_revision, create_revision, version };
    std::string key;
    Target target = Target::mod_revision;
    std::int64_t number = 0;
    bool operator==(const EtcdCompare&) const = default;
};
/// True while the key is as it was read: same mod_revision. 0: while there is no such key.
EtcdCompare unchanged(std::string key, std::int64_t mod_revision);
EtcdCompare absent(std::string key);

struct EtcdOperation {
    enum class Kind : std::uint8_t { put, erase, read, read_prefix, probe };
    Kind kind = Kind::put;
    std::string key;         ///< of read_prefix: what the keys begin with
    std::string value;       ///< of put
    std::int64_t lease = 0;  ///< of put; 0: none
    bool operator==(const EtcdOperation&) const = default;
};
EtcdOperation put(std::string key, std::string value, std::int64_t lease = 0);
EtcdOperation erase(std::string key);
EtcdOperation read(std::string key);
EtcdOperation read_prefix(std::string prefix);
/// Reads the key without its value.
EtcdOperation probe(std::string key);

/// All of `then` at once if every compare holds, else all of `otherwise`. etcd takes at most 128 of each, and each key
/// once.
struct EtcdTransaction {
    std::vector<EtcdCompare> compares;
    std::vector<EtcdOperation> then;
    std::vector<EtcdOperation> otherwise;
    bool operator==(const EtcdTransaction&) const = default;
};

struct EtcdTransacted {
    EtcdHeader header;
    bool succeeded = false;          ///< `then` was done
    std::vector<EtcdKeyValue> read;  ///< what the read operations of that branch found
    bool operator==(const EtcdTransacted&) const = default;
};

/// Keys from `key` up to but not including `end` (empty: only `key`), at `revision` (0: now), at most `limit` (0: all).
struct EtcdRangeRequest {
    std::string key;
    std::string end;
    std::int64_t revision = 0;
    std::int64_t limit = 0;
    bool keys_only = false;
};
/// The first key after all that begin with `prefix`.
std::string prefix_end(std::string prefix);

struct EtcdPage {
    EtcdHeader header;
    std::vector<EtcdKeyValue> kvs;  ///< in the order of their keys
    bool more = false;              ///< the limit cut it short
};

/// A prefix to watch, and the first revision of interest (0: from now on).
struct EtcdWatched {
    std::string prefix;
    std::int64_t from = 0;
    bool operator==(const EtcdWatched&) const = default;
};

std::string encode_range(const EtcdRangeRequest& request);
std::string encode_transaction(const EtcdTransaction& transaction);
std::string encode_authenticate(const std::string& user, const std::string& password);
std::string encode_grant(std::int64_t seconds);
/// For /v3/lease/keepalive and /v3/lease/revoke.
std::string encode_lease(std::int64_t lease);
/// Watches for several prefixes in one stream; the server numbers them from 0 in this order.
std::string encode_watch(const std::vector<EtcdWatched>& watched);

Result<EtcdPage> decode_page(std::string_view body);
Result<EtcdTransacted> decode_transacted(std::string_view body);
Result<std::string> decode_token(std::string_view body);
Result<std::int64_t> decode_lease(std::string_view body);
/// Seconds that the lease has from now on; 0: there is no such lease any more.
Result<std::int64_t> decode_keep_alive(std::string_view body);

/// A reply that is no success.
struct EtcdRefusal {
    enum class Kind : std::uint8_t {
        final_word,     ///< asking again, or another endpoint, gives the same
        elsewhere,      ///< this endpoint cannot answer now: no leader, overloaded, shutting down
        token,          ///< the token is missing, has expired or is outdated: log in again
        compacted,      ///< the revision asked for is gone
        not_a_gateway,  ///< what answers is not etcd's JSON gateway
    };
    Kind kind = Kind::final_word;
    std::string message;  ///< etcd's words, and what to do where that is known
};
EtcdRefusal refusal_of(unsigned status, std::string_view body);
/// The same for the words in which a watch is cancelled or a stream ends.
EtcdRefusal refusal_of_words(std::string_view words);

/// One line of a watch stream.
struct EtcdWatchMessage {
    EtcdHeader header;
    std::int64_t watch = 0;  ///< which of the stream's watches
    bool created = false;
    bool cancelled = false;
    bool fragment = false;              ///< the rest of these events' revision follows in the next message
    std::int64_t compact_revision = 0;  ///< when cancelled: everything before it is compacted away
    std::string reason;                 ///< when cancelled
    std::vector<EtcdEvent> events;      ///< none and nothing else set: all up to header.revision has been told
};
/// An error line ({"error": ...}) is a message that is cancelled, watch -1.
Result<EtcdWatchMessage> decode_watch_message(std::string_view line);

std::string encode_base64(std::string_view bytes);
/// nullopt would be thrown away by every caller: text that is no base64 is an Error.
Result<std::string> decode_base64(std::string_view text);

/// Cuts a stream that comes in any portions into its lines.
class LineSplitter {
  public:
    explicit LineSplitter(std::size_t longest) : longest_(longest) {}

    /// Takes bytes and appends the lines that are complete now to `lines`, without their ends and without empty ones.
    /// False: a line is longer than allowed; the stream is of no more use.
    bool feed(std::string_view bytes, std::vector<std::string>& lines);

  private:
    std::size_t longest_;
    std::string rest_;
};

}  // namespace weft
