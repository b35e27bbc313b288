//===- WeightPages.h - which memory holds the weights of a file --*- C++ -*-===//
//
// Weights are mapped from their file. Where that mapping has no huge pages, reading goes faster
// from a copy in anonymous ones: pieces are read into memory beside the mapping and then take its
// place, at the same addresses. So nobody learns of it: pointers stay as they are and the bytes are
// the same. Pieces change places only while no step runs, and at any time at most a sixty-fourth
// of the weights, or one piece, is there twice.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_PROGRAM_WEIGHTPAGES_H
#define LLAMA4_RUNTIME_PROGRAM_WEIGHTPAGES_H

#include "runtime/base/File.h"
#include "runtime/base/HugePages.h"
#include "runtime/base/Status.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

namespace llama4 {

/// What --weights chooses.
enum class WeightsForm : uint8_t {
  Map,  ///< as the file is mapped
  Copy, ///< copied before the first step
  Auto, ///< mapped at first, copied beside the steps where that pays and memory allows
};

/// The state of a file's weights, for logs.
struct WeightsReport {
  enum class Form : uint8_t { Mapped, Copying, Copied, MadeUp };
  Form form = Form::Mapped;
  uint64_t bytes = 0;       ///< of all weights
  uint64_t copied = 0;      ///< of them in anonymous memory
  uint64_t inHugePages = 0; ///< of them, as the system says
  std::string reason;       ///< why they stay mapped; may be empty
};

/// The weights of one mapped file. Thread-safe, except that one thread at most calls copyNow() or
/// copyLater(), before anybody holds them.
class WeightPages {
public:
  using Hold = std::shared_lock<std::shared_mutex>;
  /// Bytes that may still be taken from the machine.
  using Available = std::function<uint64_t()>;
  /// Bytes that are read and change places together.
  static constexpr uint64_t pieceBytes = 4 * hugePageSize;

  /// `bytes` weights that begin at `offset` of `file`, which outlives this.
  WeightPages(const MappedFile &file, uint64_t offset, uint64_t bytes);
  ~WeightPages();
  WeightPages(const WeightPages &) = delete;
  WeightPages &operator=(const WeightPages &) = delete;

  /// Copies everything, by all processors. Errors: OutOfMemory, Io, InvalidInput (the file has
  /// another length than when it was mapped).
  Status copyNow();
  /// Copies in a thread of its own after `steps` holds. It stops where less than `bytes` / 16 would
  /// be left of `available()`, or an error comes; what is not copied stays mapped. Nothing is
  /// copied where the file itself has or gets huge pages, unless `evenHuge`.
  void copyLater(uint32_t steps, Available available, bool evenHuge = false);
  /// Nothing will be copied, and the report says why.
  void stay(std::string reason);
  /// Begins what copyLater() has put off, and returns when it has ended. Nobody holds the weights.
  void finish();

  /// Held by whoever reads weights by their addresses; allocates nothing. Errors: Internal.
  Result<Hold> hold();

  WeightsReport report() const;

private:
  void work();
  Status reserve();
  Status readPiece(uint64_t begin);
  Status copyPieces();
  bool collapse() const;
  void offer();
  void switchStaged();
  void releaseStaging();
  void say(WeightsReport::Form form, std::string reason = {});
  uint64_t pieceEnd(uint64_t begin) const { return std::min(begin + pieceBytes, staging_.size()); }

  const MappedFile &file_;
  const uint64_t offset_;
  const std::span<const std::byte> weights_; ///< in the mapping
  std::span<std::byte> staging_;             ///< as long, in whole pages; gone below switched_
  std::atomic<uint64_t> staged_ = 0;         ///< bytes that are read
  std::atomic<uint64_t> switched_ = 0; ///< bytes that have changed places; written under gate_
  bool broken_ = false;                ///< under gate_
  std::shared_mutex gate_;

  Available available_;
  bool evenHuge_ = false;
  std::atomic<uint32_t> stepsLeft_ = 0; ///< before the copy begins
  mutable std::mutex mutex_;            ///< for what follows
  std::condition_variable wake_;
  bool started_ = false, ending_ = false;
  WeightsReport::Form form_ = WeightsReport::Form::Mapped;
  std::string reason_;
  std::thread thread_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_WEIGHTPAGES_H
