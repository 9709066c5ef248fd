#include <utility>

#include "conf/etcd_client.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <fstream>
#include <set>

#include "conf/etcd_watch.hpp"
#include "etcd_server.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEmptyPage = R"({"header":{"cluster_id":"1","revision":"7"}})";

TEST(HttpUrl, IsSchemeHostAndPort) {
    const std::vector<std::pair<std::string, HttpUrl>> good{
        {"http://a", {.tls = false, .host = "a", .port = 2379, .text = "http://a"}},
        {"https://a.b:1/", {.tls = true, .host = "a.b", .port = 1, .text = "https://a.b:1/"}},
        {"https://[::1]:443", {.tls = true, .host = "::1", .port = 443, .text = "https://[::1]:443"}},
        {"http://[fd00::1]", {.tls = false, .host = "fd00::1", .port = 2379, .text = "http://[fd00::1]"}}};
    for (const auto& [text, url] : good) EXPECT_EQ(*parse_url(text, 2379), url) << text;
    for (const char* bad : {"", "a", "ftp://a", "http://", "http://:1", "http://a:", "http://a:0", "http://a:65536",
                            "http://a:1x", "http://a/path", "http://[::1", "http://[::1]x", "http://u@a"}) {
        EXPECT_FALSE(parse_url(bad, 2379)) << bad;
    }
}

TEST(EtcdPause, DoublesUpToItsLimitAndIsNeverTheSameForAll) {
    for (unsigned failures = 1; failures < 40; ++failures) {
        const auto most = std::min<std::chrono::milliseconds>(100ms * (1ULL << std::min(failures - 1, 20U)), 5s);
        for (int i = 0; i < 20; ++i) {
            const auto pause = pause_after(failures, 100ms, 5s);
            EXPECT_GE(pause, most / 2);
            EXPECT_LE(pause, most);
        }
    }
}

class EtcdClientTest : public testing::Test {
  protected:
    boost::asio::io_context io_;
};

struct Bad {
    const char* name;
    std::string says;
    enum class Then : std::uint8_t { hangs_up, resets, is_silent, repeats } then;
    const char* why;
};

