//===- ImageSeeds.h - the small pictures of the tests as seeds ---*- C++ -*-===//
#ifndef LLAMA4_TEST_FUZZ_IMAGESEEDS_H
#define LLAMA4_TEST_FUZZ_IMAGESEEDS_H

#include "test/fuzz/SeedFiles.h"

#include <algorithm>
#include <filesystem>

namespace llama4::fuzz {

/// The files of test/data/image_decode that end in `suffix`, each with options of its own.
inline std::vector<std::string> imageSeeds(const std::string &suffix) {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(LLAMA4_TEST_DATA "/image_decode"))
    if (entry.path().extension() == suffix)
      names.push_back("image_decode/" + entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::vector<std::string> seeds;
  for (const std::string &name : names)
    seeds.push_back(static_cast<char>(seeds.size() % 8) + readData(name));
  return seeds;
}

} // namespace llama4::fuzz

#endif // LLAMA4_TEST_FUZZ_IMAGESEEDS_H
