// weftctl itself, as people and scripts run it, against a control socket with a known state behind it.
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/commands.hpp"
#include "daemon/control_server.hpp"
#include "states.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

/// A controller that takes everything but the configuration "bad.conf", and knows the kernel's mind.
class Obliging final : public Actions {
  public:
    Result<Done> configure(const std::optional<std::string>& file, std::optional<std::chrono::seconds>) override {
        if (file && file->ends_with("bad.conf")) return Error{"bad.conf:1:1: what is this"};
        return Done{};
    }
    Result<std::string> check(const std::optional<std::string>& file) override { return file.value_or("the same"); }
    Result<Done> confirm() override { return Error{"no configuration waits to be confirmed"}; }
    Result<Done> undo() override { return Done{}; }
    Result<Done> accept_source() override { return Done{}; }
    Result<Done> remove_node(const std::string&) override { return Done{}; }
    Result<Preview> preview(const std::optional<std::string>& file) override {
        Preview preview;
        if (file) preview.kernel.push_back({.object = Sysctl{"ipv4/ip_forward", "1"}, .reason = "differs: value"});
        return preview;
    }
    Result<Lookup> lookup(const Address& destination) override {
        Lookup found;
        found.destination = destination;
        found.device = "eth0";
        found.gateway = address("192.0.2.12");
        found.type = "unicast";
        found.protocol = kProtocol;
        found.match = prefix("10.65.1.0/26");
        return found;
    }
};

struct Outcome {
    int status = 0;
    std::string out;
    std::string error;
};

