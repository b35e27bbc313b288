//===- Fetch.cpp - a picture behind an http(s) URL ------------------------===//

#include "runtime/image/Fetch.h"

#include "runtime/format/Quoted.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <span>
#include <sys/socket.h>

#ifdef LLAMA4_HAVE_CURL
#include <curl/curl.h>
#endif

namespace llama4::image {

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

namespace {

struct Block {
  uint32_t first;
  unsigned bits;
};

/// IPv4 blocks that are no public hosts (IANA special-purpose address registry), groups and the
/// reserved rest.
constexpr Block kPrivate4[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},  {0xf0000000, 4}};

bool isPublic4(uint32_t address) {
  return std::none_of(std::begin(kPrivate4), std::end(kPrivate4), [&](const Block &block) {
    return (address ^ block.first) >> (32 - block.bits) == 0;
  });
}

uint32_t bigEndian(std::span<const uint8_t> bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool isPublic6(std::span<const uint8_t, 16> address) {
  constexpr std::array<uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<uint8_t, 12> translated = {0, 0x64, 0xff, 0x9b};
  const std::span<const uint8_t> head = address.first(12);
  if (std::equal(head.begin(), head.end(), mapped.begin()) ||
      std::equal(head.begin(), head.end(), translated.begin()))
    return isPublic4(bigEndian(address.last(4)));
  if (address[0] == 0x20 && address[1] == 0x02) // 6to4
    return isPublic4(bigEndian(address.subspan(2, 4)));
  // Of 2000::/3, without the protocol assignments (Teredo among them) and the documentation.
  const bool isProtocol = address[0] == 0x20 && address[1] == 0x01 && address[2] < 0x02;
  const bool isExample =
      address[0] == 0x20 && address[1] == 0x01 && address[2] == 0x0d && address[3] == 0xb8;
  return address[0] >> 5 == 1 && !isProtocol && !isExample;
}

} // namespace

bool isPublicAddress(const sockaddr &address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in found;
    std::memcpy(&found, &address, sizeof(found));
    return isPublic4(ntohl(found.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6)
    return false;
  sockaddr_in6 found;
  std::memcpy(&found, &address, sizeof(found));
  return isPublic6(std::span<const uint8_t, 16>(found.sin6_addr.s6_addr));
}

bool isHttpUrl(std::string_view text) {
  auto beginsWith = [&](std::string_view scheme) {
    return text.size() > scheme.size() &&
           std::equal(scheme.begin(), scheme.end(), text.begin(), [](char small, char any) {
             return small == (any >= 'A' && any <= 'Z' ? any + ('a' - 'A') : any);
           });
  };
  return beginsWith("http://") || beginsWith("https://");
}

//===----------------------------------------------------------------------===//
// The request
//===----------------------------------------------------------------------===//

#ifdef LLAMA4_HAVE_CURL

namespace {

/// What the callbacks of one transfer share.
struct Transfer {
  const FetchRules &rules;
  uint64_t maxBytes;
  std::string body;
  bool isPrivate = false, isLarge = false;
};

curl_socket_t openSocket(void *context, curlsocktype, curl_sockaddr *address) {
  auto &transfer = *static_cast<Transfer *>(context);
  if (!transfer.rules.allowPrivate && !isPublicAddress(address->addr)) {
    transfer.isPrivate = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

size_t takeBytes(char *bytes, size_t, size_t count, void *context) {
  auto &transfer = *static_cast<Transfer *>(context);
  if (count > transfer.maxBytes - transfer.body.size()) {
    transfer.isLarge = true;
    return 0;
  }
  transfer.body.append(bytes, count);
  return count;
}

struct CloseUrl {
  void operator()(CURLU *url) const { curl_url_cleanup(url); }
};
struct CloseHandle {
  void operator()(CURL *handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, CloseHandle>;

/// Host of a URL without credentials, in small letters.
Result<std::string> hostOf(const std::string &url) {
  const Status wrong = Status::invalidInput("found the URL " + quoteName(url) +
                                            ", expected http(s)://HOST/... without a password.");
  std::unique_ptr<CURLU, CloseUrl> parsed(curl_url());
  if (!isHttpUrl(url) || !parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0))
    return wrong;
  char *text = nullptr;
  for (CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD})
    if (curl_url_get(parsed.get(), part, &text, 0) == CURLUE_OK) {
      curl_free(text);
      return wrong;
    }
  if (curl_url_get(parsed.get(), CURLUPART_HOST, &text, 0) != CURLUE_OK)
    return wrong;
  std::string host(text);
  curl_free(text);
  for (char &c : host)
    c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  return host;
}

/// Everything that differs from libcurl's defaults; false where the library knows an option not.
bool configure(CURL *handle, const std::string &url, Transfer &transfer) {
  bool ok = true;
  auto set = [&](CURLoption option, auto value) {
    ok &= curl_easy_setopt(handle, option, value) == CURLE_OK;
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_TIMEOUT, static_cast<long>(transfer.rules.seconds));
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(transfer.rules.seconds));
  set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(transfer.maxBytes));
  set(CURLOPT_OPENSOCKETFUNCTION, &openSocket);
  set(CURLOPT_OPENSOCKETDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &takeBytes);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_USERAGENT, "llama4-run");
  return ok;
}

/// What became of a transfer that libcurl ended with `code`.
Status judge(CURL *handle, CURLcode code, const Transfer &transfer, const std::string &where) {
  if (transfer.isPrivate)
    return Status::error(StatusKind::Usage,
                         where + ": found an address of this machine or of a private network, "
                                 "expected a public one; send the picture as a data: URL.");
  if (transfer.isLarge || code == CURLE_FILESIZE_EXCEEDED)
    return Status::invalidInput(where + ": found more than " + std::to_string(transfer.maxBytes) +
                                " bytes, expected at most that; scale the picture down.");
  if (code == CURLE_OPERATION_TIMEDOUT)
    return Status::error(StatusKind::Unavailable,
                         where + ": found no whole answer within " +
                             std::to_string(transfer.rules.seconds) +
                             " seconds, expected the picture; try again or send it as data: URL.");
  if (code != CURLE_OK)
    return Status::error(StatusKind::Unavailable,
                         where + ": found no server that answers (libcurl's error " +
                             std::to_string(static_cast<int>(code)) +
                             "), expected the picture; check the URL.");
  long answer = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer);
  if (answer != 200)
    return Status::invalidInput(where + ": found the answer " + std::to_string(answer) +
                                ", expected 200 and the picture; redirects are not followed.");
  return {};
}

} // namespace

