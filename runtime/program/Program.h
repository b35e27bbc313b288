//===- Program.h - a compiled program, mapped and checked --------*- C++ -*-===//
//
// Opens a .l4x file and proves it well formed before anything uses it: header, layout, checksums,
// serialised program, then every index, extent and alignment. A Program never changes after it
// was loaded and may be shared by any number of threads and executables. It knows nothing of
// devices (see Executor.h) and nothing of tokens.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_PROGRAM_PROGRAM_H
#define LLAMA4_RUNTIME_PROGRAM_PROGRAM_H

#include "runtime/base/File.h"
#include "runtime/base/Status.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/ProgramDesc.h"
#include "runtime/program/MadeUpWeights.h"
#include "runtime/program/WeightPages.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace llama4 {

/// How much of a file is compared with its checksums.
enum class VerifyMode {
  Default, ///< header, program, code, tokenizer, template: everything but the weights
  Full,    ///< every byte
};

/// A loaded program. Immutable.
class Program {
public:
  /// Maps and checks `path`. Errors: NotFound, Io, InvalidInput (one sentence naming the field).
  static Result<std::shared_ptr<const Program>> load(const std::string &path,
                                                     VerifyMode mode = VerifyMode::Default);
  /// The same for a file in memory: `bytes` start at a multiple of 64, outlive the program, and are
  /// called `name` in errors.
  static Result<std::shared_ptr<const Program>> fromBytes(std::span<const std::byte> bytes,
                                                          VerifyMode mode = VerifyMode::Default,
                                                          const std::string &name = "program");

  const ProgramDesc &desc() const { return desc_; }
  const FileHeader &header() const { return header_; }
  /// The path or name it was loaded from.
  const std::string &name() const { return name_; }
  uint64_t fileBytes() const { return bytes_.size(); }
  /// Identity of source and options, 64 lowercase hex digits.
  std::string contentId() const;

  /// The bytes of a section; empty when the file has none. Valid as long as the program.
  std::span<const std::byte> section(SectionKind kind) const;
  std::span<const std::byte> tokenizer() const { return section(SectionKind::Tokenizer); }
  std::span<const std::byte> chatTemplate() const { return section(SectionKind::ChatTemplate); }
  /// All weights, each at its offset: the section of the file, or memory that the first call fills
  /// when they are made up. 64-byte aligned; valid as long as the program. Errors: OutOfMemory.
  Result<std::span<const std::byte>> weights() const;
  /// Bytes of all weights in memory.
  uint64_t weightsBytes() const;
  /// The pages of a file's weights; null where there is no file or nothing of them in it. They may
  /// change under a program that does not: the bytes and where they lie stay the same.
  WeightPages *weightPages() const { return pages_.get(); }
  /// Which memory holds the weights at the moment.
  WeightsReport weightsReport() const;
  /// The packed bytes of desc().weights[index], 64-byte aligned. Of made-up weights empty before
  /// the first call of weights().
  std::span<const std::byte> weight(size_t index) const;
  /// The bytes of desc().codeObjects[index].
  std::span<const std::byte> code(size_t index) const;

  /// Index of the entry called `name`.
  std::optional<uint32_t> entry(std::string_view name) const;
  /// The most special entry of `function` that may run `symbol` units, or nothing.
  /// `oneTokenPerSequence`: the step has as many sequences as tokens.
  std::optional<uint32_t> entryFor(std::string_view function, uint32_t symbol,
                                   bool oneTokenPerSequence) const;
  /// Layers of all kv kinds together: the number of pool pointers an execution takes.
  uint32_t kvPools() const;
  /// Position of a layer of a kv kind among all pools: kinds in order, layers in order.
  uint32_t kvPool(uint32_t kind, uint32_t layer) const;

  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;

private:
  Program() = default;
  Status check(VerifyMode mode);
  Result<uint64_t> checkMadeUp() const;

  std::optional<MappedFile> file_;
  std::span<const std::byte> bytes_;
  std::string name_;
  FileHeader header_ = {};
  ProgramDesc desc_;
  std::unique_ptr<MadeUpWeights> madeUp_; ///< null when the file holds the weights
  std::unique_ptr<WeightPages> pages_;    ///< of file_
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_PROGRAM_H
