#include "conf/etcd_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(EtcdMessage, Base64IsWrittenAndReadBack) {
    const std::vector<std::pair<std::string, std::string>> pairs{
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {std::string("\0\xff\xfe", 3), "AP/+"}};
    for (const auto& [bytes, text] : pairs) {
        EXPECT_EQ(encode_base64(bytes), text);
        EXPECT_EQ(*decode_base64(text), bytes);
    }
    for (const char* bad : {"Z", "Zg=", "Zg==Zg==", "Z===", "Zm9v\n", "Zm9-", "===="}) {
        EXPECT_FALSE(decode_base64(bad)) << bad;
    }
}

TEST(EtcdMessage, ThePrefixesEndComesAfterAllThatBeginWithIt) {
    EXPECT_EQ(prefix_end("/calico/"), "/calico0");
    EXPECT_EQ(prefix_end("a\xff\xff"), "b");
    EXPECT_EQ(prefix_end("\xff"), std::string(1, '\0'));
}

TEST(EtcdMessage, ReadsAPage) {
    const auto page = decode_page(
        R"({"header":{"cluster_id":"14841639068965178418","revision":"7"},"more":true,"unknown":[1],
            "kvs":[{"key":"L2E=","create_revision":"2","mod_revision":"3","version":"2","value":"eA=="},{"key":"L2I="}]})");
    ASSERT_TRUE(page) << page.error().message;
    EXPECT_EQ(page->header, (EtcdHeader{.cluster_id = 14841639068965178418U, .revision = 7}));
    EXPECT_TRUE(page->more);
    EXPECT_THAT(
        page->kvs,
        ElementsAre(EtcdKeyValue{.key = "/a", .value = "x", .create_revision = 2, .mod_revision = 3, .version = 2},
                    EtcdKeyValue{.key = "/b", .value = {}}));
}

