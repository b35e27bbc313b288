//===- ArtifactWriter.cpp - writes a program file -------------------------===//
//
// All sizes are known before the first byte is written: the header and the table of checksums get
// their places, everything else is written once, forwards, and hashed on its way; at the end the
// two are filled in.
//
//===----------------------------------------------------------------------===//

#include "compiler/emit/ArtifactWriter.h"

#include "runtime/base/Checked.h"
#include "runtime/base/File.h"
#include "runtime/format/CheckProgram.h"
#include "runtime/format/Checksum.h"
#include "runtime/format/FileLayout.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

namespace {

uint64_t alignTo(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

std::span<const std::byte> bytesOf(const std::string &text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Puts `objects` one after another and returns the end of the last.
template <typename Objects> Result<uint64_t> place(Objects &objects, uint64_t alignment) {
  uint64_t end = 0;
  for (auto &object : objects) {
    std::optional<uint64_t> offset = checkedAlign(end, alignment);
    std::optional<uint64_t> next = offset ? checkedAdd(*offset, object.bytes) : std::nullopt;
    if (!next || *next >= uint64_t{1} << 60)
      return Status::internal("artifact: found sections of more than 2^60 bytes, expected less.");
    object.offset = *offset;
    end = *next;
  }
  return end;
}

/// Writes forwards and hashes what it writes, padding included. Bytes reach the file in pieces that
/// begin and end at multiples of a huge page: the system keeps them in pages of that size, where it
/// can, and a mapping of the file has huge pages at once.
class HashingFile {
public:
  explicit HashingFile(AtomicFile file) : file_(std::move(file)), position_(file_.position()) {
    buffer_.reserve(pieceBytes);
  }

  Status write(std::span<const std::byte> bytes) {
    hasher_.update(bytes);
    while (!bytes.empty()) {
      const size_t left = pieceBytes - static_cast<size_t>(position_ % pieceBytes);
      const std::span<const std::byte> part = bytes.first(std::min(left, bytes.size()));
      buffer_.insert(buffer_.end(), part.begin(), part.end());
      position_ += part.size();
      bytes = bytes.subspan(part.size());
      if (part.size() == left)
        LLAMA4_RETURN_IF_ERROR(flush());
    }
    return {};
  }
  /// Zeros up to `offset`.
  Status padTo(uint64_t offset) {
    static constexpr std::byte zeros[4096] = {};
    while (position_ < offset)
      LLAMA4_RETURN_IF_ERROR(write(std::span(zeros).first(
          static_cast<size_t>(std::min<uint64_t>(offset - position_, sizeof(zeros))))));
    return {};
  }
  /// The same, in no hashed range.
  Status skipTo(uint64_t offset) {
    LLAMA4_RETURN_IF_ERROR(flush());
    position_ = offset;
    return file_.padTo(offset);
  }
  Status flush() {
    Status status = file_.write(buffer_);
    buffer_.clear();
    return status;
  }
  /// Ends one hashed range and appends its hashes.
  void close(std::vector<uint64_t> &hashes) {
    std::vector<uint64_t> part = hasher_.finish();
    hashes.insert(hashes.end(), part.begin(), part.end());
  }
  AtomicFile &file() { return file_; }

private:
  static constexpr size_t pieceBytes = static_cast<size_t>(weightsAlignment);

  AtomicFile file_;
  uint64_t position_; ///< in the file, of the end of the buffer
  std::vector<std::byte> buffer_;
  ChunkHasher hasher_;
};

/// Counts the bytes of one weight.
class CountingSink : public WeightSink {
public:
  CountingSink(HashingFile &file, uint64_t bytes) : file_(file), left_(bytes) {}

  Status write(std::span<const std::byte> bytes) override {
    if (bytes.size() > left_) {
      overrun_ = true;
      return Status::internal("a weight's producer wrote more bytes than were declared.");
    }
    left_ -= bytes.size();
    return file_.write(bytes);
  }
  uint64_t left() const { return left_; }
  bool overrun() const { return overrun_; }

private:
  HashingFile &file_;
  uint64_t left_;
  bool overrun_ = false;
};

class Writer {
public:
  Writer(ArtifactParts parts, const WeightProducer &weights)
      : parts_(std::move(parts)), producer_(weights) {}

  Status plan(const ArtifactOptions &options);
  Result<ArtifactSummary> write(const std::string &path);

private:
  void layOut(uint64_t tableBytes);
  void addSection(SectionKind kind, uint64_t bytes);
  Status writeMetadata(HashingFile &out);
  Status writeWeights(HashingFile &out);
  void seal(const std::vector<uint64_t> &hashes);

  ArtifactParts parts_;
  const WeightProducer &producer_;
  std::vector<std::byte> program_; ///< the flatbuffer
  FileHeader header_ = {};
  uint64_t end_ = sizeof(FileHeader);         ///< of the last section so far
  uint64_t codeBytes_ = 0, weightsBytes_ = 0; ///< of the sections
  bool stored_ = true;                        ///< weights are in the file
};

void Writer::addSection(SectionKind kind, uint64_t bytes) {
  if (bytes == 0)
    return;
  SectionRecord &record = header_.sections[header_.sectionCount++];
  record = {kind, 0, alignTo(end_, alignmentOf(kind)), bytes};
  end_ = record.offset + bytes;
}

Status Writer::plan(const ArtifactOptions &options) {
  ProgramDesc &program = parts_.program;
  if (parts_.code.size() != program.codeObjects.size())
    return Status::internal("artifact: found " + std::to_string(parts_.code.size()) +
                            " pieces of code, expected " +
                            std::to_string(program.codeObjects.size()) + ".");
  for (size_t i = 0; i < parts_.code.size(); ++i)
    program.codeObjects[i].bytes = parts_.code[i].size();
  LLAMA4_ASSIGN_OR_RETURN(codeBytes_, place(program.codeObjects, sectionAlignment));
  LLAMA4_ASSIGN_OR_RETURN(uint64_t weights, place(program.weights, tensorAlignment));
  stored_ = program.weightSource.isStored();
  weightsBytes_ = stored_ ? weights : 0;
  if (options.tamper) {
    ProgramDesc tampered = program;
    options.tamper(tampered);
    program_ = encodeProgram(tampered);
  } else {
    Status status = checkProgram(program, codeBytes_, weights);
    if (!status.ok())
      return Status::internal("artifact: " + status.message());
    program_ = encodeProgram(program);
  }

  // How many chunks there are does not depend on where they begin: lay out twice.
  layOut(sizeof(uint64_t));
  layOut((chunkCount(metadataRange(header_).bytes) + chunkCount(weightsBytes_)) * sizeof(uint64_t));
  return {};
}

void Writer::layOut(uint64_t tableBytes) {
  header_ = {};
  end_ = sizeof(FileHeader);
  addSection(SectionKind::Checksums, tableBytes);
  addSection(SectionKind::Program, program_.size());
  addSection(SectionKind::Code, codeBytes_);
  addSection(SectionKind::Tokenizer, parts_.tokenizer.size());
  addSection(SectionKind::ChatTemplate, parts_.chatTemplate.size());
  addSection(SectionKind::Weights, weightsBytes_);
  header_.features = (stored_ ? 0 : featureMadeUpWeights) |
                     (hasExperts(parts_.program) ? featureExperts : 0) |
                     (hasImages(parts_.program) ? featureImages : 0) |
                     (hasLibraries(parts_.program) ? featureLibraries : 0);
  header_.fileBytes = end_;
}

Status Writer::writeMetadata(HashingFile &out) {
  LLAMA4_RETURN_IF_ERROR(out.write(program_));
  uint64_t code = sectionRange(header_, SectionKind::Code).begin;
  for (size_t i = 0; i < parts_.code.size(); ++i) {
    LLAMA4_RETURN_IF_ERROR(out.padTo(code + parts_.program.codeObjects[i].offset));
    LLAMA4_RETURN_IF_ERROR(out.write(bytesOf(parts_.code[i])));
  }
  if (!parts_.tokenizer.empty()) {
    LLAMA4_RETURN_IF_ERROR(out.padTo(sectionRange(header_, SectionKind::Tokenizer).begin));
    LLAMA4_RETURN_IF_ERROR(out.write(bytesOf(parts_.tokenizer)));
  }
  if (!parts_.chatTemplate.empty()) {
    LLAMA4_RETURN_IF_ERROR(out.padTo(sectionRange(header_, SectionKind::ChatTemplate).begin));
    LLAMA4_RETURN_IF_ERROR(out.write(bytesOf(parts_.chatTemplate)));
  }
  return {};
}

Status Writer::writeWeights(HashingFile &out) {
  const std::vector<Weight> &weights = parts_.program.weights;
  uint64_t section = sectionRange(header_, SectionKind::Weights).begin;
  for (size_t i = 0; i < weights.size(); ++i) {
    LLAMA4_RETURN_IF_ERROR(out.padTo(section + weights[i].offset));
    CountingSink sink(out, weights[i].bytes);
    LLAMA4_RETURN_IF_ERROR(producer_(i, sink));
    if (sink.left() != 0 || sink.overrun())
      return Status::internal("weight " + weights[i].name + ": its producer wrote " +
                              (sink.overrun() ? "more than " : "not all of ") +
                              std::to_string(weights[i].bytes) + " declared bytes.");
  }
  return {};
}

/// Fills in what depends on the bytes written.
void Writer::seal(const std::vector<uint64_t> &hashes) {
  std::array<uint8_t, 32> digest = sha256(std::as_bytes(std::span(hashes)));
  std::array<uint8_t, 32> &id = parts_.contentId;
  if (std::all_of(id.begin(), id.end(), [](uint8_t byte) { return byte == 0; }))
    id = digest;
  std::memcpy(header_.magic, fileMagic, sizeof(fileMagic));
  header_.major = formatMajor;
  header_.minor = formatMinor;
  header_.headerBytes = sizeof(FileHeader);
  std::copy(id.begin(), id.end(), header_.contentId);
  std::copy(digest.begin(), digest.end(), header_.tableSha256);
  header_.headerHash = headerHash(header_);
}

Result<ArtifactSummary> Writer::write(const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  FileRange metadata = metadataRange(header_);
  LLAMA4_RETURN_IF_ERROR(file.padTo(metadata.begin));
  HashingFile out(std::move(file));
  std::vector<uint64_t> hashes;
  LLAMA4_RETURN_IF_ERROR(writeMetadata(out));
  out.close(hashes);
  // The padding before the weights belongs to no range; the loader sees that it is zero.
  if (weightsBytes_ != 0)
    LLAMA4_RETURN_IF_ERROR(out.skipTo(sectionRange(header_, SectionKind::Weights).begin));
  if (stored_)
    LLAMA4_RETURN_IF_ERROR(writeWeights(out));
  out.close(hashes);
  LLAMA4_RETURN_IF_ERROR(out.flush());
  seal(hashes);
  LLAMA4_RETURN_IF_ERROR(out.file().writeAt(sectionRange(header_, SectionKind::Checksums).begin,
                                            std::as_bytes(std::span(hashes))));
  LLAMA4_RETURN_IF_ERROR(out.file().writeAt(0, std::as_bytes(std::span(&header_, 1))));
  LLAMA4_RETURN_IF_ERROR(out.file().commit());
  return ArtifactSummary{header_.fileBytes, metadata.bytes, codeBytes_, weightsBytes_,
                         parts_.contentId};
}

} // namespace

Result<ArtifactSummary> writeArtifact(const std::string &path, ArtifactParts parts,
                                      const WeightProducer &weights,
                                      const ArtifactOptions &options) {
  Writer writer(std::move(parts), weights);
  LLAMA4_RETURN_IF_ERROR(writer.plan(options));
  return writer.write(path);
}

bool resealArtifact(std::span<std::byte> file) {
  FileHeader header;
  if (file.size() < sizeof(header))
    return false;
  std::memcpy(&header, file.data(), sizeof(header));
  header.headerHash = headerHash(header);
  std::memcpy(file.data(), &header, sizeof(header));
  if (!checkLayout(header, file.size()).ok())
    return false;
  std::vector<uint64_t> hashes;
  for (FileRange range : {metadataRange(header), sectionRange(header, SectionKind::Weights)}) {
    ChunkHasher hasher;
    hasher.update(file.subspan(static_cast<size_t>(range.begin), static_cast<size_t>(range.bytes)));
    std::vector<uint64_t> part = hasher.finish();
    hashes.insert(hashes.end(), part.begin(), part.end());
  }
  FileRange table = sectionRange(header, SectionKind::Checksums);
  std::memcpy(file.data() + table.begin, hashes.data(), hashes.size() * sizeof(uint64_t));
  std::array<uint8_t, 32> digest = sha256(std::as_bytes(std::span(hashes)));
  std::copy(digest.begin(), digest.end(), header.tableSha256);
  header.headerHash = headerHash(header);
  std::memcpy(file.data(), &header, sizeof(header));
  return true;
}

} // namespace llama4
