// Something that listens where BIRD would, and says what a test wants it to.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/run_until.hpp"
#include "tests/temporary_directory.hpp"

namespace weft::test {

class FakeBird {
  public:
    struct Script {
        std::string greeting = "0001 BIRD 2.0.12 ready.\n";
        std::function<std::string(const std::string& command)> answer;  ///< unset: never
        std::size_t portion = 1 << 20;                                  ///< bytes written at a time
        bool endless = false;                                           ///< an answer is written again and again
        bool hang_up = false;                                           ///< after an answer
        std::function<std::chrono::milliseconds()> delay =
            nullptr;  ///< of the next answer, on its connection; unset: none
    };

    FakeBird(boost::asio::io_context& io, const std::string& path, Script script);
    ~FakeBird();
    FakeBird(const FakeBird&) = delete;
    FakeBird& operator=(const FakeBird&) = delete;

    const std::vector<std::string>& commands() const;
    /// Unasked.
    void say(const std::string& text);
    void hang_up();

  private:
    struct Implementation;
    std::shared_ptr<Implementation> implementation_;
};

}  // namespace weft::test
