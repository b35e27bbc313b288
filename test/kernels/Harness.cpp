//===- Harness.cpp - compile kernels, load them, call them ----------------===//

#include "test/kernels/Harness.h"

#include "compiler/target/cpu/CpuTarget.h"
#include "dialects/cmd/Cmd.h"
#include "passes/kernel/Units.h"
#include "runtime/device/cpu/CpuFeatures.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

namespace llama4::test {

static constexpr size_t kGuard = 256;
static constexpr char kGuardByte = 0x5a;

std::vector<std::string> runnableLevels() {
  std::vector<std::string> names;
  for (const microkernels::Level &level : microkernels::cpuLevels())
    if (levelRuns(level.name, cpuHas))
      names.emplace_back(level.name);
  return names;
}

std::string fill(std::string text, const std::vector<std::pair<std::string, std::string>> &values) {
  for (const auto &[name, value] : values)
    for (size_t at = 0; (at = text.find("$" + name, at)) != std::string::npos; at += value.size())
      text.replace(at, name.size() + 1, value);
  return text;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Tensor::Tensor(size_t bytes) : bytes_(bytes) {
  size_t size = alignRow(bytes) + kGuard + 64;
  memory_ =
      std::shared_ptr<char>(static_cast<char *>(std::aligned_alloc(64, size / 64 * 64)), std::free);
  data_ = memory_.get();
  std::memset(data_, kGuardByte, size / 64 * 64);
}

Tensor::Tensor(ElementType type, int64_t rows, int64_t columns)
    : Tensor(rows * llama4::rowBytes(type, static_cast<uint32_t>(columns))) {
  type_ = type;
  rows_ = rows;
  columns_ = columns;
  rowBytes_ = static_cast<int64_t>(llama4::rowBytes(type, static_cast<uint32_t>(columns)));
}

Tensor::Tensor(const std::vector<std::byte> &bytes) : Tensor(bytes.size()) {
  std::memcpy(data_, bytes.data(), bytes.size());
}

float Tensor::at(int64_t row, int64_t column) const {
  return type_ == ElementType::BF16 ? fromBf16(this->row<uint16_t>(row)[column])
                                    : this->row<float>(row)[column];
}

void Tensor::set(int64_t row, int64_t column, float value) {
  if (type_ == ElementType::BF16)
    this->row<uint16_t>(row)[column] = toBf16(value);
  else
    this->row<float>(row)[column] = value;
}

Tensor &Tensor::randomize(std::mt19937 &random, float scale) {
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < rows_; ++i)
    for (int64_t j = 0; j < std::max<int64_t>(columns_, 1); ++j)
      set(i, j, normal(random) * scale);
  return *this;
}

bool Tensor::guardIntact() const {
  const char *end = static_cast<const char *>(data_) + bytes_;
  for (size_t i = 0; i < kGuard; ++i)
    if (end[i] != kGuardByte)
      return false;
  return true;
}

uint16_t toBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (std::isnan(value))
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromBf16(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

//===----------------------------------------------------------------------===//
// q8_32 and q8_128
//===----------------------------------------------------------------------===//

static size_t blockOf(ElementType type) { return type == ElementType::Q8_128 ? 128 : 32; }

QuantizedRow quantize(const std::vector<float> &row, ElementType type) {
  QuantizedRow out;
  const size_t block = blockOf(type);
  for (size_t begin = 0; begin < row.size(); begin += block) {
    size_t end = std::min(row.size(), begin + block);
    float largest = 0;
    for (size_t i = begin; i < end; ++i)
      largest = std::max(largest, std::fabs(row[i]));
    float inverse = largest == 0 ? 0 : 127.0f / largest;
    int sum = 0;
    for (size_t i = begin; i < begin + block; ++i) {
      int q = i < end ? static_cast<int>(std::nearbyint(row[i] * inverse)) : 0;
      out.quants.push_back(q);
      sum += q;
      if (block == 128 && (i - begin) % 32 == 0)
        out.partSums.push_back(0);
      if (block == 128)
        out.partSums.back() += q;
    }
    out.scales.push_back(largest / 127.0f);
    out.sums.push_back(sum);
    if (type == ElementType::Q8_32)
      out.scaledSums.push_back(out.scales.back() * static_cast<float>(sum));
  }
  return out;
}

QuantizedRow readQuantized(const Tensor &tensor, int64_t row) {
  const auto block = static_cast<int64_t>(blockOf(tensor.type()));
  const int64_t blocks = (tensor.columns() + block - 1) / block;
  const int8_t *quants = tensor.row<int8_t>(row);
  QuantizedRow found = {{quants, quants + block * blocks}, {}, {}, {}, {}};
  for (int64_t b = 0; b < blocks; ++b) {
    if (tensor.type() == ElementType::Q8_128) {
      const auto &at = reinterpret_cast<const l4_q8_wide_block *>(quants + block * blocks)[b];
      found.scales.push_back(at.scale);
      found.sums.push_back(at.sum);
      found.partSums.insert(found.partSums.end(), at.part_sums, at.part_sums + 4);
      continue;
    }
    const auto &at = reinterpret_cast<const l4_q8_block *>(quants + block * blocks)[b];
    found.scales.push_back(at.scale);
    found.scaledSums.push_back(at.scaled_sum);
    found.sums.push_back(at.offset % 128 == 0 ? at.offset / -128 : INT32_MAX);
  }
  return found;
}

void writeQuantized(Tensor &tensor, int64_t row, const QuantizedRow &values) {
  const auto block = static_cast<int64_t>(blockOf(tensor.type()));
  const int64_t blocks = (tensor.columns() + block - 1) / block;
  int8_t *quants = tensor.row<int8_t>(row);
  auto *narrow = reinterpret_cast<l4_q8_block *>(quants + block * blocks);
  auto *wide = reinterpret_cast<l4_q8_wide_block *>(quants + block * blocks);
  std::copy(values.quants.begin(), values.quants.end(), quants);
  for (size_t b = 0; b < values.scales.size(); ++b)
    if (tensor.type() == ElementType::Q8_128) {
      wide[b] = {values.scales[b], values.sums[b], {}};
      for (size_t part = 0; part < 4; ++part)
        wide[b].part_sums[part] = static_cast<int16_t>(values.partSums[4 * b + part]);
    } else {
      narrow[b] = {values.scales[b], values.scaledSums[b], values.sums[b] * -128};
    }
}

//===----------------------------------------------------------------------===//
// Step
//===----------------------------------------------------------------------===//

Step::Step(const std::vector<int64_t> &past, const std::vector<int32_t> &counts) {
  start.push_back(0);
  int64_t stride = 1;
  for (size_t s = 0; s < counts.size(); ++s) {
    for (int32_t i = 0; i < counts[s]; ++i) {
      position.push_back(past[s] + i);
      sequence.push_back(static_cast<int32_t>(s));
    }
    start.push_back(start.back() + counts[s]);
    length.push_back(past[s] + counts[s]);
    stride = std::max(stride, length.back() / L4_PAGE_TOKENS + 1);
  }
  step.symbol = static_cast<uint32_t>(position.size());
  step.sequences = static_cast<uint32_t>(counts.size());
  step.position = position.data();
  step.sequence = sequence.data();
  step.start = start.data();
  step.length = length.data();
  for (int kind = 0; kind < L4_MAX_KV_KINDS; ++kind) {
    const int64_t row = stride + kind, total = row * static_cast<int64_t>(counts.size());
    for (int64_t i = 0; i < total; ++i)
      pages[kind].push_back(static_cast<int32_t>((2 * total - 1 - i - kind) % total));
    step.page_table[kind] = pages[kind].data();
    step.page_stride[kind] = static_cast<uint32_t>(row);
  }
}

int64_t Step::page(int kind, int64_t sequence, int64_t position) const {
  return pages[kind][sequence * step.page_stride[kind] + position / L4_PAGE_TOKENS];
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// A context with everything that kernel text may hold.
static mlir::MLIRContext &context() {
  static mlir::MLIRContext *context = [] {
    auto *created = new mlir::MLIRContext(mlir::MLIRContext::Threading::DISABLED);
    created->loadDialect<lm::LmDialect, cmd::CmdDialect, target::TargetDialect,
                         mlir::arith::ArithDialect, mlir::math::MathDialect>();
    return created;
  }();
  return *context;
}

static Result<std::vector<std::byte>> compile(mlir::ModuleOp module, const std::string &level,
                                              const std::string &dumpDir) {
  cpu::CompileOptions options;
  options.dumpDir = dumpDir;
  return cpu::compileKernels(module, *microkernels::findLevel(level), options);
}

Result<std::vector<std::byte>> compileText(const std::string &text, const std::string &level,
                                           const std::string &dumpDir) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  if (!module)
    return Status::invalidInput("the text is no module");
  return compile(*module, level, dumpDir);
}

struct Kernels::Impl {
  void *handle = nullptr;
  struct Entry {
    mlir::AffineMap grid;
    int64_t scratch;
  };
  std::map<std::string, Entry> entries;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

Kernels::Kernels(const std::string &text, const std::string &level)
    : impl_(std::make_unique<Impl>()) {
  impl_->module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  if (!impl_->module) {
    ADD_FAILURE() << "the text is no module:\n" << text;
    return;
  }
  for (cmd::KernelOp kernel : impl_->module->getOps<cmd::KernelOp>())
    impl_->entries[kernel.getSymName().str()] = {kernel.getGrid(),
                                                 kernel::kernelScratchBytes(kernel)};
  const char *dumpDir = std::getenv("LLAMA4_TEST_DUMP");
  Result<std::vector<std::byte>> object = compile(*impl_->module, level, dumpDir ? dumpDir : "");
  if (!object.ok()) {
    ADD_FAILURE() << object.status().message();
    return;
  }
  int file = memfd_create("kernels", MFD_CLOEXEC);
  EXPECT_EQ(write(file, object->data(), object->size()), static_cast<ssize_t>(object->size()));
  impl_->handle = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!impl_->handle)
    ADD_FAILURE() << dlerror();
  close(file);
}

Kernels::~Kernels() {
  if (impl_->handle)
    dlclose(impl_->handle);
}

void Kernels::run(const std::string &name, const Step &step, const std::vector<Tensor> &bindings) {
  if (!impl_->handle)
    return;
  auto kernel = reinterpret_cast<l4_kernel>(dlsym(impl_->handle, name.c_str()));
  ASSERT_NE(kernel, nullptr) << name;
  const Impl::Entry &entry = impl_->entries.at(name);
  Tensor scratch(static_cast<size_t>(entry.scratch));
  std::vector<void *> pointers;
  for (const Tensor &tensor : bindings)
    pointers.push_back(tensor.data());
  mlir::Builder builder(&context());
  auto tiles = mlir::cast<mlir::IntegerAttr>([&] {
    llvm::SmallVector<mlir::Attribute> results;
    (void)entry.grid.constantFold({builder.getIndexAttr(step.step.symbol)}, results);
    return results.front();
  }());
  // The last range first: tiles are independent of each other.
  const auto total = static_cast<uint32_t>(tiles.getInt());
  const l4_dispatch dispatch = {pointers.data(), &step.step, nullptr, total};
  const uint32_t cuts[] = {total, total - total / 3, total / 4, 0};
  for (int i = 0; i < 3; ++i)
    kernel(&dispatch, cuts[i + 1], cuts[i], scratch.data());
  EXPECT_TRUE(scratch.guardIntact()) << name << " writes behind its scratch";
  for (size_t i = 0; i < bindings.size(); ++i)
    EXPECT_TRUE(bindings[i].guardIntact()) << name << " writes behind binding " << i;
}

} // namespace llama4::test
