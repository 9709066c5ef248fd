#include "conf/etcd_message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>

namespace weft {
namespace {

using Json = nlohmann::json;

/// What a server may say is taken apart with this: nothing throws, and the first thing that is wrong is kept.
class Reader {
  public:
    explicit Reader(std::string_view text) : json_(Json::parse(text.begin(), text.end(), nullptr, false)) {
        if (!json_.is_object()) wrong("it is not a JSON object");
    }

    const Json& json() const { return json_; }
    const std::string& trouble() const { return trouble_; }
    void wrong(std::string what) {
        if (trouble_.empty()) trouble_ = std::move(what);
    }

    /// The member, or nothing when it is absent.
    const Json* member(const Json& object, const char* name, Json::value_t type) {
        if (!object.is_object()) return nullptr;
        const auto found = object.find(name);
        if (found == object.end() || found->is_null()) return nullptr;
        if (found->type() != type) return wrong(fmt::format("'{}' is of another type", name)), nullptr;
        return &*found;
    }
    const Json* object(const Json& from, const char* name) { return member(from, name, Json::value_t::object); }
    bool flag(const Json& from, const char* name) {
        const Json* const found = member(from, name, Json::value_t::boolean);
        return found != nullptr && found->get<bool>();
    }
    std::string text(const Json& from, const char* name) {
        const Json* const found = member(from, name, Json::value_t::string);
        return found == nullptr ? std::string{} : found->get<std::string>();
    }
    std::string bytes(const Json& from, const char* name) {
        const Json* const found = member(from, name, Json::value_t::string);
        if (found == nullptr) return {};
        auto decoded = decode_base64(found->get_ref<const std::string&>());
        if (!decoded) return wrong(fmt::format("'{}' is not base64", name)), std::string{};
        return *std::move(decoded);
    }
    /// A number as protobuf's JSON has it, a string, or plain.
    template <class Number>
    Number number(const Json& from, const char* name) {
        if (!from.is_object()) return 0;
        const auto found = from.find(name);
        if (found == from.end()) return 0;
        if (found->is_number_integer()) return found->template get<Number>();
        Number value = 0;
        if (found->is_string()) {
            const auto& digits = found->template get_ref<const std::string&>();
            const char* const end = digits.data() + digits.size();
            const auto [at, failure] = std::from_chars(digits.data(), end, value);
            if (failure == std::errc{} && at == end) return value;
        }
        wrong(fmt::format("'{}' is no number", name));
        return 0;
    }
    template <class Each>
    void each(const Json& from, const char* name, Each take) {
        const Json* const list = member(from, name, Json::value_t::array);
        if (list == nullptr) return;
        for (const Json& item : *list) {
            if (!item.is_object()) return wrong(fmt::format("an element of '{}' is no object", name));
            take(item);
        }
    }

    EtcdHeader header(const Json& from) {
        const Json* const found = object(from, "header");
        if (found == nullptr) return {};
        return {.cluster_id = number<std::uint64_t>(*found, "cluster_id"),
                .revision = number<std::int64_t>(*found, "revision")};
    }
    EtcdKeyValue key_value(const Json& from) {
        return {.key = bytes(from, "key"),
                .value = bytes(from, "value"),
                .create_revision = number<std::int64_t>(from, "create_revision"),
                .mod_revision = number<std::int64_t>(from, "mod_revision"),
                .version = number<std::int64_t>(from, "version"),
                .lease = number<std::int64_t>(from, "lease")};
    }
    EtcdEvent event(const Json& from) {
        const Json* const kv = object(from, "kv");
        if (kv == nullptr) return wrong("an event without its key"), EtcdEvent{};
        return {.deleted = text(from, "type") == "DELETE", .kv = key_value(*kv)};
    }

    template <class T>
    Result<T> finish(T value) {
        if (!trouble_.empty()) return Error{fmt::format("a reply that is not etcd's: {}", trouble_)};
        return value;
    }

