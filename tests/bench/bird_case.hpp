// BIRD with as many mesh sessions as there are nodes: what its configuration costs to render, to check and to apply,
// what one node more costs, and what looking after it costs when nothing happens.
#pragma once

#include <cstdint>
#include <string>

#include "tests/bench/measure.hpp"

namespace weft::bench {

struct BirdOptions {
    std::string bird;
    int changes = 10;
};

/// In a namespace of its own (isolated). The peers do not exist: no session comes up, so that what is measured of BIRD
/// is its configuration, not its routes.
Figures bird_at_size(std::uint32_t nodes, const BirdOptions& options);

}  // namespace weft::bench
