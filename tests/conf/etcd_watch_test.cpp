#include <utility>

#include "conf/etcd_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include <map>

#include "etcd_server.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

/// A client with little patience, so that tests are quick.
EtcdOptions impatient(std::vector<std::string> endpoints) {
    EtcdOptions options;
    options.endpoints = std::move(endpoints);
    options.patience = 2s;
    options.first_pause = 20ms;
    options.longest_pause = 200ms;
    options.silence = 2s;
    return options;
}

/// Does it, and waits for the answer.
Result<EtcdTransacted> transact(boost::asio::io_context& io, EtcdClient& client, const EtcdTransaction& transaction) {
    std::optional<Result<EtcdTransacted>> answer;
    client.transact(transaction, [&](Result<EtcdTransacted> got) { answer = std::move(got); });
    EXPECT_TRUE(run_until(io, [&] { return answer.has_value(); }));
    return answer ? *answer : Result<EtcdTransacted>(Error{"no answer at all"});
}

/// What a follower was told, put together.
struct Copy {
    EtcdFollower::Told told() {
        return {.snapshot =
                    [this](EtcdSnapshot all) {
                        content.clear();
                        for (auto& kv : all.kvs) content[kv.key] = kv.value;
                        revision = all.header.revision;
                        ++snapshots;
                    },
                .events =
                    [this](const std::vector<EtcdEvent>& events) {
                        for (const auto& event : events) {
                            if (event.deleted) content.erase(event.kv.key);
                            if (!event.deleted) content[event.kv.key] = event.kv.value;
                            revision = event.kv.mod_revision;
                            ++changes;
                        }
                    },
                .trouble = [this](const std::string& why) { trouble.push_back(why); }};
    }
    std::map<std::string, std::string> content;
    std::int64_t revision = 0;
    int snapshots = 0;
    int changes = 0;
    std::vector<std::string> trouble;
};

class EtcdWatchTest : public testing::Test {
  protected:
    static void SetUpTestSuite() { etcd_ = std::make_unique<EtcdServer>(); }
    static void TearDownTestSuite() { etcd_.reset(); }

    void SetUp() override { etcd_->etcdctl("del --prefix ''"); }

    Result<EtcdTransacted> change(std::vector<EtcdOperation> operations) {
        return transact(io_, writer_, {.compares = {}, .then = std::move(operations), .otherwise = {}});
    }
    bool until(const std::function<bool()>& done) { return run_until(io_, done); }

    static std::unique_ptr<EtcdServer> etcd_;
    boost::asio::io_context io_;
    EtcdClient writer_{io_, impatient({etcd_->url()})};
};
std::unique_ptr<EtcdServer> EtcdWatchTest::etcd_;

TEST_F(EtcdWatchTest, TellsWhatIsThereAndThenWhatChanges) {
    ASSERT_TRUE(change({put("/a/1", "one"), put("/b/1", "other"), put("/c/1", "not asked for")}));
    EtcdClient client(io_, impatient({etcd_->url()}));
    Copy copy;
    EtcdFollower follower(client, {"/a/", "/b/"}, copy.told());
    EXPECT_EQ(copy.snapshots, 0);
    ASSERT_TRUE(until([&] { return copy.snapshots == 1; }));
    EXPECT_THAT(copy.content, ElementsAre(Pair("/a/1", "one"), Pair("/b/1", "other")));
    ASSERT_TRUE(change({put("/a/2", std::string("\0\xff", 2)), put("/c/2", "x"), erase("/b/1")}));
    ASSERT_TRUE(change({put("/a/1", "new")}));
    ASSERT_TRUE(until([&] { return copy.changes == 3; }));
    EXPECT_THAT(copy.content, ElementsAre(Pair("/a/1", "new"), Pair("/a/2", std::string("\0\xff", 2))));
    EXPECT_EQ(copy.snapshots, 1);
    EXPECT_THAT(copy.trouble, IsEmpty());
}

TEST_F(EtcdWatchTest, ReadsManyKeysPageByPageAtOneRevision) {
    for (int block = 0; block < 10; ++block) {
        std::vector<EtcdOperation> some;
        for (int i = 0; i < 100; ++i) {
            std::string number = std::to_string(1000 + block * 100 + i);
            some.push_back(put("/n/" + number, number));
        }
        ASSERT_TRUE(change(some));
    }
    auto options = impatient({etcd_->url()});
    options.page = 7;
    EtcdClient client(io_, options);
    std::optional<Result<EtcdSnapshot>> answer;
    client.read({"/n/", "/none/"}, [&](Result<EtcdSnapshot> got) { answer = std::move(got); });
    // Changes while it reads: the snapshot does not have them.
    bool changed = false;
    ASSERT_TRUE(until([&] { return client.status().requests > 5; }));
    writer_.transact({.compares = {}, .then = {erase("/n/1999"), put("/n/1998", "changed")}, .otherwise = {}},
                     [&](const Result<EtcdTransacted>& done) { changed = bool(done); });
    ASSERT_TRUE(until([&] { return changed && answer.has_value(); }));
    ASSERT_TRUE(*answer) << answer->error().message;
    ASSERT_EQ((*answer)->kvs.size(), 1000U);
    EXPECT_EQ((*answer)->kvs.back().value, "1999");
    EXPECT_EQ((*answer)->kvs[998].value, "1998");
    EXPECT_EQ(client.status().requests, 1000U / 7 + 1 + 1);
}

