#include "tunnel/netlink_watch.hpp"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <span>

#include "literals.hpp"

namespace weft::test {
namespace {

using namespace netlink;

const Roles kRoles{{Device::vxlan4, 11}};
const FdbEntry kEntry{Device::vxlan4, *parse_mac("66:00:00:00:00:01"), A("192.0.2.1")};

/// A watch that believes in kEntry.
class WatchTest : public testing::Test {
  protected:
    WatchTest() {
        Observed observed;
        observed.fdb.push_back(kEntry);
        watch_.learn(Scope{}, kRoles, {}, {}, observed);
    }

    /// Whether this forwarding entry concerns weft when vxlan tells it, or the kernel's core.
    bool concerns(const FdbEntry& entry, bool by_vxlan) {
        Writer writer;
        writer.begin(RTM_NEWNEIGH, 0, 0);
        ndmsg header{};
        header.ndm_family = AF_BRIDGE;
        header.ndm_ifindex = static_cast<int>(kRoles.index(Device::vxlan4));
        header.ndm_state = NUD_PERMANENT;
        writer.fixed(header);
        writer.put_mac(NDA_LLADDR, entry.mac);
        if (!entry.destination.is_unspecified()) writer.put_address(NDA_DST, entry.destination);
        const nda_cacheinfo ages{};
        if (by_vxlan) writer.put(NDA_CACHEINFO, std::as_bytes(std::span(&ages, 1)));
        writer.end();
        Bytes rest = writer.bytes();
        return watch_.judge(*next_message(rest), 0x1234).notice.has_value();
    }

    Watch watch_;
};

TEST_F(WatchTest, a_forwarding_entry_as_it_is_believed_to_be_is_nothing_new) {
    EXPECT_FALSE(concerns(kEntry, true));
}

TEST_F(WatchTest, another_destination_is_a_change_and_so_is_none) {
    FdbEntry entry = kEntry;
    entry.destination = A("192.0.2.99");
    EXPECT_TRUE(concerns(entry, true));
    entry.destination = A("0.0.0.0");
    EXPECT_TRUE(concerns(entry, true));
}

TEST_F(WatchTest, what_the_core_of_older_kernels_tells_besides_without_the_destination_is_no_change) {
    FdbEntry entry = kEntry;
    entry.destination = A("0.0.0.0");
    EXPECT_FALSE(concerns(entry, false));
}

}  // namespace
}  // namespace weft::test
