#include <utility>

#include "bgp/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace weft {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kMostOutput = 64UL * 1024;

std::vector<char*> argument_pointers(const std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));  // NOLINT
    pointers.push_back(nullptr);
    return pointers;
}

/// A running child: read until its output ends, then reaped. Its handlers own it.
struct Child : std::enable_shared_from_this<Child> {
    Child(asio::io_context& io, int output, pid_t process, std::function<void(Result<Ended>)> callback)
        : pipe(io, output), deadline(io), reap_timer(io), pid(process), done(std::move(callback)) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (reaped) return;
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }

    void read() {
        pipe.async_read_some(asio::buffer(chunk),
                             [self = shared_from_this()](const error_code& failure, std::size_t size) {
                                 if (failure) return self->reap();
                                 const std::size_t room = kMostOutput - self->ended.output.size();
                                 self->ended.output.append(self->chunk.data(), std::min(size, room));
                                 self->read();
                             });
    }

    void limit(std::chrono::milliseconds patience) {
        deadline.expires_after(patience);
        deadline.async_wait([weak = weak_from_this(), patience](const error_code& stopped) {
            const auto self = weak.lock();
            if (stopped || !self || self->reaped) return;
            self->late = fmt::format("did not end within {} ms", patience.count());
            kill(self->pid, SIGKILL);
            // A grandchild may hold the other end of the pipe for longer.
            error_code ignored;
            self->pipe.close(ignored);  // NOLINT(bugprone-unused-return-value)
        });
    }

    /// Its output has ended, so it ends as well, in microseconds or, if it closed it early, at the deadline.
    void reap() {
        int status = 0;
        if (waitpid(pid, &status, WNOHANG) == 0) {
            reap_timer.expires_after(1ms);
            reap_timer.async_wait([self = shared_from_this()](const error_code& stopped) {
                if (!stopped) self->reap();
            });
            return;
        }
        reaped = true;
        deadline.cancel();
        if (!late.empty()) return done(Error{late});
        ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        done(std::move(ended));
    }

    asio::posix::stream_descriptor pipe;
    asio::steady_timer deadline;
    asio::steady_timer reap_timer;
    pid_t pid;
    std::function<void(Result<Ended>)> done;
    std::array<char, 4096> chunk{};
    Ended ended;
    std::string late;  ///< why it was killed
    bool reaped = false;
};

/// Both ends of a pipe that no other child inherits.
struct Pipe {
    std::array<int, 2> ends{-1, -1};
    Pipe() {
        if (pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        close_read();
        close_write();
    }
    void close_read() { drop(ends[0]); }
    void close_write() { drop(ends[1]); }
    static void drop(int& end) {
        if (end >= 0) close(std::exchange(end, -1));
    }
};

/// posix_spawn with /dev/null for input, both outputs into `output`, and no signal blocked or ignored.
int spawn(pid_t& pid, const std::vector<std::string>& arguments, int output) {
    posix_spawn_file_actions_t actions{};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawnattr_t attributes{};
    posix_spawnattr_init(&attributes);
    sigset_t signals{};
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGCHLD);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failure = posix_spawn(&pid, arguments.front().c_str(), &actions, &attributes,
                                    argument_pointers(arguments).data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

/// What the detached process tells before it becomes another program, and if it cannot.
struct Report {
    pid_t pid = 0;
    int failure = 0;
};

bool tell(int pipe, const Report& report) {
    return write(pipe, &report, sizeof report) == static_cast<ssize_t>(sizeof report);
}

/// The rest of the detached process's life here. Only calls that are safe after fork().
[[noreturn]] void become(char* const* arguments, const char* log, int pipe) {
    const int null = open("/dev/null", O_RDWR);
    int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
    if (output < 0) output = null;
    dup2(null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    // Other descriptors stay here: a socket of weftd's that lived on in BIRD would keep its port.
    if (pipe != 3) pipe = dup3(pipe, 3, O_CLOEXEC);
    close_range(4, ~0U, 0);
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &standard, nullptr);
    sigaction(SIGCHLD, &standard, nullptr);
    sigset_t none{};
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (chdir("/") == 0 && tell(pipe, {.pid = getpid(), .failure = 0})) execv(*arguments, arguments);
    tell(pipe, {.pid = 0, .failure = errno});
    _exit(127);
}

}  // namespace

void run_program(asio::io_context& io, const std::vector<std::string>& arguments, std::chrono::milliseconds patience,
                 std::function<void(Result<Ended>)> done) {
    Pipe pipe;
    pid_t pid = 0;
    const int failure = pipe.ends[0] < 0 ? errno : spawn(pid, arguments, pipe.ends[1]);
    if (failure != 0) {
        asio::post(io, [done = std::move(done), failure] { done(Error{std::strerror(failure)}); });
        return;
    }
    const auto child = std::make_shared<Child>(io, std::exchange(pipe.ends[0], -1), pid, std::move(done));
    child->limit(patience);
    child->read();
}

Result<pid_t> start_detached(const std::vector<std::string>& arguments, const std::string& log) {
    Pipe pipe;
    if (pipe.ends[0] < 0) return Error{fmt::format("pipe: {}", std::strerror(errno))};
    const auto pointers = argument_pointers(arguments);
    const pid_t child = fork();
    if (child < 0) return Error{fmt::format("fork: {}", std::strerror(errno))};
    if (child == 0) {
        // A session of its own, whose leader ends at once: BIRD gets no terminal, and init for a parent.
        setsid();
        if (fork() != 0) _exit(0);
        become(pointers.data(), log.c_str(), pipe.ends[1]);
    }
    pipe.close_write();
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    // A successful exec closes the pipe after the first report, a failed one sends a second.
    Report first;
    Report second;
    const auto take = [&](Report& report) {
        ssize_t size = 0;
        do size = read(pipe.ends[0], &report, sizeof report);
        while (size < 0 && errno == EINTR);
        return size == static_cast<ssize_t>(sizeof report);
    };
    if (!take(first)) return Error{fmt::format("{}: could not be started", arguments.front())};
    if (first.failure == 0 && !take(second)) return first.pid;
    const int failure = first.failure != 0 ? first.failure : second.failure;
    return Error{fmt::format("{}: {}", arguments.front(), std::strerror(failure))};
}

bool runs_with(pid_t process, const std::string& argument) {
    if (process <= 0) return false;
    // A zombie has an empty command line; a process that ends while it is read has no more of it.
    std::ifstream in(fmt::format("/proc/{}/cmdline", process), std::ios::binary);
    for (std::string word; std::getline(in, word, '\0');) {
        if (word == argument) return true;
    }
    return false;
}

}  // namespace weft
