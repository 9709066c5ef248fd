#include "conf/manifest.hpp"

#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <sstream>

#include "conf/json.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;
using Lines = std::map<std::string, unsigned>;

/// All values of a file, those that aliases repeat counted again.
constexpr std::size_t kMostValues = 4'000'000;
/// Documents of a file, values of one alias.
constexpr std::size_t kMostAliased = 100'000;

struct Wrong {
    unsigned line;
    std::string message;
};

unsigned line_at(const YAML::Mark& mark) {
    return mark.line < 0 ? 1 : static_cast<unsigned>(mark.line) + 1;
}

/// A plain scalar's value, as YAML 1.2's core schema has it.
json plain(const std::string& text) {
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    if (text.front() == '-' || text.front() == '+' || (text.front() >= '0' && text.front() <= '9')) {
        std::uint64_t number = 0;
        const bool hex = text.starts_with("0x");
        if (const auto read = std::from_chars(begin + (hex ? 2 : 0), end, number, hex ? 16 : 10);
            read.ec == std::errc{} && read.ptr == end) {
            return number;
        }
        std::int64_t negative = 0;
        if (const auto read = std::from_chars(begin, end, negative); read.ec == std::errc{} && read.ptr == end) {
            return negative;
        }
        double real = 0;
        if (const auto read = std::from_chars(begin, end, real); read.ec == std::errc{} && read.ptr == end) {
            return real;
        }
    }
    return text;
}

class Builder final : public YAML::EventHandler {
  public:
    std::optional<json> root;
    Lines lines;

    void begin() {
        root.reset();
        lines.clear();
        frames_.clear();
        anchors_.clear();
    }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, nullptr, 1); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto known = anchors_.find(anchor);
        if (known == anchors_.end()) throw Wrong{line_at(mark), "an alias of the value that it stands in"};
        if (known->second.second > kMostAliased) throw Wrong{line_at(mark), "an alias of too large a value"};
        const auto [value, size] = known->second;
        add(mark, 0, value, size);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        // "?" is how the parser marks a scalar without quotes and tag.
        const bool key = !frames_.empty() && frames_.back().wants_key();
        add(mark, anchor, tag == "?" && !key ? plain(value) : json(value), 1);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, anchor, json::array());
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, anchor, json::object());
    }
    void OnMapEnd() override { close(); }

  private:
    struct Frame {
        json value;
        json merged = json::object();  ///< by "<<": counts where nothing is stated
        std::string path;
        std::optional<std::string> key;
        YAML::anchor_t anchor = 0;
        YAML::Mark mark;
        std::size_t size = 1;
        bool wants_key() const { return value.is_object() && !key; }
    };

    /// Where the next value goes.
    std::string next_path() const {
        if (frames_.empty()) return {};
        const Frame& top = frames_.back();
        if (top.value.is_array()) return fmt::format("{}[{}]", top.path, top.value.size());
        return top.path.empty() ? top.key.value_or("") : fmt::format("{}.{}", top.path, top.key.value_or(""));
    }

    void open(const YAML::Mark& mark, YAML::anchor_t anchor, json value) {
        if (frames_.size() >= kDeepestJson) {
            throw Wrong{line_at(mark), fmt::format("nested more than {} deep", kDeepestJson)};
        }
        if (!frames_.empty() && frames_.back().wants_key()) throw Wrong{line_at(mark), "a key has to be a word"};
        frames_.push_back({.value = std::move(value),
                           .merged = json::object(),
                           .path = next_path(),
                           .key = {},
                           .anchor = anchor,
                           .mark = mark});
        lines.try_emplace(frames_.back().path, line_at(mark));
    }
    void close() {
        Frame done = std::move(frames_.back());
        frames_.pop_back();
        if (!done.merged.empty()) done.value.insert(done.merged.begin(), done.merged.end());
        add(done.mark, done.anchor, std::move(done.value), done.size);
    }

    void add(const YAML::Mark& mark, YAML::anchor_t anchor, json value, std::size_t size) {
        if ((values_ += size) > kMostValues) throw Wrong{line_at(mark), "too many values in one file"};
        if (anchor != 0) anchors_.insert_or_assign(anchor, std::pair{value, size});
        if (frames_.empty()) {
            root = std::move(value);
            return;
        }
        Frame& top = frames_.back();
        top.size += size;
        if (top.wants_key()) {
            if (!value.is_string()) throw Wrong{line_at(mark), "a key has to be a word"};
            top.key = value.get<std::string>();
            lines.try_emplace(next_path(), line_at(mark));
        } else if (top.value.is_array()) {
            lines.try_emplace(next_path(), line_at(mark));
            top.value.push_back(std::move(value));
        } else {
            put(top, line_at(mark), std::move(value));
        }
    }
    static void put(Frame& top, unsigned line, json value) {
        const std::string key = *std::exchange(top.key, std::nullopt);
        if (key == "<<" && value.is_object()) {
            top.merged.insert(value.begin(), value.end());
            return;
        }
        if (!top.value.emplace(key, std::move(value)).second) {
            throw Wrong{line, fmt::format("a second '{}' in the same object", shown(key))};
        }
    }

    std::vector<Frame> frames_;
    std::map<YAML::anchor_t, std::pair<json, std::size_t>> anchors_;
    std::size_t values_ = 0;
};