  private:
    Json json_;
    std::string trouble_;
};

/// UTF-8 is not asked of keys and values: they go as base64. Names and passwords that are no UTF-8 are replaced.
std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const EtcdCompare& compare) {
    Json made{{"key", encode_base64(compare.key)}, {"result", "EQUAL"}};
    const std::string number = std::to_string(compare.number);
    switch (compare.target) {
        case EtcdCompare::Target::mod_revision:
            made["target"] = "MOD";
            made["mod_revision"] = number;
            break;
        case EtcdCompare::Target::create_revision:
            made["target"] = "CREATE";
            made["create_revision"] = number;
            break;
        case EtcdCompare::Target::version:
            made["target"] = "VERSION";
            made["version"] = number;
            break;
    }
    return made;
}

Json json_of(const EtcdOperation& operation) {
    Json made{{"key", encode_base64(operation.key)}};
    switch (operation.kind) {
        case EtcdOperation::Kind::put:
            made["value"] = encode_base64(operation.value);
            if (operation.lease != 0) made["lease"] = std::to_string(operation.lease);
            return {{"request_put", std::move(made)}};
        case EtcdOperation::Kind::erase:
            return {{"request_delete_range", std::move(made)}};
        case EtcdOperation::Kind::read_prefix:
            made["range_end"] = encode_base64(prefix_end(operation.key));
            break;
        case EtcdOperation::Kind::probe:
            made["keys_only"] = true;
            break;
        case EtcdOperation::Kind::read:
            break;
    }
    return {{"request_range", std::move(made)}};
}

template <class T>
Json json_of(const std::vector<T>& all) {
    Json made = Json::array();
    for (const T& one : all) made.push_back(json_of(one));
    return made;
}

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> inverse() {
    std::array<std::int8_t, 256> made{};
    for (auto& value : made) value = -1;
    for (std::size_t i = 0; i < kDigits.size(); ++i) {
        made.at(static_cast<unsigned char>(kDigits[i])) = static_cast<std::int8_t>(i);
    }
    return made;
}
constexpr auto kInverse = inverse();

}  // namespace

EtcdCompare unchanged(std::string key, std::int64_t mod_revision) {
    return {.key = std::move(key), .target = EtcdCompare::Target::mod_revision, .number = mod_revision};
}

EtcdCompare absent(std::string key) {
    return {.key = std::move(key), .target = EtcdCompare::Target::version, .number = 0};
}

EtcdOperation put(std::string key, std::string value, std::int64_t lease) {
    return {.kind = EtcdOperation::Kind::put, .key = std::move(key), .value = std::move(value), .lease = lease};
}

EtcdOperation erase(std::string key) {
    return {.kind = EtcdOperation::Kind::erase, .key = std::move(key), .value = {}};
}

EtcdOperation read(std::string key) {
    return {.kind = EtcdOperation::Kind::read, .key = std::move(key), .value = {}};
}

EtcdOperation read_prefix(std::string prefix) {
    return {.kind = EtcdOperation::Kind::read_prefix, .key = std::move(prefix), .value = {}};
}

EtcdOperation probe(std::string key) {
    return {.kind = EtcdOperation::Kind::probe, .key = std::move(key), .value = {}};
}

std::string prefix_end(std::string prefix) {
    while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
    if (prefix.empty()) return {'\0'};  // etcd's way to say: to the very end
    prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
    return prefix;
}

std::string encode_range(const EtcdRangeRequest& request) {
    Json made{{"key", encode_base64(request.key)}};
    if (!request.end.empty()) made["range_end"] = encode_base64(request.end);
    if (request.revision != 0) made["revision"] = std::to_string(request.revision);
    if (request.limit != 0) made["limit"] = std::to_string(request.limit);
    if (request.keys_only) made["keys_only"] = true;
    return dump(made);
}

std::string encode_transaction(const EtcdTransaction& transaction) {
    return dump({{"compare", json_of(transaction.compares)},
                 {"success", json_of(transaction.then)},
                 {"failure", json_of(transaction.otherwise)}});
}

std::string encode_authenticate(const std::string& user, const std::string& password) {
    return dump({{"name", user}, {"password", password}});
}

std::string encode_grant(std::int64_t seconds) {
    return dump({{"TTL", std::to_string(seconds)}});
}

std::string encode_lease(std::int64_t lease) {
    return dump({{"ID", std::to_string(lease)}});
}

std::string encode_watch(const std::vector<EtcdWatched>& watched) {
    std::string made;
    for (const EtcdWatched& one : watched) {
        Json request{{"key", encode_base64(one.prefix)},
                     {"range_end", encode_base64(prefix_end(one.prefix))},
                     {"progress_notify", true},
                     {"fragment", true}};
        if (one.from != 0) request["start_revision"] = std::to_string(one.from);
        made += dump({{"create_request", std::move(request)}}) + "\n";
    }
    return made;
}

