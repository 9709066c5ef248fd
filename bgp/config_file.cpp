#include "bgp/config_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace weft {

namespace fs = std::filesystem;

namespace {

/// Empty where there is no such file.
std::string content_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream content;
    content << in.rdbuf();
    return content.str();
}

}  // namespace

Result<Done> make_directory_of(const std::string& path) {
    const fs::path directory = fs::path(path).parent_path();
    std::error_code failure;
    if (!directory.empty() && fs::create_directories(directory, failure)) {
        fs::permissions(directory, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec, failure);
    }
    if (failure) {
        return Error{
            fmt::format("{}: {}; make it, or let weftd's user write there", directory.string(), failure.message())};
    }
    return Done{};
}

Result<Done> BirdFiles::stage(std::string_view text) const {
    if (const auto made = make_directory_of(staged()); !made) return made.error();
    const auto failed = [&](const char* what) {
        return Error{fmt::format("{}: {}: {}", staged(), what, std::strerror(errno))};
    };
    unlink(staged().c_str());
    const int file = open(staged().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (file < 0) return failed("cannot be made");
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t size = write(file, text.data() + done, text.size() - done);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) {
            const Error error = failed("cannot be written");
            close(file);
            discard();
            return error;
        }
        done += static_cast<std::size_t>(size);
    }
    if (close(file) != 0) return failed("cannot be written");
    return Done{};
}

Result<Done> BirdFiles::place() const {
    // One that is there already was live before one that BIRD has not accepted yet: it stays.
    if (link(live().c_str(), earlier().c_str()) != 0 && errno != EEXIST && errno != ENOENT) {
        return Error{fmt::format("{}: cannot be kept: {}", live(), std::strerror(errno))};
    }
    if (rename(staged().c_str(), live().c_str()) != 0) {
        return Error{fmt::format("{}: cannot be put in place: {}", live(), std::strerror(errno))};
    }
    return Done{};
}

void BirdFiles::confirm() const {
    unlink(earlier().c_str());
}

bool BirdFiles::restore() const {
    if (rename(earlier().c_str(), live().c_str()) == 0) return true;
    unlink(live().c_str());
    return false;
}

void BirdFiles::forget() const {
    for (const std::string& file : {staged(), earlier(), live()}) unlink(file.c_str());
}

void BirdFiles::discard() const {
    unlink(staged().c_str());
}

bool BirdFiles::live_is(std::string_view text) const {
    return content_of(live()) == text;
}

std::string BirdFiles::earlier_text() const {
    return content_of(earlier());
}

bool BirdFiles::has_live() const {
    return access(live().c_str(), R_OK) == 0;
}

pid_t BirdFiles::process() const {
    std::ifstream in(pid());
    pid_t process = 0;
    in >> process;
    return process;
}

std::string BirdFiles::last_words() const {
    std::ifstream in(log());
    std::string last;
    for (std::string line; std::getline(in, line);) {
        if (!line.empty()) last = line;
    }
    return last.substr(0, 500);
}

void BirdFiles::empty_log() const {
    const int file = open(log().c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0) close(file);
}

void BirdFiles::limit_log() const {
    struct stat about {};
    // BIRD appends, so it goes on at the beginning.
    if (stat(log().c_str(), &about) == 0 && about.st_size > 1024L * 1024) empty_log();
}

std::string without_passwords(std::string words, std::string_view text) {
    constexpr std::string_view kStatement = "password \"";
    for (std::size_t at = text.find(kStatement); at != std::string_view::npos; at = text.find(kStatement, at)) {
        at += kStatement.size();
        const std::string_view secret = text.substr(at, text.find('"', at) - at);
        if (secret.empty()) continue;
        for (std::size_t hit = words.find(secret); hit != std::string::npos; hit = words.find(secret, hit + 3)) {
            words.replace(hit, secret.size(), "***");
        }
    }
    return words;
}

}  // namespace weft
