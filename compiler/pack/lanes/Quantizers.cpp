//===- Quantizers.cpp - which quantizers this machine can run -------------===//
#include "compiler/pack/lanes/Quantizers.h"

namespace llama4::pack {

namespace plain {
extern const Quantizers kQuantizers;
}

#if defined(__x86_64__)
namespace v3 {
extern const Quantizers kQuantizers;
}
namespace v4 {
extern const Quantizers kQuantizers;
}

QuantizerLevel quantizerLevel(size_t index) {
  switch (index) {
  case 2:
    return {"x86-64-v4", __builtin_cpu_supports("x86-64-v4") != 0, &v4::kQuantizers};
  case 1:
    return {"x86-64-v3", __builtin_cpu_supports("x86-64-v3") != 0, &v3::kQuantizers};
  default:
    return {"plain", true, &plain::kQuantizers};
  }
}
#else
QuantizerLevel quantizerLevel(size_t index) { return {"plain", index == 0, &plain::kQuantizers}; }
#endif

const Quantizers &quantizers() {
  static const Quantizers *const best = [] {
    size_t index = kQuantizerLevels - 1;
    while (!quantizerLevel(index).runsHere)
      --index;
    return quantizerLevel(index).quantizers;
  }();
  return *best;
}

} // namespace llama4::pack