Result<std::string> fetchUrl(const std::string &url, const FetchRules &rules, uint64_t maxBytes) {
  static const bool isReady = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  LLAMA4_ASSIGN_OR_RETURN(const std::string host, hostOf(url));
  const std::string where = "the URL " + quoteName(url);
  if (!rules.hosts.empty() &&
      std::find(rules.hosts.begin(), rules.hosts.end(), host) == rules.hosts.end())
    return Status::error(StatusKind::Usage, where + ": found the host " + quoteName(host) +
                                                ", expected one of the hosts that are allowed.");
  const Handle handle(isReady ? curl_easy_init() : nullptr);
  Transfer transfer{rules, maxBytes, {}};
  if (!handle || !configure(handle.get(), url, transfer))
    return Status::error(StatusKind::Unavailable,
                         where + ": libcurl is older than what this program was built with, "
                                 "expected 7.85 or newer; install it.");
  const CURLcode code = curl_easy_perform(handle.get());
  LLAMA4_RETURN_IF_ERROR(judge(handle.get(), code, transfer, where));
  return std::move(transfer.body);
}

#else

Result<std::string> fetchUrl(const std::string &url, const FetchRules &, uint64_t) {
  return Status::error(StatusKind::Unavailable,
                       "the URL " + quoteName(url) +
                           ": this program was built without libcurl, expected a path or a data: "
                           "URL; fetch the picture first.");
}

#endif

} // namespace llama4::image
