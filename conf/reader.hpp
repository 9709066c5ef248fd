// Statements to Config: what each keyword means, one statement at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "conf/words.hpp"

namespace weft::syntax {

/// A file's lines, so that diagnostics can show the one they are about.
using Sources = std::map<std::string, std::string>;

/// Reads statements into `config`, going on after each error. Settings that the file does not state keep their value
/// and origin.
class Reader {
  public:
    Reader(Config& config, Sources& sources) : config_(config), sources_(sources) {}

    void read_file(const std::string& path);
    void read_text(std::string_view text, const std::string& name);
    std::vector<Diagnostic> take_errors() { return std::move(errors_); }

  private:
    /// One keyword of a block: what it means, whether it may repeat, whether it has a block.
    struct Keyword {
        std::string_view word;
        bool repeats = false;
        bool has_block = false;
        std::function<void(Words&, const Statement&)> read;
    };
    using Keywords = std::vector<Keyword>;

    void statements(const std::vector<Statement>& all, std::string_view where, const Keywords& keywords);
    void one(const Statement& statement, std::string_view where, const Keywords& keywords,
             std::map<std::string_view, Place>& seen);
    void wrong(Place place, std::string message);
    void handover(const Statement& statement);
    void include(Words& words);
    void define(Words& words);
    void log(Words& words);
    void router_id(Words& words);
    void source(Words& words, const Statement& statement);
    void protocol(Words& words, const Statement& statement);
    void protocol_bgp(const Statement& statement);
    void neighbor(Words& words, const Statement& statement);
    void protocol_vxlan(const Statement& statement);
    void protocol_ipip(const Statement& statement);
    void pool(Words& words, const Statement& statement);
    void node(Words& words, const Statement& statement);
    void etcd(const Statement& statement, EtcdSource& etcd);
    AddressMethod address_method(Words& words);
    const Keywords& top_keywords();

    Config& config_;
    Sources& sources_;
    std::vector<Diagnostic> errors_;
    Defines defines_;
    std::map<std::string, Place> defined_at_;
    Keywords top_;
    std::map<std::string_view, Place> seen_;
    std::vector<std::string> including_;  ///< the files being read, outermost first
};

}  // namespace weft::syntax
