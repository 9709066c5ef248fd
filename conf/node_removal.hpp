// Takes a node that is gone out of the store: `weftctl node remove`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conf/etcd_client.hpp"
#include "conf/result.hpp"

namespace weft {

/// Cleans up after a node that is gone; `done` is told what was done, or why it was not: it lives, is not known, or the
/// store failed.
void remove_node(EtcdClient& client, std::string node, std::function<void(Result<std::vector<std::string>>)> done);

}  // namespace weft
