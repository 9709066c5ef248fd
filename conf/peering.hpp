// BGPPeer objects as neighbours: who peers with whom, selectors resolved.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "conf/resource.hpp"

namespace weft {

struct Peering {
    /// Sorted by address. Of a neighbour that is a node and says nothing else, AS and port are 0: the cluster's.
    std::vector<BgpNeighbor> neighbors;
    /// BGPPeers whose address is no node's and that state no AS: there is no session to be had.
    std::vector<std::string> without_as;
};

/// Each map by object name. Calico's rules: `node`, else `nodeSelector`, else every node has the session; the other
/// side is an address or the nodes of `peerSelector`; with reversePeering Auto such nodes have it too. O(peers *
/// nodes).
Peering neighbors_of(const std::map<std::string, BgpPeer>& peers, const std::map<std::string, NodeResource>& nodes,
                     const std::map<std::string, BgpConfiguration>& configurations);

}  // namespace weft
