//===- NamePatternTest.cpp - patterns of module names ---------------------===//

#include "compiler/checkpoint/NamePattern.h"

#include <ctime>
#include <gtest/gtest.h>
#include <string>

using namespace llama4;

static bool matches(std::string_view pattern, std::string_view name) {
  auto parsed = NamePattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(name);
}

TEST(NamePattern, MatchesFromTheStart) {
  EXPECT_TRUE(matches("vision_model.*", "vision_model.layers.0"));
  EXPECT_FALSE(matches("vision_model.*", "model.vision_model.layers"));
  EXPECT_TRUE(matches(".*self_attn", "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(matches("^lm_head", "lm_head"));
  EXPECT_TRUE(matches("", ""));
  EXPECT_TRUE(matches("", "a"));
}

TEST(NamePattern, MatchesToTheEndWithADollar) {
  EXPECT_TRUE(matches(".*router$", "model.layers.1.feed_forward.router"));
  EXPECT_FALSE(matches(".*router$", "model.layers.1.feed_forward.router.x"));
  EXPECT_TRUE(matches("$", ""));
  EXPECT_FALSE(matches("$", "a"));
}

TEST(NamePattern, RepeatsAtoms) {
  EXPECT_TRUE(matches("layers\\.\\d+\\.q", "layers.10.q"));
  EXPECT_FALSE(matches("layers\\.\\d+\\.q", "layers..q"));
  EXPECT_FALSE(matches("layers\\.\\d\\.q", "layers.10.q"));
  EXPECT_FALSE(matches("layers\\.0", "layersx0"));
  EXPECT_TRUE(matches("ab*c$", "ac"));
  EXPECT_TRUE(matches("ab*c$", "abbbc"));
  EXPECT_FALSE(matches("ab+c$", "ac"));
  EXPECT_TRUE(matches("ab+c$", "abbc"));
  EXPECT_TRUE(matches("ab?c$", "abc"));
  EXPECT_FALSE(matches("ab?c$", "abbc"));
}

TEST(NamePattern, RefusesWhatItDoesNotKnow) {
  for (const char *pattern :
       {"(a|b)", "a|b", "[ab]", "a{2}", "a**", "*", "a$b", "a^", "\\w", "a\\"})
    EXPECT_FALSE(NamePattern::parse(pattern)) << pattern;
  EXPECT_FALSE(NamePattern::parse(std::string(2000, 'a')));
}

TEST(NamePattern, TakesNoTimeForHostilePatterns) {
  std::string pattern;
  for (int i = 0; i < 300; ++i)
    pattern += "a*";
  const std::clock_t begin = std::clock();
  EXPECT_FALSE(matches(pattern + "b", std::string(500, 'a')));
  EXPECT_LT(std::clock() - begin, 5 * CLOCKS_PER_SEC);
}
