// Result<T>: a value, or an Error whose message names the object and says what to do about it.
//
// For what can go wrong outside the program (files, sockets, the kernel, people). Bugs and constructions that
// cannot go on are exceptions.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace weft {

/// What went wrong, in words an operator can act on.
struct Error {
    std::string message;
    bool operator==(const Error&) const = default;
};

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
    Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

    explicit operator bool() const { return held_.index() == 0; }
    /// The value; throws std::bad_variant_access when there is none (a bug in the caller).
    T& operator*() & { return std::get<0>(held_); }
    const T& operator*() const& { return std::get<0>(held_); }
    T&& operator*() && { return std::get<0>(std::move(held_)); }
    T* operator->() { return &std::get<0>(held_); }
    const T* operator->() const { return &std::get<0>(held_); }
    const Error& error() const { return std::get<1>(held_); }

  private:
    std::variant<T, Error> held_;
};

/// Success without a value.
struct Done {
    bool operator==(const Done&) const = default;
};

}  // namespace weft