void add_document(Manifests& made, json object, std::shared_ptr<const Lines> lines) {
    if (object.is_null()) return;
    const bool list = object.is_object() && object.contains("items") && object["items"].is_array() &&
                      object.value("kind", json()).is_string() && object["kind"].get<std::string>().ends_with("List");
    if (!list) {
        made.documents.push_back({.object = std::move(object), .lines = std::move(lines), .prefix = {}});
        return;
    }
    const std::string kind = object["kind"].get<std::string>();
    std::size_t i = 0;
    for (json& item : object["items"]) {
        // An IPPoolList's items may leave out what the list says of them.
        if (item.is_object() && kind.size() > 4) item.emplace("kind", kind.substr(0, kind.size() - 4));
        if (item.is_object() && object.contains("apiVersion")) item.emplace("apiVersion", object["apiVersion"]);
        made.documents.push_back({.object = std::move(item), .lines = lines, .prefix = fmt::format("items[{}]", i++)});
    }
}

}  // namespace

unsigned Manifest::line_of(const std::string& field) const {
    std::string path = prefix.empty() ? field : field.empty() ? prefix : fmt::format("{}.{}", prefix, field);
    while (true) {
        const auto found = lines->find(path);
        if (found != lines->end()) return found->second;
        if (path.empty()) return 1;
        const std::size_t cut = path.find_last_of(".[");
        path.erase(cut == std::string::npos ? 0 : cut);
    }
}

Manifests read_yaml(std::string_view text) {
    Manifests made;
    const auto failed = [&](unsigned line, std::string message) {
        made.documents.clear();
        made.error = std::move(message);
        made.error_line = line;
    };
    try {
        std::istringstream in{std::string(text)};
        YAML::Parser parser(in);
        Builder builder;
        builder.begin();
        while (parser.HandleNextDocument(builder)) {
            add_document(made, builder.root ? *std::move(builder.root) : json(),
                         std::make_shared<const Lines>(std::move(builder.lines)));
            builder.begin();
        }
    } catch (const Wrong& wrong) {
        failed(wrong.line, wrong.message);
    } catch (const YAML::Exception& wrong) {
        failed(line_at(wrong.mark), fmt::format("no YAML: {}", wrong.msg));
    }
    return made;
}

Manifests read_json(std::string_view text) {
    Manifests made;
    auto object = parse_json(text);
    if (!object) {
        made.error = object.error().message;
        made.error_line = 1;
        return made;
    }
    // JSON is nearly YAML: for the lines it is near enough.
    Manifests same = read_yaml(text);
    auto lines = same.documents.empty() ? std::make_shared<const Lines>() : same.documents.front().lines;
    add_document(made, *std::move(object), std::move(lines));
    return made;
}

}  // namespace weft
