// weftctl apply, get and delete: the cluster's resources in etcd, as calicoctl's users know these commands.
//
// They read where etcd is from weft.conf and talk to it themselves: they work on any machine that has the file, with or
// without a weftd.
#pragma once

#include <string>
#include <vector>

namespace weft {

inline constexpr const char* kConfigFile = "/etc/weft/weft.conf";

/// Whether a command's first word is one of these.
bool is_resource_command(const std::string& word);

/// `arguments` without the program's name; the exit status: 0 all done, 1 not, and what is wrong is on standard error.
int resource_command(const std::vector<std::string>& arguments);

/// For `help`: "get KIND [NAME...]" and what it does.
struct ResourceUsage {
    const char* pattern;
    const char* help;
};
const std::vector<ResourceUsage>& resource_usages();

}  // namespace weft
