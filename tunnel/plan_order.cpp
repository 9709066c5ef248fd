#include "tunnel/plan_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace weft {
namespace {

auto key(const Neighbour& entry) {
    return std::tie(entry.device, entry.address);
}
auto key(const FdbEntry& entry) {
    return std::tie(entry.device, entry.mac);
}
auto key(const Route& route) {
    return std::tie(route.destination, route.metric);
}

template <class T>
bool sorted_and_unique(const std::vector<T>& values) {
    return std::ranges::adjacent_find(values, [](const T& a, const T& b) { return !(key(a) < key(b)); }) ==
           values.end();
}

/// An entry's number and its place.
struct Numbered {
    std::uint64_t number = 0;
    std::uint32_t place = 0;
};

/// Sorts by number, keeping the order of equals: a radix sort, byte by byte. Hashes and addresses have no order that a
/// branch could be predicted from, so that sorting 5,000 of them by comparison took longer than all the rest of a plan.
void sort(std::vector<Numbered>& values, std::vector<Numbered>& spare) {
    std::uint64_t differing = 0;
    for (const Numbered& value : values) differing |= value.number ^ values.front().number;
    spare.resize(values.size());
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if ((differing >> shift & 0xFFU) == 0) continue;
        std::array<std::uint32_t, 256> places{};
        for (const Numbered& value : values) ++places[value.number >> shift & 0xFFU];
        std::uint32_t sum = 0;
        for (std::uint32_t& place : places) sum += std::exchange(place, sum);
        for (const Numbered& value : values) spare[places[value.number >> shift & 0xFFU]++] = value;
        values.swap(spare);
    }
}

/// Sorts by several numbers, the least significant first.
template <class T, class... Number>
void sort_by(std::vector<T>& values, Number... number) {
    std::vector<Numbered> order(values.size());
    std::vector<Numbered> spare;
    for (std::uint32_t at = 0; at < order.size(); ++at) order[at].place = at;
    const auto by = [&](auto number_of) {
        for (Numbered& one : order) one.number = number_of(values[one.place]);
        sort(order, spare);
    };
    (by(number), ...);
    std::vector<T> sorted;
    sorted.reserve(values.size());
    for (const Numbered& one : order) sorted.push_back(values[one.place]);
    values = std::move(sorted);
}

void sort_by_key(std::vector<Neighbour>& neighbours) {
    const auto low = [](const Neighbour& entry) { return entry.address.half(8); };
    const auto high = [](const Neighbour& entry) { return entry.address.half(0); };
    const auto device = [](const Neighbour& entry) { return static_cast<std::uint64_t>(entry.device); };
    sort_by(neighbours, low, high, device);
}

void sort_by_key(std::vector<FdbEntry>& fdb) {
    sort_by(fdb,
            [](const FdbEntry& entry) { return static_cast<std::uint64_t>(entry.device) << 48U | entry.mac.number(); });
}

void sort_by_key(std::vector<Route>& routes) {
    std::ranges::sort(routes);
}

template <class T>
void put_in_order(std::vector<T>& entries, std::string_view what, std::vector<Problem>& problems) {
    if (sorted_and_unique(entries)) return;
    sort_by_key(entries);
    if (sorted_and_unique(entries)) return;
    // Which one of several is the first depends on nothing but themselves.
    std::ranges::sort(entries);
    const auto same = [](const T& a, const T& b) { return key(a) == key(b); };
    for (std::size_t i = 1; i < entries.size(); ++i) {
        if (!same(entries[i - 1], entries[i])) continue;
        problems.push_back({.object = std::string(what),
                            .text = fmt::format("two nodes claim one: '{}' and '{}'; the first is used. Give each node "
                                                "its own",
                                                to_string(entries[i - 1]), to_string(entries[i])),
                            .unready = false});
    }
    entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
}

}  // namespace

void put_in_order(Plan& plan) {
    Desired& desired = plan.desired;
    std::ranges::sort(desired.sysctls);
    desired.sysctls.erase(std::unique(desired.sysctls.begin(), desired.sysctls.end()), desired.sysctls.end());
    put_in_order(desired.neighbours, "VXLAN tunnel address", plan.problems);
    put_in_order(desired.fdb, "VTEP MAC address", plan.problems);
    put_in_order(desired.routes, "route", plan.problems);
}

}  // namespace weft
