#include "tunnel/netlink_message.hpp"

#include <cerrno>

namespace weft::netlink {

void Writer::append(Bytes value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void Writer::begin(std::uint16_t type, unsigned flags, std::uint32_t sequence) {
    message_ = bytes_.size();
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    header.nlmsg_seq = sequence;
    fixed(header);
}

void Writer::end() {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - message_);
    std::memcpy(bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void Writer::acknowledge_last() {
    std::uint16_t flags = 0;
    std::byte* const at = bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_flags);
    std::memcpy(&flags, at, sizeof flags);
    flags = static_cast<std::uint16_t>(flags | NLM_F_ACK);
    std::memcpy(at, &flags, sizeof flags);
}

void Writer::put(unsigned type, Bytes value) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), static_cast<std::uint16_t>(type)};
    fixed(header);
    append(value);
}

void Writer::put_text(unsigned type, std::string_view value) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + value.size() + 1),
                        static_cast<std::uint16_t>(type)};
    fixed(header);
    const Bytes text = std::as_bytes(std::span(value));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(std::byte{0});
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void Writer::put_address(unsigned type, const Address& address) {
    put(type, std::as_bytes(std::span(address.bytes)).first(address.size()));
}

void Writer::put_mac(unsigned type, const Mac& mac) {
    put(type, std::as_bytes(std::span(mac.bytes)));
}

std::size_t Writer::open(unsigned type) {
    const std::size_t mark = bytes_.size();
    put(type | NLA_F_NESTED, {});
    return mark;
}

void Writer::close(std::size_t mark) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - mark);
    std::memcpy(bytes_.data() + mark + offsetof(nlattr, nla_len), &length, sizeof length);
}

void Writer::clear() {
    bytes_.clear();
    message_ = 0;
}

std::optional<Message> next_message(Bytes& datagram) {
    Message message;
    if (datagram.size() < sizeof message.header) return std::nullopt;
    std::memcpy(&message.header, datagram.data(), sizeof message.header);
    const std::size_t length = message.header.nlmsg_len;
    if (length < sizeof message.header || length > datagram.size()) return std::nullopt;
    message.body = datagram.subspan(sizeof message.header, length - sizeof message.header);
    const std::size_t step = NLMSG_ALIGN(length);
    datagram = step < datagram.size() ? datagram.subspan(step) : Bytes{};
    return message;
}

std::string_view Attribute::text() const {
    const std::string_view all(reinterpret_cast<const char*>(value.data()), value.size());
    return all.substr(0, all.find('\0'));
}

std::optional<Address> Attribute::address() const {
    if (value.size() != 4 && value.size() != 16) return std::nullopt;
    Address result;
    result.family = value.size() == 4 ? Family::v4 : Family::v6;
    std::memcpy(result.bytes.data(), value.data(), value.size());
    return result;
}

std::optional<Mac> Attribute::mac() const {
    Mac result;
    if (value.size() != result.bytes.size()) return std::nullopt;
    std::memcpy(result.bytes.data(), value.data(), value.size());
    return result;
}

int positive_errno(int error) {
    constexpr int kMost = 4095;  // MAX_ERRNO
    if (error < -kMost || error > kMost) return EBADMSG;
    return error < 0 ? -error : error;
}

std::optional<Answer> parse_answer(const Message& message) {
    if (message.body.size() < sizeof(nlmsgerr)) return std::nullopt;
    const auto error = message.fixed<nlmsgerr>();
    Answer answer{positive_errno(error.error), {}};
    if ((message.header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return answer;
    // NETLINK_CAP_ACK leaves out the payload of the request, and says so.
    std::size_t skip = sizeof(nlmsgerr);
    if ((message.header.nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > sizeof(nlmsghdr)) {
        skip += NLMSG_ALIGN(error.msg.nlmsg_len - sizeof(nlmsghdr));
    }
    if (skip >= message.body.size()) return answer;
    Bytes attributes = message.body.subspan(skip);
    while (const auto attribute = next_attribute(attributes)) {
        if (attribute->type == NLMSGERR_ATTR_MSG) answer.text = attribute->text();
    }
    return answer;
}

}  // namespace weft::netlink
