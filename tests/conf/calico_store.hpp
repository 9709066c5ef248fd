// A store in Calico's layout for tests: one in memory that does etcd's transactions, and a checker that walks a whole
// store, whoever has written it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "conf/etcd_message.hpp"
#include "conf/registration.hpp"

namespace weft::test {

class MemoryStore {
  public:
    void put(const std::string& key, const std::string& value);
    void erase(const std::string& key);
    std::string at(const std::string& key) const;
    bool has(const std::string& key) const { return content_.contains(key); }
    const std::map<std::string, EtcdKeyValue>& content() const { return content_; }
    /// As etcd does it.
    bool transact(const EtcdTransaction& transaction);

    /// What a step has to be decided from, and more of it.
    StoreView view(const std::string& node) const;
    void extend(StoreView& view, const RegistrationStep& step) const;
    /// All of it.
    StoreView everything() const;

  private:
    std::map<std::string, EtcdKeyValue> content_;
    std::int64_t revision_ = 1;
};

/// Takes steps until nothing is left to do; answers what was done, then what is lacking ("lacks: ...").
std::vector<std::string> register_node(MemoryStore& store, const RegistrationWish& wish);
std::vector<std::string> remove_node(MemoryStore& store, const std::string& node);

/// Everything in which blocks, affinities, handles and Node objects contradict each other: a block whose node has no
/// confirmed affinity, an affinity without its block, a handle that counts other than what is allocated, an address
/// that a node claims and does not have, that two have, or that nobody uses; blocks that overlap, keys that belong to
/// nothing, signs of life without a lease. Empty: nothing.
std::vector<std::string> contradictions(const std::map<std::string, EtcdKeyValue>& store);

std::string pool_document(const std::string& name, const std::string& cidr, const std::string& fields);

}  // namespace weft::test
