// What a decision of registration's (conf/registration.hpp) has to read of the store, and the view that comes of it.
#pragma once

#include <string>

#include "conf/etcd_client.hpp"
#include "conf/registration.hpp"

namespace weft {

/// What every view of this node begins with, and that view.
EtcdTransaction first_reads(const std::string& node);
StoreView first_view(const std::string& node, const EtcdTransacted& found);

/// What a step asks for, as far as one transaction goes.
EtcdTransaction further_reads(const RegistrationStep& step);
/// Enters what these reads found, and what they did not.
void extend(StoreView& view, const EtcdTransaction& reads, const EtcdTransacted& found);

}  // namespace weft