TEST(EtcdMessage, RepliesThatAreNotEtcdsAreToldApartAndNeverThrow) {
    for (const char* bad :
         {"", "[]", "null", "{", "{}", "\"x\"", R"({"header":{}})", R"({"header":{"revision":"x"}})",
          R"({"header":{"revision":"99999999999999999999"}})", R"({"header":[]})",
          R"({"header":{"revision":"1"},"kvs":{}})", R"({"header":{"revision":"1"},"kvs":[1]})",
          R"({"header":{"revision":"1"},"kvs":[{"key":"!"}]})", R"({"header":{"revision":"1"},"kvs":[{"key":7}]})",
          R"({"header":{"revision":"1"},"more":true})", "\xff\xfe"}) {
        const auto page = decode_page(bad);
        ASSERT_FALSE(page) << bad;
        EXPECT_THAT(page.error().message, HasSubstr("not etcd's"));
        EXPECT_FALSE(decode_token(bad)) << bad;
        EXPECT_FALSE(decode_lease(bad)) << bad;
        EXPECT_FALSE(decode_watch_message(bad)) << bad;
    }
    EXPECT_FALSE(decode_transacted(R"({"header":{"revision":"1"},"responses":[{"response_range":{"kvs":[7]}}]})"));
    EXPECT_FALSE(decode_page(std::string(200'000, '[')));
    EXPECT_FALSE(decode_token("{\"token\":\"a\\r\\nX: y\"}"));
}

TEST(EtcdMessage, WritesATransactionAsTheGatewayWantsIt) {
    EXPECT_EQ(encode_transaction({.compares = {unchanged("k", 5), absent("n")},
                                  .then = {put("k", "v"), put("l", "", 9), erase("n")},
                                  .otherwise = {read("k")}}),
              R"({"compare":[{"key":"aw==","mod_revision":"5","result":"EQUAL","target":"MOD"},)"
              R"({"key":"bg==","result":"EQUAL","target":"VERSION","version":"0"}],)"
              R"("failure":[{"request_range":{"key":"aw=="}}],)"
              R"("success":[{"request_put":{"key":"aw==","value":"dg=="}},)"
              R"({"request_put":{"key":"bA==","lease":"9","value":""}},)"
              R"({"request_delete_range":{"key":"bg=="}}]})");
}

TEST(EtcdMessage, KnowsWhichRefusalsAnotherEndpointOrAnotherTokenCures) {
    using Kind = EtcdRefusal::Kind;
    const auto kind = [](unsigned status, const std::string& words, int code) {
        return refusal_of(status, R"({"error":")" + words + R"(","message":")" + words + R"(","code":)" +
                                      std::to_string(code) + "}")
            .kind;
    };
    EXPECT_EQ(kind(400, "etcdserver: mvcc: required revision has been compacted", 11), Kind::compacted);
    EXPECT_EQ(kind(401, "etcdserver: invalid auth token", 16), Kind::token);
    EXPECT_EQ(kind(400, "etcdserver: revision of auth store is old", 3), Kind::token);
    EXPECT_EQ(kind(403, "etcdserver: permission denied", 7), Kind::final_word);
    EXPECT_EQ(kind(400, "etcdserver: authentication failed, invalid user ID or password", 3), Kind::final_word);
    EXPECT_EQ(kind(503, "etcdserver: no leader", 14), Kind::elsewhere);
    EXPECT_EQ(kind(503, "etcdserver: something new", 14), Kind::elsewhere);
    EXPECT_EQ(kind(400, "etcdserver: something new", 3), Kind::final_word);
    EXPECT_EQ(kind(429, "etcdserver: mvcc: database space exceeded", 8), Kind::final_word);
    EXPECT_EQ(refusal_of(404, "Not Found\n").kind, Kind::not_a_gateway);
    EXPECT_THAT(refusal_of(404, "Not Found\n").message, HasSubstr("--enable-grpc-gateway"));
    EXPECT_EQ(refusal_of(502, "<html>").kind, Kind::not_a_gateway);
    const auto named = refusal_of(400,
                                  "CommonName of client sending a request against gateway will be ignored and not used "
                                  "as expected\n");
    EXPECT_EQ(named.kind, Kind::final_word);
    EXPECT_THAT(named.message, HasSubstr("issued without one"));
    const auto hostile = refusal_of(400, R"({"message":"a\nb)" + std::string(5000, 'x') + "\"}");
    EXPECT_LE(hostile.message.size(), 400U);
    EXPECT_THAT(hostile.message, HasSubstr("a b"));
}

TEST(EtcdMessage, ReadsWhatAWatchSays) {
    const auto created = decode_watch_message(R"({"result":{"header":{"revision":"4"},"created":true}})");
    ASSERT_TRUE(created);
    EXPECT_TRUE(created->created);
    EXPECT_EQ(created->watch, 0);
    const auto events = decode_watch_message(
        R"({"result":{"header":{"revision":"6"},"watch_id":"1","events":[{"kv":{"key":"YQ==","mod_revision":"5"}},)"
        R"({"type":"DELETE","kv":{"key":"Yg==","mod_revision":"6"}}]}})");
    ASSERT_TRUE(events);
    EXPECT_EQ(events->watch, 1);
    EXPECT_THAT(events->events,
                ElementsAre(EtcdEvent{.deleted = false, .kv = {.key = "a", .value = {}, .mod_revision = 5}},
                            EtcdEvent{.deleted = true, .kv = {.key = "b", .value = {}, .mod_revision = 6}}));
    const auto compacted = decode_watch_message(R"({"result":{"header":{},"canceled":true,"compact_revision":"4"}})");
    ASSERT_TRUE(compacted);
    EXPECT_TRUE(compacted->cancelled);
    EXPECT_EQ(compacted->compact_revision, 4);
    const auto ended =
        decode_watch_message(R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})");
    ASSERT_TRUE(ended);
    EXPECT_TRUE(ended->cancelled);
    EXPECT_EQ(ended->reason, "etcdserver: no leader");
    EXPECT_FALSE(decode_watch_message(R"({"result":{"events":[{}]}})"));
    EXPECT_FALSE(decode_watch_message(R"({"result":{"events":[{"kv":{"key":"YQ=="}}]}})"));
}

TEST(EtcdMessage, LinesAreCutFromPortionsOfAnySize) {
    const std::string text = "one\n\ntwo\nthree\nrest";
    for (std::size_t portion = 1; portion <= text.size(); ++portion) {
        LineSplitter splitter(10);
        std::vector<std::string> lines;
        for (std::size_t at = 0; at < text.size(); at += portion) {
            ASSERT_TRUE(splitter.feed(std::string_view(text).substr(at, portion), lines));
        }
        EXPECT_THAT(lines, ElementsAre("one", "two", "three")) << portion;
    }
}

TEST(EtcdMessage, ALineWithoutEndIsNotKept) {
    LineSplitter splitter(10);
    std::vector<std::string> lines;
    EXPECT_TRUE(splitter.feed("0123456789\n", lines));
    EXPECT_TRUE(splitter.feed("01234", lines));
    EXPECT_FALSE(splitter.feed("567890", lines));
    EXPECT_THAT(lines, ElementsAre("0123456789"));
}

}  // namespace
}  // namespace weft::test
