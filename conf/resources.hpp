// The store of decoded resources: objects come and go one at a time, by key; what they amount to is asked for whole.
//
//   etcd, manifests --put/remove--> Resources --cluster(), settings()--> what every source tells
//
// Pure and incremental: a put decodes one object (O(its size)), everything else stays decoded. An object that is
// invalid is reported by key and field, and its last valid form stays in use until it is put right or removed.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/block_owners.hpp"
#include "conf/finding.hpp"
#include "conf/resource.hpp"
#include "conf/resource_id.hpp"
#include "conf/settings.hpp"

namespace weft {

class Resources {
  public:
    /// `derive_tunnels`: nodes without tunnel addresses get the first address of their first block, as with a static
    /// file; with a store that Calico nodes share, a node has the tunnel addresses it says, or none.
    explicit Resources(bool derive_tunnels) : derive_tunnels_(derive_tunnels) {}

    /// Tells where a field of an object stands, for reports.
    using Where = std::function<std::string(const std::string& field)>;

    /// Takes an object, in the form its kind has in etcd (blocks and affinities bare) or as a manifest.
    void put(const ResourceId& id, const nlohmann::json& object, const Where& where);
    /// What stands there is no object at all.
    void refuse(const ResourceId& id, const FieldTrouble& finding, const Where& where);
    void remove(const ResourceId& id);
    /// All that are held, valid or not.
    std::vector<ResourceId> ids() const;
    std::size_t size() const;

    /// Pools, nodes, blocks and BGP neighbours; its settings are the built-in ones. O(n) in all that is held.
    /// What cannot be followed for reasons across objects is added to `troubles`.
    Cluster cluster(std::vector<ObjectTrouble>* troubles = nullptr) const;
    /// Settings for this node, and where each was said.
    SharedSettings settings(const std::string& node) const;
    /// False while Calico's datastoreReady is: the store is being migrated, what it says is not to be followed.
    bool datastore_ready() const;
    std::string cluster_guid() const;

    /// Objects in error first; then, of what is valid, what is not supported. Each sorted by kind and name.
    std::vector<ObjectTrouble> troubles() const;
    /// Objects in error.
    std::size_t invalid() const;

  private:
    void enter(const ResourceId& id, const nlohmann::json& object, const Where& where);
    /// Puts what is valid into `held`, the map of its kind or the owners, and reports what is not.
    template <class Held, class T>
    void take(Held& held, const ResourceId& id, Decoded<T> decoded, const Where& where);
    bool holds(const ResourceId& id) const;
    /// Calls `with` with the map of this kind; of blocks and affinities there is none.
    template <class Self, class With>
    static void with_map(Self& self, ResourceKind kind, With with);
    std::vector<Pool> routed_pools(std::vector<ObjectTrouble>* troubles) const;
    void across_objects(const Cluster& cluster, std::vector<ObjectTrouble>& troubles) const;
    std::string place_of(const ResourceId& id) const;

    bool derive_tunnels_;
    std::map<std::string, IpPool> pools_;
    std::map<std::string, NodeResource> nodes_;
    BlockOwners owners_;  ///< IPAM blocks and affinities
    std::map<std::string, BgpPeer> peers_;
    std::map<std::string, BgpConfiguration> bgp_;
    std::map<std::string, FelixConfiguration> felix_;
    std::map<std::string, ClusterInformation> information_;
    std::map<std::string, Installation> installations_;
    std::map<std::string, std::optional<Backend>> calico_config_;
    std::map<ResourceId, std::vector<ObjectTrouble>> reports_;  ///< only of objects there is something to say about
    std::map<ResourceId, std::string> places_;                  ///< of the few objects that settings come from
};

}  // namespace weft