TEST_F(EtcdWatchTest, GoesOnFromWhereItWasWhenEtcdIsRestarted) {
    EtcdClient client(io_, impatient({etcd_->url()}));
    Copy copy;
    EtcdFollower follower(client, {"/a/"}, copy.told());
    ASSERT_TRUE(change({put("/a/1", "one")}));
    ASSERT_TRUE(until([&] { return copy.content.contains("/a/1"); }));
    etcd_->stop();
    ASSERT_TRUE(until([&] { return !copy.trouble.empty(); }));
    EXPECT_THAT(copy.trouble.back(), HasSubstr(etcd_->url()));
    etcd_->start();
    etcd_->etcdctl("put /a/2 two");
    ASSERT_TRUE(until([&] { return copy.content.contains("/a/2"); }));
    EXPECT_EQ(copy.trouble.back(), "");
    EXPECT_EQ(copy.snapshots, 1);
}

TEST_F(EtcdWatchTest, WhatWasCompactedAwayIsReadAfresh) {
    EtcdClient client(io_, impatient({etcd_->url()}));
    Proxy proxy(io_, etcd_->port());
    EtcdClient through(io_, impatient({proxy.url()}));
    Copy copy;
    EtcdFollower follower(through, {"/a/"}, copy.told());
    ASSERT_TRUE(change({put("/a/1", "one")}));
    ASSERT_TRUE(until([&] { return copy.content.contains("/a/1"); }));
    proxy.set(Proxy::Mode::reset, 0);
    ASSERT_TRUE(change({put("/a/2", "two")}));
    ASSERT_TRUE(change({erase("/a/1")}));
    const auto last = change({put("/a/3", "three")});
    ASSERT_TRUE(last);
    etcd_->etcdctl("compact " + std::to_string(last->header.revision));
    ASSERT_TRUE(until([&] { return !copy.trouble.empty(); }));
    proxy.set(Proxy::Mode::pass);
    ASSERT_TRUE(until([&] { return copy.snapshots == 2; }));
    EXPECT_THAT(copy.content, ElementsAre(Pair("/a/2", "two"), Pair("/a/3", "three")));
    ASSERT_TRUE(until([&] { return copy.trouble.back().empty(); }));
}

TEST_F(EtcdWatchTest, AStreamThatIsSwallowedIsReplaced) {
    Proxy proxy(io_, etcd_->port());
    EtcdClient client(io_, impatient({proxy.url()}));
    Copy copy;
    EtcdFollower follower(client, {"/a/"}, copy.told());
    ASSERT_TRUE(until([&] { return follower.streams() == 1; }));
    ASSERT_TRUE(change({put("/a/1", "one")}));
    ASSERT_TRUE(until([&] { return copy.changes == 1; }));
    proxy.set(Proxy::Mode::swallow);
    ASSERT_TRUE(change({put("/a/2", "two")}));
    ASSERT_TRUE(until([&] { return !copy.trouble.empty(); }));
    EXPECT_EQ(copy.changes, 1);
    proxy.set(Proxy::Mode::pass);
    ASSERT_TRUE(until([&] { return copy.changes == 2; }));
    EXPECT_EQ(copy.snapshots, 1);
    EXPECT_EQ(copy.trouble.back(), "");
}

TEST_F(EtcdWatchTest, AStoreThatIsAnotherOneIsReadAfresh) {
    EtcdServer other;
    other.etcdctl("put /a/1 old");
    EtcdClient client(io_, impatient({other.url()}));
    Copy copy;
    EtcdFollower follower(client, {"/a/"}, copy.told());
    ASSERT_TRUE(until([&] { return copy.content.contains("/a/1"); }));
    for (int i = 0; i < 5; ++i) other.etcdctl("put /a/2 x");
    ASSERT_TRUE(until([&] { return copy.changes == 5; }));
    other.stop();
    other.forget();
    other.start();
    other.etcdctl("put /a/3 new");
    ASSERT_TRUE(until([&] { return copy.snapshots > 1 && copy.content.contains("/a/3"); }));
    EXPECT_THAT(copy.content, ElementsAre(Pair("/a/3", "new")));
    EXPECT_LT(copy.revision, 5);
}

}  // namespace
}  // namespace weft::test
