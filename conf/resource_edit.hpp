// Resources as people edit them, with the rules and in the words of calicoctl and libcalico-go: which kinds, what a
// manifest has to be, and what becomes of the object that is stored. Pure; conf/resource_store.hpp does the rest.
//
//   manifest + stored object + what stands beside it --edit_resource--> the object to store | what is wrong
//
// A spec is replaced as a whole, so that a field that was taken out of a file goes; but what others own stays:
// - metadata but labels and annotations, into which the manifest's are merged, and `status`;
// - fields that this version of weft does not know, unless the manifest states them;
// - of a Node, all that nodes register themselves (addresses, tunnel addresses, ...): people own asNumber and
//   routeReflectorClusterID, and other fields only where the manifest states them.
// A field that the manifest states as null is removed, whoever owns it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/finding.hpp"
#include "conf/resource_id.hpp"
#include "conf/result.hpp"

namespace weft {

/// IPPool, Node, BGPPeer, BGPConfiguration.
const std::vector<ResourceKind>& edited_kinds();
/// In the words calicoctl has for them, in either case: "ippool", "pools", "BGPPeer", "bgpconfig"...
Result<ResourceKind> edited_kind(std::string_view word);

/// Which object a manifest is of; an Error when it is none that can be applied: of another kind, without a name.
Result<ResourceId> edited_id(const nlohmann::json& manifest);

/// What else a pool's manifest has to agree with.
struct PoolSurroundings {
    std::map<std::string, Prefix> pools;  ///< all, by name
    std::vector<Prefix> blocks;           ///< all; looked at for a new pool alone
};

/// What a new object is given.
struct Birth {
    std::string uid;
    std::string created;  ///< RFC 3339
};

struct ResourceEdit {
    nlohmann::json object;               ///< as it is to be stored; of use only without errors
    bool changed = false;                ///< it is another than what is stored
    std::vector<FieldTrouble> errors;    ///< Calico would not take it
    std::vector<FieldTrouble> warnings;  ///< Calico takes it, weft does not do it
};
/// `stored`: null where there is none yet.
ResourceEdit edit_resource(const ResourceId& id, const nlohmann::json& manifest, const nlohmann::json* stored,
                           const PoolSurroundings& beside, const Birth& birth);

/// "error with field IPPool.spec.cidr = '10.65.0.1/16' (IPPool CIDR must be strictly masked)"; of several errors a
/// list, each on its line.
std::string validation_words(const ResourceId& id, const nlohmann::json& object,
                             const std::vector<FieldTrouble>& errors);
/// "IPPool(default-ipv4-ippool)"
std::string calico_name(const ResourceId& id);

/// A stored object as it is shown: with the values that Calico assumes for what a pool leaves out, and the revision of
/// its last change as resourceVersion.
nlohmann::json shown_resource(ResourceKind kind, nlohmann::json object, std::int64_t revision);

}  // namespace weft
