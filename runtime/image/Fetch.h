//===- Fetch.h - a picture behind an http(s) URL ------------------*- C++ -*-===//
//
// One request by libcurl, without redirects, proxies, cookies or credentials. The address that is
// really connected to is looked at, not the one that the URL seems to name: what resolves to the
// machine itself or to a private network is refused unless that is allowed.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_FETCH_H
#define LLAMA4_RUNTIME_IMAGE_FETCH_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>
#include <vector>

struct sockaddr;

namespace llama4::image {

/// What may be fetched.
struct FetchRules {
  /// Hosts by their exact names; empty: any.
  std::vector<std::string> hosts;
  /// Loopback, private, link-local, multicast and reserved addresses too.
  bool allowPrivate = false;
  unsigned seconds = 10; ///< for everything together
};

/// True for "http://..." and "https://...", in any case.
bool isHttpUrl(std::string_view text);

/// True where a picture on the open internet may lie: no address of this machine, of a private
/// network, of a link, of a group or reserved. An IPv6 address that carries an IPv4 address is as
/// good as that.
bool isPublicAddress(const sockaddr &address);

/// The body of a GET of `url`, at most `maxBytes`. Errors: InvalidInput (no URL of http or https,
/// an answer other than 200, more bytes), Usage (a host or address that the rules don't allow),
/// Unavailable (no connection, no answer in time, built without libcurl). The sentences hold no
/// text of the answer.
Result<std::string> fetchUrl(const std::string &url, const FetchRules &rules, uint64_t maxBytes);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_FETCH_H