TEST_F(EtcdClientTest, BadAnswersAreErrorsThatNameTheEndpointAndTheNextRequestIsWell) {
    using enum Bad::Then;
    const std::string page = reply(200, kEmptyPage);
    const std::vector<Bad> all{
        {"nothing", "", hangs_up, "closed the connection"},
        {"nothing, reset", "", resets, "reset"},
        {"nothing ever", "", is_silent, "no answer within"},
        {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", hangs_up, "not HTTP"},
        {"binary", std::string("\0\1\2\xff\r\n\r\n", 8), hangs_up, "etcd"},
        {"half a header", "HTTP/1.1 200 OK\r\nContent-", hangs_up, "closed the connection"},
        {"half a body", page.substr(0, page.size() - 5), hangs_up, "closed the connection"},
        {"half a body, silent", page.substr(0, page.size() - 5), is_silent, "no answer within"},
        {"half a body, reset", page.substr(0, page.size() - 5), resets, "etcd"},
        {"half a chunk", chunked_head() + "100\r\nabc", hangs_up, "closed the connection"},
        {"a bad chunk", chunked_head() + "zz\r\nabc", hangs_up, "etcd"},
        {"a header without end", "X-Long: " + std::string(1000, 'x') + "\r\n", repeats, "etcd"},
        {"a body without end", chunk(std::string(10'000, ' ')), repeats, "larger than allowed"},
        {"a large body", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", is_silent, "larger than allowed"},
        {"HTML", reply(200, "<html>"), hangs_up, "not etcd's"},
        {"another JSON", reply(200, "[]"), hangs_up, "not etcd's"},
        {"no gateway", reply(404, "Not Found\n"), hangs_up, "--enable-grpc-gateway"},
        {"a balancer", reply(503, "<html>no backend"), hangs_up, "--enable-grpc-gateway"},
        {"a redirect", "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", hangs_up,
         "302"},
        {"no leader", reply(503, R"({"message":"etcdserver: no leader","code":14})"), hangs_up, "quorum"},
        {"no right", reply(403, R"({"message":"etcdserver: permission denied","code":7})"), hangs_up, "role"},
    };
    for (const Bad& bad : all) {
        SCOPED_TRACE(bad.name);
        bool good = false;
        std::function<void(const FakeServer::Peer&)> repeat = [&](const FakeServer::Peer& peer) { peer.say(bad.says); };
        std::optional<FakeServer::Peer> endless;
        FakeServer server(io_, [&](const FakeServer::Request&, const FakeServer::Peer& peer) {
            if (good) return peer.say(page);
            if (bad.then == repeats) {
                peer.say(bad.name == std::string("a header without end") ? "HTTP/1.1 200 OK\r\n" : chunked_head());
                endless = peer;
                return;
            }
            peer.say(bad.says);
            if (bad.then == hangs_up) peer.hang_up();
            if (bad.then == resets) peer.reset();
        });
        auto options = impatient({server.url()});
        options.patience = 300ms;
        options.largest_reply = 50'000;
        EtcdClient client(io_, options);
        std::optional<Result<EtcdSnapshot>> answer;
        client.read({"/a"}, [&](Result<EtcdSnapshot> got) { answer = std::move(got); });
        ASSERT_TRUE(run_until(io_, [&] {
            if (endless) endless->say(bad.says);
            return answer.has_value();
        }));
        ASSERT_FALSE(*answer);
        EXPECT_THAT(answer->error().message, AllOf(HasSubstr(server.url()), HasSubstr(bad.why)));
        EXPECT_EQ(client.status().trouble, answer->error().message);
        endless.reset();
        good = true;
        EXPECT_TRUE(read_all(io_, client, "/a"));
        EXPECT_THAT(client.status().trouble, IsEmpty());
    }
}

TEST_F(EtcdClientTest, AnswersByteByByteAreTakenAndTheConnectionIsKept) {
    FakeServer server(io_, [](const FakeServer::Request& request, const FakeServer::Peer& peer) {
        EXPECT_EQ(request.path, "/v3/kv/range");
        for (const char c : reply(200, kEmptyPage)) peer.say(std::string(1, c));
    });
    EtcdClient client(io_, impatient({server.url()}));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(read_all(io_, client, "/a")->header.revision, 7);
    EXPECT_EQ(server.connections(), 1U);
}

TEST_F(EtcdClientTest, AConnectionThatWasClosedMeanwhileIsMadeAnewAlsoForAWrite) {
    std::optional<FakeServer::Peer> last;
    FakeServer server(io_, [&](const FakeServer::Request&, const FakeServer::Peer& peer) {
        peer.say(reply(200, kEmptyPage));
        last = peer;
    });
    EtcdClient client(io_, impatient({server.url()}));
    ASSERT_TRUE(read_all(io_, client, "/a"));
    last->hang_up();
    io_.restart();
    io_.run_for(20ms);
    EXPECT_TRUE(transact(io_, client, {.compares = {}, .then = {put("k", "v")}, .otherwise = {}}));
    EXPECT_EQ(server.connections(), 2U);
    EXPECT_EQ(client.status().failures, 0U);
}

TEST_F(EtcdClientTest, AnEndpointThatIsDownIsPassedOverAndNotAskedAgainAndAgain) {
    EtcdServer etcd;
    for (int i = 0; i < 4; ++i) {  // whichever it begins with
        EtcdClient client(io_, impatient({"http://127.0.0.1:1", etcd.url()}));
        for (int j = 0; j < 10; ++j) ASSERT_TRUE(read_all(io_, client, "/a"));
        EXPECT_LE(client.status().failures, 1U);
        EXPECT_EQ(client.status().endpoint, etcd.url());
    }
}

TEST_F(EtcdClientTest, WhenAllAreDownTheErrorNamesThemAll) {
    EtcdClient client(io_, impatient({"http://127.0.0.1:1", "http://127.0.0.1:2"}));
    const auto answer = read_all(io_, client, "/a");
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, AllOf(HasSubstr("http://127.0.0.1:1: Connection refused"),
                                              HasSubstr("http://127.0.0.1:2"), HasSubstr("endpoint health")));
}

TEST_F(EtcdClientTest, AnOwnerThatAsksAgainAtOnceDoesNotMakeABusyLoop) {
    FakeServer server(io_, [&](const FakeServer::Request&, const FakeServer::Peer& peer) { peer.hang_up(); });
    EtcdClient client(io_, impatient({server.url()}));
    std::size_t failed = 0;
    std::function<void()> again = [&] {
        client.get("/a", [&](const Result<EtcdSnapshot>& got) {
            failed += got ? 0 : 1;
            again();
        });
    };
    again();
    run_until(
        io_, [] { return false; }, 2s);
    EXPECT_GE(failed, 5U);
    EXPECT_LE(failed, 30U);  // pauses of 20, 40, 80, 160, 200, 200 ... ms, or half of them
    EXPECT_LE(server.connections(), 31U);
}

TEST_F(EtcdClientTest, AWriteWhoseReplyIsLostIsNotDoneTwice) {
    EtcdServer etcd;
    Proxy proxy(io_, etcd.port());
    Proxy other(io_, etcd.port());
    proxy.set(Proxy::Mode::reset, 10);
    other.set(Proxy::Mode::reset, 10);
    EtcdClient client(io_, impatient({proxy.url(), other.url()}));
    const auto done = transact(io_, client, {.compares = {}, .then = {put("/k", "v")}, .otherwise = {}});
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("whether it was done is unknown"));
    EtcdClient direct(io_, impatient({etcd.url()}));
    const auto found = read_all(io_, direct, "/k");
    ASSERT_TRUE(found);
    ASSERT_EQ(found->kvs.size(), 1U);
    EXPECT_EQ(found->kvs.front().version, 1);
}

TEST_F(EtcdClientTest, ATransactionHasItsConditionsAndItsAlternative) {
    EtcdServer etcd;
    EtcdClient client(io_, impatient({etcd.url()}));
    const EtcdTransaction create{.compares = {absent("/k")}, .then = {put("/k", "one")}, .otherwise = {read("/k")}};
    const auto first = transact(io_, client, create);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(first->succeeded);
    const auto second = transact(io_, client, create);
    ASSERT_TRUE(second);
    EXPECT_FALSE(second->succeeded);
    ASSERT_EQ(second->read.size(), 1U);
    EXPECT_EQ(second->read.front().value, "one");
    const EtcdTransaction change{
        .compares = {unchanged("/k", second->read.front().mod_revision)}, .then = {erase("/k")}, .otherwise = {}};
    EXPECT_TRUE(transact(io_, client, change)->succeeded);
    EXPECT_FALSE(transact(io_, client, change)->succeeded);
    EXPECT_THAT(read_all(io_, client, "/k")->kvs, IsEmpty());
}

TEST_F(EtcdClientTest, ALeaseKeepsAKeyWhileItIsKept) {
    EtcdServer etcd;
    EtcdClient client(io_, impatient({etcd.url()}));
    const auto lease = await<std::int64_t>(io_, [&](auto done) { client.grant_lease(60s, std::move(done)); });
    ASSERT_TRUE(lease) << lease.error().message;
    ASSERT_TRUE(transact(io_, client, {.compares = {}, .then = {put("/k", "v", *lease)}, .otherwise = {}}));
    const auto keep = [&] {
        return await<std::int64_t>(io_, [&](auto done) { client.keep_lease(*lease, std::move(done)); });
    };
    EXPECT_EQ(*keep(), 60);
    EXPECT_EQ(read_all(io_, client, "/k")->kvs.front().lease, *lease);
    ASSERT_TRUE(await<Done>(io_, [&](auto done) { client.revoke_lease(*lease, std::move(done)); }));
    EXPECT_EQ(*keep(), 0);
    EXPECT_THAT(read_all(io_, client, "/k")->kvs, IsEmpty());
}

TEST_F(EtcdClientTest, AFullDiskIsToldWithWhatToDoAndReadsGoOn) {
    EtcdServer etcd({.certificate = {}, .key = {}, .client_ca = {}, .arguments = {"--quota-backend-bytes", "100000"}});
    EtcdClient client(io_, impatient({etcd.url()}));
    Result<EtcdTransacted> last = EtcdTransacted{};
    for (int i = 0; i < 1000 && last; ++i) {
        const auto write = put("/k/" + std::to_string(i), std::string(20'000, 'x'));
        last = transact(io_, client, {.compares = {}, .then = {write}, .otherwise = {}});
    }
    ASSERT_FALSE(last);
    EXPECT_THAT(last.error().message, AllOf(HasSubstr("space exceeded"), HasSubstr("etcdctl alarm list")));
    EXPECT_TRUE(read_all(io_, client, "/k/"));
}

TEST_F(EtcdClientTest, PagesThatAreTooLargeAreReadInSmallerOnes) {
    EtcdServer etcd;
    EtcdClient client(io_, impatient({etcd.url()}));
    for (int i = 0; i < 20; ++i) {
        const std::string key = "/k/" + std::to_string(100 + i);
        ASSERT_TRUE(
            transact(io_, client, {.compares = {}, .then = {put(key, std::string(50'000, 'x'))}, .otherwise = {}}));
    }
    auto options = impatient({etcd.url()});
    options.largest_reply = 200'000;
    EtcdClient bounded(io_, options);
    const auto all = read_all(io_, bounded, "/k/");
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->kvs.size(), 20U);
}

TEST_F(EtcdClientTest, ItsOwnerMayEndItFromACallbackOrWithARequestUnderWay) {
    FakeServer server(
        io_, [](const FakeServer::Request&, const FakeServer::Peer& peer) { peer.say(reply(200, kEmptyPage)); });
    auto client = std::make_unique<EtcdClient>(io_, impatient({server.url()}));
    bool other = false;
    client->get("/a", [&](const Result<EtcdSnapshot>&) { client.reset(); });
    client->get("/b", [&](const Result<EtcdSnapshot>&) { other = true; });
    ASSERT_TRUE(run_until(io_, [&] { return !client; }));
    client = std::make_unique<EtcdClient>(io_, impatient({server.url()}));
    client->get("/a", [&](const Result<EtcdSnapshot>&) { other = true; });
    io_.restart();
    io_.run_one();
    client.reset();
    EXPECT_FALSE(run_until(
        io_, [&] { return other; }, 50ms));
}

/// A CA, a server's certificate for 127.0.0.1, and a client's, each in a file.
class Certificates {
  public:
    explicit Certificates(const TemporaryDirectory& directory) : at_(directory / "") { make(); }
    /// All new, in the same files.
    void make() const {
        const std::string key = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";
        shell("cd " + at_ + " && " + key + "-x509 -keyout ca.key -out ca.pem -subj /CN=ca$$ -days 2");
        for (const char* name : {"server", "client", "elsewhere"}) {
            const std::string_view n = name;
            std::ofstream(fmt::format("{}{}.ext", at_, n))
                << (n == "server" ? "subjectAltName=IP:127.0.0.1,DNS:localhost\n" : "subjectAltName=DNS:else.where\n");
            shell(
                fmt::format("cd {0} && {1} -keyout {2}.key -out {2}.csr -subj /CN={2} && "
                            "openssl x509 -req -in {2}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
                            "-extfile {2}.ext -out {2}.new && mv {2}.new {2}.pem",
                            at_, key, n));
        }
    }
    std::string file(const std::string& name) const { return at_ + name; }
    TlsFiles tls() const {
        return {.ca = file("ca.pem"), .certificate = file("client.pem"), .key = file("client.key")};
    }

  private:
    std::string at_;
};

class EtcdTlsTest : public EtcdClientTest {
  protected:
    Result<EtcdSnapshot> read_with(const std::string& url, TlsFiles tls) {
        auto options = impatient({url});
        options.tls = std::move(tls);
        EtcdClient client(io_, options);
        return read_all(io_, client, "/a");
    }

    TemporaryDirectory directory_;
    Certificates certificates_{directory_};
};

TEST_F(EtcdTlsTest, AsksForACertificateOfItsCaForThatHostAndShowsItsOwn) {
    EtcdServer etcd({.certificate = certificates_.file("server.pem"),
                     .key = certificates_.file("server.key"),
                     .client_ca = certificates_.file("ca.pem"),
                     .arguments = {}});
    const TlsFiles tls = certificates_.tls();
    const auto read = read_with(etcd.url(), tls);
    EXPECT_TRUE(read) << read.error().message;
    const std::string by_name = "https://localhost:" + std::to_string(etcd.port());
    EXPECT_TRUE(read_with(by_name, tls));

    TemporaryDirectory other;
    const auto trouble = [&](const TlsFiles& files, const std::string& url) {
        return read_with(url, files).error().message;
    };
    EXPECT_THAT(
        trouble({.ca = Certificates(other).file("ca.pem"), .certificate = tls.certificate, .key = tls.key}, etcd.url()),
        AllOf(HasSubstr(etcd.url()), HasSubstr("check 'ca'")));
    EXPECT_THAT(trouble({.ca = tls.ca, .certificate = {}, .key = {}}, etcd.url()), HasSubstr("certificate"));
    EXPECT_THAT(trouble({.ca = "/nonexistent/ca.pem", .certificate = {}, .key = {}}, etcd.url()),
                HasSubstr("ca /nonexistent/ca.pem"));
    EXPECT_THAT(trouble({.ca = tls.ca, .certificate = tls.key, .key = tls.key}, etcd.url()),
                HasSubstr("certificate " + tls.key));
    EXPECT_THAT(trouble(tls, "http://127.0.0.1:" + std::to_string(etcd.port())), HasSubstr("etcd http://"));
}

TEST_F(EtcdTlsTest, ACertificateForAnotherNameIsNotTaken) {
    EtcdServer etcd({.certificate = certificates_.file("elsewhere.pem"),
                     .key = certificates_.file("elsewhere.key"),
                     .client_ca = {},
                     .arguments = {}});
    const auto read = read_with(etcd.url(), certificates_.tls());
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("is not for '127.0.0.1'"));
}

TEST_F(EtcdTlsTest, AServerThatSpeaksNoTlsIsToldAsSuch) {
    EtcdServer etcd;
    const auto read = read_with("https://127.0.0.1:" + std::to_string(etcd.port()), certificates_.tls());
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("https"));
}

TEST_F(EtcdTlsTest, CertificatesThatAreReplacedAreUsedWithoutARestart) {
    EtcdServer etcd({.certificate = certificates_.file("server.pem"),
                     .key = certificates_.file("server.key"),
                     .client_ca = certificates_.file("ca.pem"),
                     .arguments = {}});
    auto options = impatient({etcd.url()});
    options.tls = certificates_.tls();
    EtcdClient client(io_, options);
    ASSERT_TRUE(read_all(io_, client, "/a"));
    etcd.stop();
    certificates_.make();
    etcd.start();
    const auto read = read_all(io_, client, "/a");
    EXPECT_TRUE(read) << read.error().message;
}

TEST_F(EtcdTlsTest, AFollowerTellsThatCertificatesAreOldWithoutHammeringAndGoesOnWithNewOnes) {
    EtcdServer etcd({.certificate = certificates_.file("server.pem"),
                     .key = certificates_.file("server.key"),
                     .client_ca = certificates_.file("ca.pem"),
                     .arguments = {}});
    const TemporaryDirectory own;  // this node's copies, which somebody has to replace too
    const auto copy = [&] {
        for (const char* name : {"ca.pem", "client.pem", "client.key"}) {
            std::filesystem::copy_file(certificates_.file(name), own / name,
                                       std::filesystem::copy_options::overwrite_existing);
        }
    };
    copy();
    auto options = impatient({etcd.url()});
    options.tls = {.ca = own / "ca.pem", .certificate = own / "client.pem", .key = own / "client.key"};
    EtcdClient client(io_, options);
    std::set<std::string> keys;
    std::string trouble;
    int snapshots = 0;
    EtcdFollower follower(client, {"/a/"},
                          {.snapshot = [&](const EtcdSnapshot&) { ++snapshots; },
                           .events =
                               [&](const std::vector<EtcdEvent>& events) {
                                   for (const EtcdEvent& event : events) keys.insert(event.kv.key);
                               },
                           .trouble = [&](std::string why) { trouble = std::move(why); }});
    ASSERT_TRUE(run_until(io_, [&] { return snapshots == 1; }));
    etcd.stop();
    certificates_.make();
    etcd.start();
    ASSERT_TRUE(run_until(io_, [&] { return trouble.find("check 'ca'") != std::string::npos; })) << trouble;
    options.tls = certificates_.tls();
    EtcdClient writer(io_, options);
    ASSERT_TRUE(transact(io_, writer, {.compares = {}, .then = {put("/a/1", "v")}, .otherwise = {}}));
    const auto streams = follower.streams();
    run_until(
        io_, [] { return false; }, 1s);
    EXPECT_LE(follower.streams() - streams, 20U);
    EXPECT_THAT(keys, IsEmpty());
    copy();
    ASSERT_TRUE(run_until(io_, [&] { return keys.contains("/a/1") && trouble.empty(); })) << trouble;
    EXPECT_EQ(snapshots, 1);
}

class EtcdLoginTest : public EtcdClientTest {
  protected:
    void SetUp() override {
        etcd_.etcdctl("user add root:rootpw");
        etcd_.etcdctl("role add weft");
        etcd_.etcdctl("role grant-permission --prefix=true weft readwrite /calico/");
        etcd_.etcdctl("user add node:pw");
        etcd_.etcdctl("user grant-role node weft");
        etcd_.etcdctl("auth enable");
    }
    std::unique_ptr<EtcdClient> client(const std::string& user, const std::string& password) {
        auto options = impatient({etcd_.url()});
        options.user = user;
        options.password = password;
        return std::make_unique<EtcdClient>(io_, options);
    }
    EtcdServer etcd_;
};

TEST_F(EtcdLoginTest, LogsInOnceAndAgainWhenItsTokenIsNoLongerGood) {
    const auto node = client("node", "pw");
    for (int i = 0; i < 3; ++i) {
        const auto read = read_all(io_, *node, "/calico/a");
        ASSERT_TRUE(read) << read.error().message;
    }
    EXPECT_EQ(node->status().logins, 1U);
    // That ends all tokens.
    etcd_.etcdctl("--user root:rootpw auth disable");
    etcd_.etcdctl("auth enable");
    const auto written = transact(io_, *node, {.compares = {}, .then = {put("/calico/a", "v")}, .otherwise = {}});
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(node->status().logins, 2U);
    // The rights changed: etcd wants tokens that are younger than that.
    etcd_.etcdctl("--user root:rootpw user add another:pw");
    const auto read = read_all(io_, *node, "/calico/a");
    ASSERT_TRUE(read) << read.error().message;
}

TEST_F(EtcdLoginTest, TellsWhatIsMissing) {
    EXPECT_THAT(read_all(io_, *client("", ""), "/calico/a").error().message,
                AllOf(HasSubstr(etcd_.url()), HasSubstr("set 'user' and 'password'")));
    EXPECT_THAT(read_all(io_, *client("node", "wrong"), "/calico/a").error().message, HasSubstr("check 'user'"));
    EXPECT_THAT(read_all(io_, *client("node", "pw"), "/secret").error().message, HasSubstr("needs a role"));
}

TEST_F(EtcdLoginTest, AWrongPasswordIsNotTriedInABusyLoop) {
    const auto node = client("node", "wrong");
    std::function<void()> again = [&] { node->get("/calico/a", [&](const Result<EtcdSnapshot>&) { again(); }); };
    again();
    run_until(
        io_, [] { return false; }, 1s);
    EXPECT_LE(node->status().logins, 20U);
    EXPECT_GE(node->status().logins, 2U);
}

}  // namespace
}  // namespace weft::test
