// Waiting in a test for what an event loop brings about.
#pragma once

#include <chrono>
#include <functional>

namespace boost::asio {
class io_context;
}

namespace weft::test {

/// Runs the loop until `done` or the deadline; answers whether it is done.
bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
               std::chrono::milliseconds deadline = std::chrono::seconds(15));

}  // namespace weft::test
