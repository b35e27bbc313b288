//===- WeightPagesTest.cpp - weights change their memory, not their bytes -===//
//
// Whether a byte is mapped or copied shows when the file is written to afterwards: a mapping sees
// that, a copy does not.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/WeightPages.h"

#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace llama4::test {
namespace {

constexpr uint64_t offset = hugePageSize, pieces = 3;
/// Whole pieces, then an end that fills no page.
constexpr uint64_t size = pieces * WeightPages::pieceBytes + 12345;
constexpr uint64_t plenty = uint64_t{1} << 50;

std::byte valueAt(uint64_t i) { return static_cast<std::byte>((i * 0x9E3779B97F4A7C15u) >> 56); }

class Weights : public ::testing::Test {
protected:
  void SetUp() override {
    std::string bytes(offset + size, '\0');
    for (uint64_t i = 0; i < size; ++i)
      bytes[offset + i] = static_cast<char>(valueAt(i));
    std::ofstream(path_, std::ios::binary) << bytes;
    file_.emplace(MappedFile::open(path_, hugePageSize).take());
    pages_.emplace(*file_, offset, size);
    weights_ = file_->bytes().subspan(offset);
  }
  void TearDown() override {
    pages_.reset();
    file_.reset();
    ::unlink(path_.c_str());
  }

  /// The first byte from `from` that is not what was written; `size` where all are right.
  uint64_t firstWrong(uint64_t from = 0) const {
    while (from < size && weights_[from] == valueAt(from))
      ++from;
    return from;
  }
  /// Changes each byte of the file, and says how many of the first bytes of memory did not follow.
  uint64_t unaffectedBytes() const {
    std::string other(size, '\0');
    for (uint64_t i = 0; i < size; ++i)
      other[i] = static_cast<char>(~valueAt(i));
    const int fd = ::open(path_.c_str(), O_WRONLY);
    EXPECT_EQ(::pwrite(fd, other.data(), size, offset), static_cast<ssize_t>(size));
    ::close(fd);
    return firstWrong();
  }

  const std::string path_ =
      ::testing::TempDir() + "weight-pages-" + std::to_string(::getpid()) + ".bin";
  std::optional<MappedFile> file_;
  std::optional<WeightPages> pages_;
  std::span<const std::byte> weights_;
};

TEST_F(Weights, MappedTheyFollowTheFile) {
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weights_.data()) % hugePageSize, 0u);
  EXPECT_EQ(firstWrong(), size);
  EXPECT_EQ(pages_->report().form, WeightsReport::Form::Mapped);
  EXPECT_EQ(unaffectedBytes(), 0u);
}

TEST_F(Weights, CopiedNow) {
  const std::byte *before = weights_.data();
  const Status status = pages_->copyNow();
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(file_->bytes().data() + offset, before);
  EXPECT_EQ(firstWrong(), size);
  const WeightsReport report = pages_->report();
  EXPECT_EQ(report.form, WeightsReport::Form::Copied);
  EXPECT_EQ(report.copied, size);
  EXPECT_EQ(report.bytes, size);
  EXPECT_LE(report.inHugePages, size);
  EXPECT_EQ(unaffectedBytes(), size);
}

TEST_F(Weights, ACopyInHugePagesWhereTheSystemHasThem) {
  // What the system gives to anybody who asks decides what is expected.
  const size_t bytes = 4 * hugePageSize;
  void *probe = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(probe, MAP_FAILED);
  (void)::madvise(probe, bytes, MADV_HUGEPAGE);
  std::memset(probe, 1, bytes);
  const PageUse use = pageUse({static_cast<const std::byte *>(probe), bytes});
  EXPECT_EQ(use.resident, bytes);
  ::munmap(probe, bytes);
  if (use.inHugePages == 0)
    GTEST_SKIP() << "this system has no huge pages to give";
  ASSERT_TRUE(pages_->copyNow().ok());
  EXPECT_GE(pages_->report().inHugePages, pieces * WeightPages::pieceBytes / 2);
}

