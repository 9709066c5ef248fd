#include "bgp/status.hpp"

namespace weft {

std::string_view to_string(BirdState state) {
    switch (state) {
        case BirdState::off:
            return "off";
        case BirdState::starting:
            return "starting";
        case BirdState::running:
            return "running";
        case BirdState::failed:
            return "failed";
        case BirdState::stopping:
            break;
    }
    return "stopping";
}

}  // namespace weft
