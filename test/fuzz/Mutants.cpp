//===- Mutants.cpp - a fuzz target run on seeded mutants ------------------===//
//
//   mutants_<target> [--mutants N] [--seed S] [--only I] [--save FILE] [FOLDER...]
//   mutants_<target> --write FOLDER
//
// Runs the target in this process on its seeds, on every file of the folders, and on N damaged
// forms of the seeds (of the files where there is no seed). Each must end in an answer or a refusal
// of one sentence, within 10 s of processor time and 512 MiB more than before; some seed must be
// taken and some mutant refused. What fails is named by number and written to FILE; `--only I` runs
// that mutant alone. `--write` writes the seeds as files, for libFuzzer.
//
//===----------------------------------------------------------------------===//

#include "test/fuzz/Fuzz.h"
#include "test/fuzz/Mutate.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

namespace fs = std::filesystem;
using namespace llama4::fuzz;

constexpr long secondsOfOne = 10;
constexpr long kibibytesMore = 512 << 10;

struct Options {
  uint64_t mutants = 1000, seed = 1;
  std::optional<uint64_t> only;
  std::string save = "mutant.bin", write;
  std::vector<std::string> folders;
  /// How many of the inputs are seeds; they come first.
  size_t seeds = 0;
};

/// What runs now, for the handlers of signals.
struct Current {
  const char *save = "";
  char name[128] = "";
  const char *data = nullptr;
  size_t size = 0;
};
Current current;

void print(const char *text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

/// Says which input it was and keeps it.
void keepCurrent() {
  print("\nmutants: failed on ");
  print(current.name);
  print("; kept as ");
  print(current.save);
  print("\n");
  const int file = ::open(current.save, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    (void)!::write(file, current.data, current.size);
    ::close(file);
  }
}

void onSignal(int number) {
  print(number == SIGPROF ? "\nmutants: took more than 10 s" : "\nmutants: ended by a signal");
  keepCurrent();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

/// Handlers on a stack of their own: a deep recursion is one of the things they report.
void catchSignals() {
  static char stack[64 << 10];
  stack_t other = {};
  other.ss_sp = stack;
  other.ss_size = sizeof(stack);
  ::sigaltstack(&other, nullptr);
  struct sigaction action = {};
  action.sa_handler = onSignal;
  action.sa_flags = SA_ONSTACK;
  const bool sanitized = __sanitizer_set_death_callback != nullptr;
  if (sanitized)
    __sanitizer_set_death_callback(keepCurrent);
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    if (!sanitized)
      ::sigaction(number, &action, nullptr);
  ::sigaction(SIGABRT, &action, nullptr);
  ::sigaction(SIGPROF, &action, nullptr);
  // What is no sanitizer's shadow memory cannot grow without end either.
  rlimit limit = {uint64_t{16} << 30, uint64_t{16} << 30};
  if (!sanitized)
    ::setrlimit(RLIMIT_AS, &limit);
}

long peakKibibytes() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void runOne(const std::string &input, const std::string &name) {
  std::strncpy(current.name, name.c_str(), sizeof(current.name) - 1);
  current.data = input.data();
  current.size = input.size();
  const itimerval limit = {{0, 0}, {secondsOfOne, 0}}, none = {};
  const long before = peakKibibytes();
  ::setitimer(ITIMER_PROF, &limit, nullptr);
  // A copy of exactly this size, so that a sanitizer sees what reads behind it.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  ::setitimer(ITIMER_PROF, &none, nullptr);
  if (peakKibibytes() - before > kibibytesMore) {
    print("\nmutants: took more than 512 MiB");
    std::abort();
  }
}

std::vector<std::string> readInputs(Options &options) {
  std::vector<std::string> inputs = seeds();
  options.seeds = inputs.size();
  for (const std::string &folder : options.folders) {
    std::vector<fs::path> paths;
    for (const auto &entry : fs::directory_iterator(folder))
      paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const fs::path &path : paths) {
      std::ifstream file(path, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  return inputs;
}

int writeInputs(const std::vector<std::string> &inputs, const std::string &folder) {
  fs::create_directories(folder);
  for (size_t i = 0; i < inputs.size(); ++i)
    std::ofstream(fs::path(folder) / ("seed" + std::to_string(i)), std::ios::binary) << inputs[i];
  return 0;
}

int runAll(const Options &options, const std::vector<std::string> &inputs) {
  const std::span<const std::string> bases =
      std::span(inputs).first(options.seeds != 0 ? options.seeds : inputs.size());
  const auto start = std::chrono::steady_clock::now();
  const std::string of = " of seed " + std::to_string(options.seed);
  if (options.only) {
    runOne(makeMutant(bases, options.seed, *options.only),
           "mutant " + std::to_string(*options.only));
    return 0;
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    runOne(inputs[i], "input " + std::to_string(i));
  const Tally whole = tally;
  for (uint64_t i = 0; i < options.mutants; ++i)
    runOne(makeMutant(bases, options.seed, i), "mutant " + std::to_string(i) + of);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf("%zu inputs, %llu taken; %llu mutants%s: %llu taken, %llu refused; %.1f s, %ld MiB\n",
              inputs.size(), static_cast<unsigned long long>(whole.taken),
              static_cast<unsigned long long>(options.mutants), of.c_str(),
              static_cast<unsigned long long>(tally.taken - whole.taken),
              static_cast<unsigned long long>(tally.refused - whole.refused), time.count(),
              peakKibibytes() >> 10);
  if (whole.taken != 0 && tally.refused != whole.refused)
    return 0;
  std::fprintf(stderr,
               "mutants: found no seed taken or no mutant refused, expected both; the seeds "
               "no longer fit the format.\n");
  return 1;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool hasValue = i + 1 < argc;
    if (word == "--mutants" && hasValue)
      options.mutants = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--seed" && hasValue)
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--only" && hasValue)
      options.only = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--save" && hasValue)
      options.save = argv[++i];
    else if (word == "--write" && hasValue)
      options.write = argv[++i];
    else
      options.folders.emplace_back(word);
  }
  current.save = options.save.c_str();
  const std::vector<std::string> inputs = readInputs(options);
  if (inputs.empty()) {
    std::fprintf(stderr, "mutants: found no input, expected seeds or a folder of files.\n");
    return 2;
  }
  if (!options.write.empty())
    return writeInputs(inputs, options.write);
  catchSignals();
  return runAll(options, inputs);
}