class Weftctl : public testing::Test {
  protected:
    Weftctl() {
        std::string pattern = testing::TempDir() + "weftctl-XXXXXX";
        directory_ = mkdtemp(pattern.data());
        EXPECT_TRUE(server_.listen(socket()));
        loop_ = std::thread([this] { io_.run(); });
    }
    ~Weftctl() override {
        work_.reset();
        io_.stop();
        loop_.join();
        std::filesystem::remove_all(directory_);
    }
    std::string socket() const { return directory_ + "/weft.ctl"; }
    std::string command(const std::string& arguments) const {
        // libedit never frees the names of functions that were added to it.
        return fmt::format(
            "cd {0} && HOME={0} LSAN_OPTIONS=print_suppressions=0:suppressions={1}/libedit.leaks {2} -s {3} {4}",
            directory_, WEFT_TEST_DATA, WEFTCTL, socket(), arguments);
    }
    /// What a shell sees of `weftctl ARGUMENTS`.
    Outcome run(const std::string& arguments) const {
        const std::string line =
            fmt::format("( {} ) >{}/out 2>{}/error </dev/null", command(arguments), directory_, directory_);
        return done(std::system(line.c_str()));  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    }
    Outcome piped(const std::string& input, const std::string& arguments = "") const {
        std::ofstream(directory_ + "/in") << input;
        const std::string line =
            fmt::format("( {} ) >{}/out 2>{}/error <{}/in", command(arguments), directory_, directory_, directory_);
        return done(std::system(line.c_str()));  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    }
    Outcome done(int status) const {
        return {WEXITSTATUS(status), read(directory_ + "/out"), read(directory_ + "/error")};
    }
    static std::string read(const std::string& file) {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::string directory_;
    State state_ = four_nodes(Backend::vxlan);
    Obliging actions_;
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
    ControlServer server_{io_, [this](std::string_view line) { return execute(state_, actions_, line); }};
    std::thread loop_;
};

TEST_F(Weftctl, has_exit_statuses_that_scripts_can_trust) {
    struct Case {
        const char* arguments;
        int status;
    };
    for (const Case& c : std::initializer_list<Case>{{"show status", 0},
                                                     {"sh st", 0},
                                                     {"'show nodes'", 0},
                                                     {"--json show blocks", 0},
                                                     {"show nonsense", 1},
                                                     {"show", 1},
                                                     {"explain 10.65.1.2", 0},
                                                     {"explain 10.65.2.2", 1},
                                                     {"explain 203.0.113.1", 1},
                                                     {"explain 999.1.1.1", 1},
                                                     {"ready", 0},
                                                     {"ready --no-bgp", 0},
                                                     {"ready --bgp", 1},
                                                     {"configure", 0},
                                                     {"configure bad.conf", 1},
                                                     {"configure check", 0},
                                                     {"configure confirm", 1},
                                                     {"plan", 0},
                                                     {"plan new.conf", 2},
                                                     {"-s /nowhere show status", 1},
                                                     {"--version", 0},
                                                     {"--nonsense show status", 1}}) {
        const Outcome outcome = run(c.arguments);
        EXPECT_EQ(outcome.status, c.status) << c.arguments << "\n" << outcome.out << outcome.error;
    }
}

TEST_F(Weftctl, says_errors_on_standard_error_and_answers_on_standard_output) {
    EXPECT_THAT(run("show nonsense").error, HasSubstr("expected status | nodes"));
    EXPECT_EQ(run("show nonsense").out, "");
    EXPECT_THAT(run("explain 10.65.2.2").out, HasSubstr("Something is wrong"));
    EXPECT_EQ(run("explain 10.65.2.2").error, "");
    EXPECT_THAT(run("-s /nowhere show status").error, HasSubstr("is weftd running"));
}

TEST_F(Weftctl, says_ready_in_one_line) {
    for (const char* arguments : {"ready", "ready --bgp", "ready --no-bgp", "ready --json"}) {
        const std::string out = run(arguments).out;
        EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
    }
    EXPECT_THAT(run("ready --bgp").out, testing::StartsWith("Not ready (phase kernel-synced): bird: BIRD is off;"));
}

TEST_F(Weftctl, has_no_colours_in_a_pipe) {
    EXPECT_THAT(run("show nodes").out, Not(HasSubstr("\033")));
}

TEST_F(Weftctl, names_a_file_by_its_whole_path_because_weftd_is_elsewhere) {
    EXPECT_THAT(run("configure check ./x.conf").out, HasSubstr(directory_ + "/x.conf"));
}

TEST_F(Weftctl, carries_out_commands_from_a_pipe_and_ends_with_the_highest_status) {
    const Outcome good = piped("show status\n\nconfigure check\n");
    EXPECT_EQ(good.status, 0);
    EXPECT_THAT(good.out, HasSubstr("Daemon is up and running\nthe same\nConfiguration OK\n"));
    const Outcome mixed = piped("nonsense\nready\nquit\nplan x.conf\n");
    EXPECT_EQ(mixed.status, 1);
    EXPECT_THAT(mixed.out, HasSubstr("Ready"));
    EXPECT_THAT(mixed.out, Not(HasSubstr("ip_forward")));
}

/// weftctl on a terminal of its own.
class Terminal {
  public:
    explicit Terminal(const std::string& command) {
        const winsize size{.ws_row = 12, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
        child_ = forkpty(&terminal_, nullptr, nullptr, &size);
        if (child_ == 0) {
            setenv("TERM", "vt100", 1);  // NOLINT(concurrency-mt-unsafe): alone after the fork
            execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);  // NOLINT(cppcoreguidelines-pro-type-vararg)
            _exit(127);
        }
    }
    ~Terminal() {
        close(terminal_);
        if (child_ > 0) {
            kill(child_, SIGKILL);
            waitpid(child_, nullptr, 0);
        }
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    void type(std::string_view keys) const { EXPECT_EQ(write(terminal_, keys.data(), keys.size()), std::ssize(keys)); }
    /// Waits until this has been shown after all that was waited for before.
    bool shows(std::string_view text, std::chrono::milliseconds within = 5s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (true) {
            const std::size_t at = seen_.find(text);
            if (at != std::string::npos) {
                seen_.erase(0, at + text.size());
                return true;
            }
            pollfd readable{.fd = terminal_, .events = POLLIN, .revents = 0};
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            if (left <= 0ms || poll(&readable, 1, static_cast<int>(left.count())) <= 0) return false;
            std::array<char, 4096> bytes{};
            const ssize_t count = ::read(terminal_, bytes.data(), bytes.size());
            if (count <= 0) return false;
            seen_.append(bytes.data(), static_cast<std::size_t>(count));
        }
    }
    /// The exit status, once it has ended; -1 when it does not.
    int ends(std::chrono::milliseconds within = 5s) {
        static_cast<void>(shows("nothing says this, so all is read to the end", within));
        int status = 0;
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (waitpid(child_, &status, WNOHANG) == 0) {
            if (std::chrono::steady_clock::now() > deadline) return -1;
            std::this_thread::yield();
        }
        child_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    const std::string& seen() const { return seen_; }

  private:
    int terminal_ = -1;
    pid_t child_ = -1;
    std::string seen_;
};

TEST_F(Weftctl, is_interactive_on_a_terminal_with_completion_help_and_history) {
    {
        Terminal terminal(command(""));
        ASSERT_TRUE(terminal.shows("ready. `?` shows")) << terminal.seen();
        ASSERT_TRUE(terminal.shows("weft> ")) << terminal.seen();
        terminal.type("sh\tno\t\r");
        EXPECT_TRUE(terminal.shows("192.0.2.11/24")) << terminal.seen();
        terminal.type("show p\t");
        EXPECT_TRUE(terminal.shows("pools  protocols")) << terminal.seen();
        terminal.type("o\t\r");
        EXPECT_TRUE(terminal.shows("cross subnet")) << terminal.seen();
        terminal.type("conf");
        terminal.type("?");
        EXPECT_TRUE(terminal.shows("configure confirm")) << terminal.seen();
        terminal.type("\x15nonsense\r");
        EXPECT_TRUE(terminal.shows("not understood")) << terminal.seen();
        terminal.type("quit\r");
        EXPECT_EQ(terminal.ends(), 0);
    }
    EXPECT_THAT(read(directory_ + "/.weftctl_history"), HasSubstr("nonsense"));
    Terminal again(command(""));
    ASSERT_TRUE(again.shows("weft> "));
    again.type("\x10");  // Ctrl-P: the line before
    EXPECT_TRUE(again.shows("quit")) << again.seen();
    again.type("\x15\x04");
    EXPECT_EQ(again.ends(), 0);
}

TEST_F(Weftctl, leaves_birdc_content_pager_included) {
    if (std::system("command -v birdc >/dev/null") != 0) GTEST_SKIP() << "birdc is not installed";  // NOLINT
    for (int i = 0; i < 20; ++i) {
        state_.bgp.sessions.push_back(
            {.protocol = fmt::format("Mesh_{}", i), .peer = "", .node = "", .state = "up", .info = "Established"});
    }
    Terminal birdc("exec birdc -s " + socket());
    ASSERT_TRUE(birdc.shows("ready.")) << birdc.seen();
    birdc.type("show protocols\r");
    EXPECT_TRUE(birdc.shows("Name       Proto      Table      State  Since         Info")) << birdc.seen();
    EXPECT_TRUE(birdc.shows("vxlan-v6.calico VXLAN      ---        up")) << birdc.seen();
    EXPECT_TRUE(birdc.shows("--More--")) << birdc.seen();
    for (int page = 0; page < 3; ++page) birdc.type(" ");
    EXPECT_TRUE(birdc.shows("Mesh_19 ")) << birdc.seen();
    birdc.type("show status\r");
    EXPECT_TRUE(birdc.shows("weft " WEFT_VERSION)) << birdc.seen();
    // Keys that come while its pager begins or ends are the pager's or nobody's.
    int ended = -1;
    for (int times = 0; ended != 0 && times < 5; ++times) {
        birdc.type("\x15quit\r");
        ended = birdc.ends(1s);
    }
    EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace weft
