#include "conf/ipam.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include <nlohmann/json.hpp>

#include "conf/json.hpp"
#include "conf/text.hpp"

namespace weft {
namespace {

using nlohmann::json;

std::string path_form(const Prefix& cidr) {
    return fmt::format("{}-{}", to_string(cidr.address), cidr.length);
}

/// `address` and `number` added up.
Address plus(Address address, std::size_t number) {
    std::size_t at = address.size();
    while (number != 0 && at-- > 0) {
        number += address.bytes.at(at);
        address.bytes.at(at) = static_cast<std::uint8_t>(number);
        number >>= 8U;
    }
    return address;
}

}  // namespace

std::int64_t now_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string rfc3339(std::int64_t now) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(now / 1'000'000'000)));
}

std::string node_key(std::string_view node) {
    return fmt::format("{}{}", kNodeKeys, node);
}

std::string block_key(const Prefix& cidr) {
    return fmt::format("{}{}", cidr.family() == Family::v4 ? kBlockKeys4 : kBlockKeys6, path_form(cidr));
}

std::string affinity_keys(std::string_view node) {
    return fmt::format("/calico/ipam/v2/host/{}/", node);
}

std::string affinity_key(std::string_view node, const Prefix& cidr) {
    return fmt::format("{}{}/block/{}", affinity_keys(node), cidr.family() == Family::v4 ? "ipv4" : "ipv6",
                       path_form(cidr));
}

std::string handle_key(std::string_view handle) {
    return fmt::format("{}{}", kHandleKeys, handle);
}

std::optional<Prefix> block_of_key(std::string_view key) {
    const std::size_t name = key.rfind("/block/");
    if (name == std::string_view::npos) return std::nullopt;
    const std::string_view text = key.substr(name + 7);
    const std::size_t dash = text.rfind('-');
    if (dash == std::string_view::npos) return std::nullopt;
    return parse_prefix(fmt::format("{}/{}", text.substr(0, dash), text.substr(dash + 1)));
}

Result<BlockDocument> BlockDocument::parse(std::string_view value) {
    auto parsed = parse_json(value);
    if (!parsed) return parsed.error();
    BlockDocument block;
    block.document_ = *std::move(parsed);
    const json& document = block.document_;
    if (!document.is_object()) return Error{"it is no object"};
    const auto cidr = parse_prefix(text_at(document, "cidr"));
    if (!cidr || bits(cidr->family()) - cidr->length > 12) return Error{"cidr: it is no block's"};
    block.cidr_ = *cidr;
    const std::size_t size = std::size_t{1} << static_cast<unsigned>(bits(cidr->family()) - cidr->length);
    block.affinity_ = text_at(document, "affinity");
    const auto deleted = document.find("deleted");
    block.deleted_ = deleted != document.end() && deleted->is_boolean() && deleted->get<bool>();
    const auto sequence = document.find("sequenceNumber");
    if (sequence != document.end() && sequence->is_number_integer()) block.sequence_ = sequence->get<std::int64_t>();

    const auto attributes = document.find("attributes");
    if (attributes != document.end() && attributes->is_array()) {
        block.attributes_.assign(attributes->begin(), attributes->end());
    }
    const auto allocations = document.find("allocations");
    if (allocations == document.end() || !allocations->is_array() || allocations->size() != size) {
        return Error{fmt::format("allocations: {} places are expected", size)};
    }
    for (const json& each : *allocations) {
        if (each.is_null()) {
            block.allocations_.emplace_back();
            continue;
        }
        if (!each.is_number_unsigned() || each.get<std::size_t>() >= block.attributes_.size()) {
            return Error{"allocations: one refers to no attributes"};
        }
        block.allocations_.emplace_back(each.get<std::size_t>());
    }
    const auto unallocated = document.find("unallocated");
    std::vector<bool> listed(size);
    if (unallocated != document.end() && unallocated->is_array()) {
        for (const json& each : *unallocated) {
            const std::size_t ordinal = each.is_number_unsigned() ? each.get<std::size_t>() : size;
            if (ordinal >= size || listed[ordinal] || !block.free(ordinal)) {
                return Error{"unallocated: an address that is not free, or stands there twice"};
            }
            listed[ordinal] = true;
            block.unallocated_.push_back(ordinal);
        }
    }
    const auto sequences = document.find("sequenceNumberForAllocation");
    if (sequences != document.end() && sequences->is_object()) {
        for (const auto& [ordinal, number] : sequences->items()) {
            if (number.is_number_integer()) block.sequences_[ordinal] = number.get<std::int64_t>();
        }
    }
    return block;
}

BlockDocument BlockDocument::create(const Prefix& cidr, std::string_view node, std::int64_t now) {
    BlockDocument block;
    block.cidr_ = cidr;
    block.affinity_ = fmt::format("host:{}", node);
    const std::size_t size = std::size_t{1} << static_cast<unsigned>(bits(cidr.family()) - cidr.length);
    block.allocations_.resize(size);
    for (std::size_t ordinal = 0; ordinal < size; ++ordinal) block.unallocated_.push_back(ordinal);
    block.sequence_ = now;
    block.document_ = json{{"cidr", to_string(cidr)}, {"affinity_claim_time", rfc3339(now)}};
    return block;
}

std::string BlockDocument::node() const {
    return affinity_.starts_with("host:") ? affinity_.substr(5) : std::string{};
}

std::size_t BlockDocument::used() const {
    return static_cast<std::size_t>(
        std::count_if(allocations_.begin(), allocations_.end(), [](const auto& index) { return index.has_value(); }));
}

Address BlockDocument::address(std::size_t ordinal) const {
    return plus(cidr_.address, ordinal);
}

std::optional<std::size_t> BlockDocument::ordinal(const Address& address) const {
    if (!cidr_.contains(address)) return std::nullopt;
    // At most 12 bits are left of a block.
    const std::size_t last = address.size() - 1;
    const std::size_t low = std::size_t{address.bytes.at(last)} | std::size_t{address.bytes.at(last - 1)} << 8U;
    return low & (size() - 1);
}

AllocationOwner BlockDocument::owner(std::size_t ordinal) const {
    const auto& index = allocations_[ordinal];
    if (!index || !attributes_[*index].is_object()) return {};
    const json& attributes = attributes_[*index];
    AllocationOwner owner{.handle = text_at(attributes, "handle_id"), .node = {}, .type = {}};
    const auto secondary = attributes.find("secondary");
    if (secondary != attributes.end() && secondary->is_object()) {
        owner.node = text_at(*secondary, "node");
        owner.type = text_at(*secondary, "type");
    }
    return owner;
}

std::map<std::string, std::size_t> BlockDocument::handles() const {
    std::map<std::string, std::size_t> counts;
    for (std::size_t ordinal = 0; ordinal < size(); ++ordinal) {
        if (const std::string handle = owner(ordinal).handle; !handle.empty()) ++counts[handle];
    }
    return counts;
}

void BlockDocument::allocate(std::size_t ordinal, const AllocationOwner& owner) {
    json attributes{{"handle_id", owner.handle}, {"secondary", {{"node", owner.node}, {"type", owner.type}}}};
    auto same = std::find(attributes_.begin(), attributes_.end(), attributes);
    if (same == attributes_.end()) same = attributes_.insert(same, std::move(attributes));
    allocations_[ordinal] = static_cast<std::size_t>(same - attributes_.begin());
    std::erase(unallocated_, ordinal);
    sequences_[std::to_string(ordinal)] = sequence_;
    drop_unused_attributes();
}

void BlockDocument::release(std::size_t ordinal) {
    if (free(ordinal)) return;
    allocations_[ordinal].reset();
    unallocated_.push_back(ordinal);
    sequences_.erase(std::to_string(ordinal));
    drop_unused_attributes();
}

void BlockDocument::drop_unused_attributes() {
    std::vector<std::size_t> moved(attributes_.size());
    std::vector<json> kept;
    for (std::size_t index = 0; index < attributes_.size(); ++index) {
        const bool used = std::find(allocations_.begin(), allocations_.end(), index) != allocations_.end();
        moved[index] = kept.size();
        if (used) kept.push_back(std::move(attributes_[index]));
    }
    for (auto& index : allocations_) {
        if (index) index = moved[*index];
    }
    attributes_ = std::move(kept);
}

void BlockDocument::clear_affinity() {
    affinity_.clear();
}

std::string BlockDocument::next() const {
    json document = document_;
    document["affinity"] = affinity_.empty() ? json(nullptr) : json(affinity_);
    document["allocations"] = json::array();
    for (const auto& index : allocations_) document["allocations"].push_back(index ? json(*index) : json(nullptr));
    document["unallocated"] = unallocated_;
    document["attributes"] = attributes_;
    document["sequenceNumber"] = sequence_ + 1;
    document["sequenceNumberForAllocation"] = json::object();
    for (const auto& [ordinal, number] : sequences_) document["sequenceNumberForAllocation"][ordinal] = number;
    document["deleted"] = deleted_;
    return document.dump();
}

std::string affinity_document(std::string_view state) {
    return json{{"state", state}, {"deleted", false}}.dump();
}

Result<std::string> affinity_state(std::string_view value) {
    if (value.empty()) return std::string("confirmed");
    const auto document = parse_json(value);
    if (!document) return document.error();
    if (!document->is_object()) return Error{"it is no object"};
    const std::string state = text_at(*document, "state");
    return state.empty() ? "confirmed" : state;
}

Result<HandleDocument> HandleDocument::parse(std::string_view value) {
    const auto document = parse_json(value);
    if (!document) return document.error();
    if (!document->is_object()) return Error{"it is no object"};
    HandleDocument handle{.id = text_at(*document, "handle_id"), .blocks = {}};
    const auto blocks = document->find("block");
    if (blocks == document->end() || !blocks->is_object()) return handle;
    for (const auto& [cidr, count] : blocks->items()) {
        if (!count.is_number_integer()) return Error{fmt::format("block.{}: it is no number", shown(cidr))};
        handle.blocks[cidr] = count.get<std::int64_t>();
    }
    return handle;
}

std::string HandleDocument::text() const {
    return json{{"handle_id", id}, {"block", blocks}, {"deleted", false}}.dump();
}

void HandleDocument::add(const Prefix& block, std::int64_t count) {
    const std::string cidr = to_string(block);
    if ((blocks[cidr] += count) <= 0) blocks.erase(cidr);
}

}  // namespace weft
