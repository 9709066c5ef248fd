// What is found wrong with what others wrote, and how a source is: small values that the whole daemon may know.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

/// What is wrong with an object: the field's path and what was expected there.
struct FieldTrouble {
    std::string field;  ///< "spec.bgp.ipv4Address", "spec.allowedUses[1]"; empty: the object as a whole
    std::string message;
    bool only_weft = false;  ///< Calico takes it: it is weft that does not do it
    bool operator==(const FieldTrouble&) const = default;
};
/// "spec.cidr: IPPool CIDR must be strictly masked"
std::string to_string(const FieldTrouble& finding);

/// An object in error, or one that is only partly followed.
struct ObjectTrouble {
    std::string object;  ///< "IPPool default-ipv4-ippool"
    std::string place;   ///< where it stands: an etcd key, "pools.yaml:7"
    std::string field;
    std::string message;
    bool error = true;       ///< false: unsupported, the rest of the object is in use
    bool last_used = false;  ///< of an error: an earlier, valid form stays in use
    bool operator==(const ObjectTrouble&) const = default;
};
/// "pools.yaml:7: IPPool default-ipv4-ippool: spec.cidr: ... (its last valid form stays in use)"
std::string to_string(const ObjectTrouble& trouble);

/// How a source is, for people and metrics.
struct SourceStatus {
    std::string name;     ///< "directory /etc/weft/cluster", "etcd https://192.0.2.1:2379"
    bool synced = false;  ///< all of it was read at least once
    std::string trouble;  ///< why it cannot be read or followed at present; empty: it can
    std::vector<ObjectTrouble> objects;
    std::size_t held = 0;       ///< objects known, valid or not
    std::size_t invalid = 0;    ///< of these, in error
    std::int64_t revision = 0;  ///< etcd's; of a directory the number of times that it was found changed
    std::chrono::system_clock::time_point updated{};  ///< when it last told something new
};

}  // namespace weft