Result<EtcdPage> decode_page(std::string_view body) {
    Reader reader(body);
    EtcdPage page{.header = reader.header(reader.json()), .kvs = {}, .more = reader.flag(reader.json(), "more")};
    reader.each(reader.json(), "kvs", [&](const Json& kv) { page.kvs.push_back(reader.key_value(kv)); });
    if (page.header.revision <= 0) reader.wrong("it has no revision");
    if (page.more && page.kvs.empty()) reader.wrong("an empty page with more to come");
    return reader.finish(std::move(page));
}

Result<EtcdTransacted> decode_transacted(std::string_view body) {
    Reader reader(body);
    EtcdTransacted made{
        .header = reader.header(reader.json()), .succeeded = reader.flag(reader.json(), "succeeded"), .read = {}};
    if (made.header.revision <= 0) reader.wrong("it has no revision");
    reader.each(reader.json(), "responses", [&](const Json& response) {
        const Json* const range = reader.object(response, "response_range");
        if (range == nullptr) return;
        reader.each(*range, "kvs", [&](const Json& kv) { made.read.push_back(reader.key_value(kv)); });
    });
    return reader.finish(std::move(made));
}

Result<std::string> decode_token(std::string_view body) {
    Reader reader(body);
    std::string token = reader.text(reader.json(), "token");
    // It goes into a header line as it is.
    const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
    if (token.empty() || !plain || token.size() > 4096) reader.wrong("it has no token");
    return reader.finish(std::move(token));
}

Result<std::int64_t> decode_lease(std::string_view body) {
    Reader reader(body);
    const auto lease = reader.number<std::int64_t>(reader.json(), "ID");
    if (lease == 0) reader.wrong("it has no lease");
    return reader.finish(lease);
}

Result<std::int64_t> decode_keep_alive(std::string_view body) {
    Reader reader(body);
    const Json* const result = reader.object(reader.json(), "result");
    if (result == nullptr) return reader.wrong("it has no result"), reader.finish(std::int64_t{0});
    const auto seconds = reader.number<std::int64_t>(*result, "TTL");
    return reader.finish(std::max<std::int64_t>(seconds, 0));
}

EtcdRefusal refusal_of_words(std::string_view words) {
    using Kind = EtcdRefusal::Kind;
    struct Known {
        std::string_view words;
        Kind kind;
        std::string_view advice;
    };
    // etcd's rpctypes; matched by their words, as a cancelled watch has nothing else.
    static constexpr std::array<Known, 18> kKnown{{
        {"required revision has been compacted", Kind::compacted, ""},
        {"invalid auth token", Kind::token, ""},
        {"revision of auth store is old", Kind::token, ""},
        {"user name is empty", Kind::token, "etcd asks for a user: set 'user' and 'password' in 'source etcd'"},
        {"invalid user ID or password", Kind::final_word, "check 'user' and 'password' in 'source etcd'"},
        {"authentication is not enabled", Kind::final_word,
         "take 'user' and 'password' out of 'source etcd', or run 'etcdctl auth enable'"},
        {"permission denied", Kind::final_word,
         "its user needs a role with the right to read, and to register to write, what begins with /calico/ "
         "('etcdctl role grant-permission --prefix=true ROLE readwrite /calico/')"},
        {"CommonName of client sending a request against gateway", Kind::final_word,
         "etcd takes no certificate with a common name through its gateway while users and passwords are enabled: "
         "have this node's 'certificate' issued without one"},
        {"database space exceeded", Kind::final_word,
         "etcd takes no writes until it is compacted, defragmented and its alarm disarmed ('etcdctl alarm list')"},
        {"required revision is a future revision", Kind::elsewhere, "this member lags behind, or its store is older"},
        {"no leader", Kind::elsewhere, "the cluster has no quorum ('etcdctl endpoint status --cluster')"},
        {"leader changed", Kind::elsewhere, ""},
        {"not leader", Kind::elsewhere, ""},
        {"request timed out", Kind::elsewhere, "the member is overloaded or cut off ('etcdctl endpoint health')"},
        {"too many requests", Kind::elsewhere, "the member is overloaded"},
        {"server stopped", Kind::elsewhere, ""},
        {"learner", Kind::elsewhere, "the endpoint is a learner, which answers no reads: leave it out"},
        {"transport is closing", Kind::elsewhere, ""},
    }};
    for (const Known& known : kKnown) {
        if (words.find(known.words) == std::string_view::npos) continue;
        return {.kind = known.kind,
                .message = known.advice.empty() ? std::string(words) : fmt::format("{}: {}", words, known.advice)};
    }
    return {.kind = Kind::final_word, .message = std::string(words)};
}

