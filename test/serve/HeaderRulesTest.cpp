//===- HeaderRulesTest.cpp - which bytes are the head of a request --------===//

#include "runtime/serve/HeaderRules.h"
#include "runtime/serve/ApiKeys.h"

#include <gtest/gtest.h>

namespace llama4::serve {
namespace {

/// 0 where the head is taken, else the status of the refusal.
int statusOf(const std::string &head, HttpRequest *request = nullptr) {
  HttpRequest ignored;
  std::optional<HttpRefusal> wrong = checkHeadBytes(head, {});
  if (!wrong)
    wrong = readHead(head, {}, request ? *request : ignored);
  return wrong ? wrong->status : 0;
}

std::string post(const std::string &fields) {
  return "POST /a HTTP/1.1\r\nHost: b\r\n" + fields + "\r\n";
}

TEST(HeaderRules, ReadsAHead) {
  HttpRequest request;
  ASSERT_EQ(
      statusOf("POST /a/b?c=d HTTP/1.1\r\nHost: b\r\nX-Y:  z \t\r\nContent-Length: 12\r\n\r\n",
               &request),
      0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.field("x-y"), "z");
  EXPECT_EQ(request.field("none"), "");
  EXPECT_EQ(request.contentLength, 12u);
  EXPECT_TRUE(request.hasBody());
  EXPECT_FALSE(request.isVersion10);
  request = {};
  ASSERT_EQ(statusOf("GET http://b HTTP/1.1\r\nHost: b\r\n\r\n", &request), 0);
  EXPECT_EQ(request.path, "/");
  request = {};
  ASSERT_EQ(statusOf(post("Transfer-Encoding: Chunked\r\n"), &request), 0);
  EXPECT_TRUE(request.chunked);
  EXPECT_EQ(statusOf("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(HeaderRules, RefusesWhatTwoParsersReadDifferently) {
  for (const char *fields :
       {"Host: b\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: +1\r\n",
        "Content-Length: 1,1\r\n", "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "X : y\r\n", "X\r\n", ": y\r\n",
        "X: a\r\n b\r\n", "X: a\rb\r\n", "X: a\nY: b\r\n", "X(: y\r\n"})
    EXPECT_EQ(statusOf(post(fields)), 400) << fields;
  EXPECT_EQ(statusOf(post(std::string("X: \0\r\n", 7))), 400);
  for (const char *line : {"GET /", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET  / HTTP/1.1",
                           "G(T / HTTP/1.1", "GET a HTTP/1.1", " / HTTP/1.1", "GET * HTTP/1.1"})
    EXPECT_EQ(statusOf(std::string(line) + "\r\nHost: b\r\n\r\n"), 400) << line;
  EXPECT_EQ(statusOf("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(statusOf("\r\n"), 400);
}

TEST(HeaderRules, Limits) {
  auto withLines = [](int count) {
    std::string fields;
    for (int i = 0; i < count; ++i)
      fields += "X: y\r\n";
    return post(fields);
  };
  EXPECT_EQ(statusOf(withLines(99)), 0);
  EXPECT_EQ(statusOf(withLines(100)), 431);
  EXPECT_EQ(statusOf(post("X: " + std::string(16384, 'a') + "\r\n")), 431);
  EXPECT_EQ(statusOf("GET /" + std::string(8191, 'a') + " HTTP/1.1\r\nHost: b\r\n\r\n"), 0);
  EXPECT_EQ(statusOf("GET /" + std::string(8192, 'a') + " HTTP/1.1\r\nHost: b\r\n\r\n"), 414);
  EXPECT_EQ(statusOf(post("Content-Length: 33554432\r\n")), 0);
  EXPECT_EQ(statusOf(post("Content-Length: 33554433\r\n")), 413);
  EXPECT_EQ(statusOf(post("Content-Encoding: gzip\r\n")), 415);
}

/// Whatever is wrong is found no later than when the head is complete, and a good head is never
/// refused before.
TEST(HeaderRules, PrefixesOfAGoodHeadAreGood) {
  const std::string head = post("X: y\r\nContent-Length: 3\r\n");
  for (size_t bytes = 0; bytes <= head.size(); ++bytes)
    EXPECT_FALSE(checkHeadBytes(head.substr(0, bytes), {})) << bytes;
}

TEST(ApiKeys, AllowsItsKeysOnly) {
  ApiKeys keys({"one", "two"});
  EXPECT_TRUE(keys.allow("Bearer one"));
  EXPECT_TRUE(keys.allow("bearer two"));
  for (const char *other :
       {"", "one", "Bearer", "Bearer ", "Bearer On", "Bearer one ", "Basic one"})
    EXPECT_FALSE(keys.allow(other)) << other;
  EXPECT_FALSE(ApiKeys({}).allow("Bearer "));
}

} // namespace
} // namespace llama4::serve