TEST_F(Weights, CopiedLaterBesideAReader) {
  pages_->copyLater(3, [] { return plenty; }, true);
  for (int step = 0; step < 2; ++step)
    ASSERT_TRUE(pages_->hold().ok());
  EXPECT_EQ(pages_->report().copied, 0u);
  // Steps go on until everything has changed places, and one more.
  uint64_t wrong = size;
  for (bool last = false; wrong == size && !last;) {
    last = pages_->report().form == WeightsReport::Form::Copied;
    Result<WeightPages::Hold> hold = pages_->hold();
    ASSERT_TRUE(hold.ok());
    wrong = firstWrong();
  }
  EXPECT_EQ(wrong, size);
  EXPECT_EQ(pages_->report().copied, size);
  EXPECT_EQ(unaffectedBytes(), size);
}

TEST_F(Weights, HugePagesOfTheFileAreNotCopied) {
  pages_->copyLater(1, [] { return plenty; });
  const uint64_t right = firstWrong(); // and every page is mapped
  const PageUse use = pageUse(weights_);
  pages_->finish();
  EXPECT_EQ(right, size);
  if (use.inHugePages >= use.resident / 10 * 9) {
    EXPECT_EQ(pages_->report().reason, "huge pages map the file");
    EXPECT_EQ(unaffectedBytes(), 0u);
  }
}

TEST_F(Weights, NothingChangesPlacesWhileAStepRuns) {
  pages_->copyLater(1, [] { return plenty; }, true);
  {
    Result<WeightPages::Hold> hold = pages_->hold(); // and the copy begins
    ASSERT_TRUE(hold.ok());
    while (pages_->report().form != WeightsReport::Form::Copying)
      std::this_thread::yield();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(firstWrong(), size);
      EXPECT_EQ(pages_->report().copied, 0u);
    }
  }
  pages_->finish();
  EXPECT_EQ(pages_->report().form, WeightsReport::Form::Copied);
  EXPECT_EQ(firstWrong(), size);
}

TEST_F(Weights, StayMappedWhereMemoryIsShort) {
  pages_->copyLater(1, [] { return uint64_t{1000}; }, true);
  pages_->finish();
  const WeightsReport report = pages_->report();
  EXPECT_EQ(report.form, WeightsReport::Form::Mapped);
  EXPECT_NE(report.reason.find("memory became short: found 1000 bytes"), std::string::npos)
      << report.reason;
  EXPECT_EQ(report.copied, 0u);
  EXPECT_EQ(firstWrong(), size);
  EXPECT_EQ(unaffectedBytes(), 0u);
}

TEST_F(Weights, WhatIsCopiedWhenMemoryBecomesShortStaysCopied) {
  int asked = 0;
  pages_->copyLater(1, [&asked] { return ++asked <= 2 ? plenty : 0; }, true);
  pages_->finish();
  const WeightsReport report = pages_->report();
  EXPECT_EQ(report.form, WeightsReport::Form::Copying);
  EXPECT_EQ(report.copied, 2 * WeightPages::pieceBytes);
  EXPECT_NE(report.reason.find("memory became short"), std::string::npos);
  EXPECT_EQ(firstWrong(), size);
  ASSERT_TRUE(pages_->hold().ok());
  EXPECT_EQ(unaffectedBytes(), 2 * WeightPages::pieceBytes);
}

TEST_F(Weights, AFileThatBecameShorterIsNotCopied) {
  ASSERT_EQ(::truncate(path_.c_str(), offset + size - 1), 0);
  const Status status = pages_->copyNow();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message(), path_ + ": found " + std::to_string(offset + size - 1) +
                                  " bytes, expected " + std::to_string(offset + size) +
                                  " as when it was opened; leave files alone that are in use.");
  EXPECT_EQ(pages_->report().form, WeightsReport::Form::Mapped);
  EXPECT_GE(firstWrong(), size - 1); // all but the byte that is gone
}

TEST_F(Weights, EndBeforeTheCopyHasBegunOrInItsMiddle) {
  pages_->copyLater(1000, [] { return plenty; }, true);
  pages_.emplace(*file_, offset, size); // ends the first
  pages_->copyLater(1, [] { return plenty; }, true);
  ASSERT_TRUE(pages_->hold().ok());
  pages_.reset();
  EXPECT_EQ(firstWrong(), size);
}

} // namespace
} // namespace llama4::test
