//===- FetchTest.cpp - pictures behind URLs -------------------------------===//

#include "runtime/image/Fetch.h"

#include "runtime/image/Source.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace llama4::test {
namespace {

using image::FetchRules;

bool isPublic(const char *text) {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return image::isPublicAddress(reinterpret_cast<const sockaddr &>(v4));
  }
  sockaddr_in6 v6{};
  EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
  v6.sin6_family = AF_INET6;
  return image::isPublicAddress(reinterpret_cast<const sockaddr &>(v6));
}

TEST(Fetch, AddressesThatAreNobodysOwn) {
  for (const char *text :
       {"1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
        "192.167.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "2606:4700:4700::1111",
        "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"})
    EXPECT_TRUE(isPublic(text)) << text;
  for (const char *text : {"0.0.0.0",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "127.0.0.1",
                           "127.255.255.254",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.0.2.1",
                           "192.168.0.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.1",
                           "203.0.113.9",
                           "224.0.0.1",
                           "239.1.1.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fe80::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::",
                           "2002:a9fe:a9fe::",
                           "2001::1",
                           "2001:db8::1",
                           "::7f00:1"})
    EXPECT_FALSE(isPublic(text)) << text;
}

/// Answers one connection after the other on the loopback with what it is given.
class Server {
public:
  explicit Server(std::string answer) : answer_(std::move(answer)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr *>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 8), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr *>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  std::string url(const std::string &host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_) + "/picture.png";
  }
  int connections() const { return connections_; }

private:
  void serve() {
    for (int one; (one = accept(socket_, nullptr, nullptr)) >= 0; close(one)) {
      ++connections_;
      char request[4096];
      if (read(one, request, sizeof(request)) <= 0)
        continue;
      for (size_t done = 0; done < answer_.size();) {
        const ssize_t sent = send(one, answer_.data() + done, answer_.size() - done, MSG_NOSIGNAL);
        if (sent <= 0)
          break;
        done += static_cast<size_t>(sent);
      }
    }
  }

  std::string answer_;
  int socket_ = -1;
  unsigned port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

std::string whole(const std::string &body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Fetch, TheBodyOfTheAnswer) {
  const Server server(whole("picture"));
  auto body = image::fetchUrl(server.url(), {.hosts = {}, .allowPrivate = true}, 100);
  ASSERT_TRUE(body.ok()) << body.status().message();
  EXPECT_EQ(*body, "picture");
}

TEST(Fetch, NothingIsConnectedToThatIsPrivate) {
  const Server server(whole("secret"));
  const std::string port = server.url().substr(server.url().rfind(':'));
  for (const char *host : {"127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1",
                           "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "0"}) {
    auto body = image::fetchUrl("http://" + std::string(host) + port, {}, 100);
    ASSERT_FALSE(body.ok()) << host;
  }
  EXPECT_EQ(server.connections(), 0);
  auto body = image::fetchUrl(server.url(), {}, 100);
  EXPECT_NE(body.status().message().find("private network"), std::string::npos)
      << body.status().message();
}

TEST(Fetch, OnlyHostsThatAreListed) {
  const Server server(whole("picture"));
  const FetchRules rules{.hosts = {"pictures.example"}, .allowPrivate = true};
  EXPECT_EQ(image::fetchUrl(server.url(), rules, 100).status().kind(), StatusKind::Usage);
  EXPECT_EQ(server.connections(), 0);
  EXPECT_TRUE(
      image::fetchUrl(server.url(), {.hosts = {"127.0.0.1"}, .allowPrivate = true}, 100).ok());
}

TEST(Fetch, NoMoreThanAllowed) {
  const FetchRules rules{.hosts = {}, .allowPrivate = true};
  const std::string large(1000, 'x');
  const Server declared(whole(large)), undeclared("HTTP/1.1 200 OK\r\n\r\n" + large);
  for (const Server *server : {&declared, &undeclared}) {
    auto body = image::fetchUrl(server->url(), rules, 999);
    ASSERT_FALSE(body.ok());
    EXPECT_NE(body.status().message().find("more than 999 bytes"), std::string::npos)
        << body.status().message();
    EXPECT_TRUE(image::fetchUrl(server->url(), rules, 1000).ok());
  }
}

TEST(Fetch, RedirectsAndErrorsAreNoPictures) {
  const FetchRules rules{.hosts = {}, .allowPrivate = true};
  for (const char *line : {"302 Found\r\nLocation: http://127.0.0.1:1/", "404 Not Found"}) {
    const Server server("HTTP/1.1 " + std::string(line) + "\r\nContent-Length: 4\r\n\r\nText");
    auto body = image::fetchUrl(server.url(), rules, 100);
    ASSERT_FALSE(body.ok()) << line;
    EXPECT_NE(body.status().message().find("answer " + std::string(line).substr(0, 3)),
              std::string::npos);
    EXPECT_EQ(body.status().message().find("Text"), std::string::npos);
    EXPECT_EQ(server.connections(), 1);
  }
}

TEST(Fetch, WhatIsNoUrlOfThisKind) {
  const FetchRules rules{.hosts = {}, .allowPrivate = true};
  for (const char *url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "http://",
                          "gopher://127.0.0.1", "http://user:secret@127.0.0.1/", "picture.png"}) {
    auto body = image::fetchUrl(url, rules, 100);
    ASSERT_FALSE(body.ok()) << url;
    EXPECT_EQ(body.status().kind(), StatusKind::InvalidInput) << url;
  }
}

TEST(Fetch, SourcesAreFetchedOnlyWhereThereAreRules) {
  const Server server(whole("picture"));
  EXPECT_FALSE(image::readImageSource(server.url(), {}).ok());
  EXPECT_EQ(server.connections(), 0);
  const FetchRules rules{.hosts = {}, .allowPrivate = true};
  auto bytes = image::readImageSource(server.url(), {}, &rules);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, "picture");
}

} // namespace
} // namespace llama4::test
