// The GIF files of the tests.
#include "test/fuzz/ImageSeeds.h"

std::vector<std::string> llama4::fuzz::seeds() { return imageSeeds(".gif"); }
