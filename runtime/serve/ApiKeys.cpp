//===- ApiKeys.cpp - who may ask ------------------------------------------===//

#include "runtime/serve/ApiKeys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>

namespace llama4::serve {

namespace {

std::array<unsigned char, 32> digestOf(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char *>(text.data()), text.size(), digest.data());
  return digest;
}

} // namespace

ApiKeys::ApiKeys(const std::vector<std::string> &keys) {
  for (const std::string &key : keys)
    digests_.push_back(digestOf(key));
}

bool ApiKeys::allow(std::string_view authorization) const {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() ||
      ::strncasecmp(authorization.data(), scheme.data(), scheme.size()) != 0)
    return false;
  const Digest given = digestOf(authorization.substr(scheme.size()));
  bool allowed = false;
  for (const Digest &digest : digests_)
    allowed |= CRYPTO_memcmp(given.data(), digest.data(), digest.size()) == 0;
  return allowed;
}

} // namespace llama4::serve