EtcdRefusal refusal_of(unsigned status, std::string_view body) {
    using Kind = EtcdRefusal::Kind;
    Reader reader(body);
    std::string words = reader.trouble().empty() ? reader.text(reader.json(), "message") : std::string{};
    if (words.empty() && reader.trouble().empty()) words = reader.text(reader.json(), "error");
    // The one refusal that etcd says in plain text.
    if (words.empty() && body.starts_with("CommonName of client ")) words = body.substr(0, body.find('\n'));
    if (words.empty()) {
        return {.kind = Kind::not_a_gateway,
                .message = fmt::format("HTTP status {}, and not in etcd's words: is it etcd 3.4 or later, with its "
                                       "JSON gateway (--enable-grpc-gateway)?",
                                       status)};
    }
    // Words of any length and kind may come; they go to a log.
    words.resize(std::min<std::size_t>(words.size(), 400));
    std::replace_if(
        words.begin(), words.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
    EtcdRefusal made = refusal_of_words(words);
    // gRPC: 4 deadline exceeded, 13 internal, 14 unavailable
    const auto code = reader.number<std::int64_t>(reader.json(), "code");
    if (made.kind == Kind::final_word && (status >= 500 || code == 4 || code == 14)) made.kind = Kind::elsewhere;
    if (made.kind == Kind::final_word && status == 401) made.kind = Kind::token;
    return made;
}

Result<EtcdWatchMessage> decode_watch_message(std::string_view line) {
    Reader reader(line);
    if (const Json* const error = reader.object(reader.json(), "error")) {
        EtcdWatchMessage ended{.header = {}, .watch = -1, .cancelled = true, .reason = {}, .events = {}};
        ended.reason = reader.text(*error, "message");
        return reader.finish(std::move(ended));
    }
    const Json* const result = reader.object(reader.json(), "result");
    if (result == nullptr) return reader.wrong("it has no result"), reader.finish(EtcdWatchMessage{});
    EtcdWatchMessage made{.header = reader.header(*result),
                          .watch = reader.number<std::int64_t>(*result, "watch_id"),
                          .created = reader.flag(*result, "created"),
                          .cancelled = reader.flag(*result, "canceled"),
                          .fragment = reader.flag(*result, "fragment"),
                          .compact_revision = reader.number<std::int64_t>(*result, "compact_revision"),
                          .reason = reader.text(*result, "cancel_reason"),
                          .events = {}};
    reader.each(*result, "events", [&](const Json& event) { made.events.push_back(reader.event(event)); });
    for (const EtcdEvent& event : made.events) {
        if (event.kv.mod_revision <= 0) reader.wrong("an event without its revision");
    }
    return reader.finish(std::move(made));
}

std::string encode_base64(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t j = 0; j < 3; ++j) {
            group = group << 8U | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
        }
        for (std::size_t j = 0; j < 4; ++j) {
            text += j <= count ? kDigits[group >> (18U - 6U * static_cast<unsigned>(j)) & 63U] : '=';
        }
    }
    return text;
}

Result<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return Error{"its length is no multiple of four"};
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
    std::string bytes(text.size() / 4 * 3, '\0');
    std::size_t end = 0;
    for (std::size_t i = 0; i < text.size(); i += 4) {
        std::uint32_t group = 0;
        for (std::size_t j = i; j < i + 4; ++j) {
            const bool padded = j + padding >= text.size();
            const int digit = padded ? 0 : kInverse[static_cast<unsigned char>(text[j])];
            if (digit < 0) return Error{"it has other characters"};
            group = group << 6U | static_cast<std::uint32_t>(digit);
        }
        for (const unsigned shift : {16U, 8U, 0U}) bytes[end++] = static_cast<char>(group >> shift & 0xFFU);
    }
    bytes.resize(bytes.size() - padding);
    return bytes;
}

bool LineSplitter::feed(std::string_view bytes, std::vector<std::string>& lines) {
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (rest_.size() + part.size() > longest_) return false;
        rest_ += part;
        if (end == std::string_view::npos) return true;
        bytes.remove_prefix(end + 1);
        if (!rest_.empty()) lines.push_back(std::exchange(rest_, {}));
    }
    return true;
}

}  // namespace weft
