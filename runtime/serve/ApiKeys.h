//===- ApiKeys.h - who may ask -----------------------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_APIKEYS_H
#define LLAMA4_RUNTIME_SERVE_APIKEYS_H

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace llama4::serve {

/// The keys of a server. Only their digests are kept, and comparing takes the same time whatever
/// was given.
class ApiKeys {
public:
  explicit ApiKeys(const std::vector<std::string> &keys);
  /// No key is asked for.
  bool empty() const { return digests_.empty(); }
  /// The value of an Authorization header, "Bearer KEY", has one of the keys.
  bool allow(std::string_view authorization) const { return find(authorization) != nullptr; }
  /// What logs and the scheduler call that key: the first 8 digits of its SHA-256; empty where
  /// allow() says no.
  std::string nameOf(std::string_view authorization) const;
  using Digest = std::array<unsigned char, 32>;
  /// The whole SHA-256 of that key, or null.
  const Digest *digestOf(std::string_view authorization) const { return find(authorization); }

private:
  const Digest *find(std::string_view authorization) const;

  std::vector<Digest> digests_;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_APIKEYS_H
