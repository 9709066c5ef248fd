// Calico's resources in etcd, for people at a command line: read, applied and deleted as calicoctl does it. Every call
// blocks until it is done; the daemon reads them otherwise (conf/etcd_reader.hpp).
//
// Every write compares what it was decided from. When somebody else has written meanwhile it is decided again from what
// stands there now, a few times; unless the manifest states the resourceVersion that it was made from: then it is an
// update conflict.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "conf/etcd_client.hpp"
#include "conf/resource_edit.hpp"

namespace weft {

struct StoredResource {
    ResourceId id;
    nlohmann::json object;
    std::int64_t revision = 0;  ///< of its last change
};

/// What was done, and what there is to say about it.
struct ResourceWritten {
    bool changed = true;                 ///< false: it stood there already
    std::vector<FieldTrouble> warnings;  ///< what Calico takes and weft does not do
    std::vector<std::string> remarks;    ///< what a deletion leaves behind
};

/// An Error's message of this beginning: there is no such object.
inline constexpr const char* kDoesNotExist = "resource does not exist: ";

class ResourceStore {
  public:
    explicit ResourceStore(EtcdOptions options);
    ~ResourceStore();
    ResourceStore(const ResourceStore&) = delete;
    ResourceStore& operator=(const ResourceStore&) = delete;

    /// All of a kind, by name. What is no JSON is an Error that names its key.
    Result<std::vector<StoredResource>> list(ResourceKind kind);
    Result<StoredResource> get(const ResourceId& id);

    /// Creates the object or changes it into what the manifest says.
    Result<ResourceWritten> apply(const ResourceId& id, const nlohmann::json& manifest);
    /// `revision`: only while this was its last change; 0: whatever it is. A pool is disabled first, and its blocks
    /// lose their nodes; with a Node go its addresses, blocks, affinities, and the objects that are for it alone.
    Result<ResourceWritten> remove(const ResourceId& id, std::int64_t revision);

  private:
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

/// What a manifest says in metadata.resourceVersion; 0: nothing.
Result<std::int64_t> stated_revision(const nlohmann::json& manifest);

}  // namespace weft
