// The 256 bytes and a few merges, for each family.
#include "test/fuzz/Fuzz.h"

/// Bytes in base64.
static std::string base64(const std::string &bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      text += i + k > bytes.size() ? '=' : digits[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

std::vector<std::string> llama4::fuzz::seeds() {
  std::string file;
  unsigned rank = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    file += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(rank++) + "\n";
  for (const char *token : {"ab", "abc", " a", "  ", "\xc3\xa9", "hello"})
    file += base64(token) + " " + std::to_string(rank++) + "\n";
  return {'\0' + file, '\1' + file, '\2' + file};
}
