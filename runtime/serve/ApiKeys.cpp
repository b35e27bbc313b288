//===- ApiKeys.cpp - who may ask ------------------------------------------===//

#include "runtime/serve/ApiKeys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>

namespace llama4::serve {

namespace {

std::array<unsigned char, 32> sha256(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char *>(text.data()), text.size(), digest.data());
  return digest;
}

} // namespace

ApiKeys::ApiKeys(const std::vector<std::string> &keys) {
  for (const std::string &key : keys)
    digests_.push_back(sha256(key));
}

const ApiKeys::Digest *ApiKeys::find(std::string_view authorization) const {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() ||
      ::strncasecmp(authorization.data(), scheme.data(), scheme.size()) != 0)
    return nullptr;
  const Digest given = sha256(authorization.substr(scheme.size()));
  const Digest *found = nullptr;
  for (const Digest &digest : digests_) // always all of them
    found = CRYPTO_memcmp(given.data(), digest.data(), digest.size()) == 0 ? &digest : found;
  return found;
}

std::string ApiKeys::nameOf(std::string_view authorization) const {
  const Digest *digest = find(authorization);
  std::string name;
  for (size_t i = 0; digest && i < 4; ++i) {
    constexpr char hex[] = "0123456789abcdef";
    name += {hex[(*digest)[i] >> 4], hex[(*digest)[i] & 15]};
  }
  return name;
}

} // namespace llama4::serve
