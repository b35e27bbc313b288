//===- Explain.cpp - what every dispatch of a program is and costs --------===//

#include "compiler/report/Explain.h"

#include "dialects/cmd/Cmd.h"
#include "passes/Formats.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace llama4;

uint64_t Work::bytes() const {
  return saturatingAdd(saturatingAdd(weightBytes, gatheredBytes),
                       saturatingAdd(activationBytes, cacheBytes));
}

void Work::add(const Work &other) {
  weightBytes = saturatingAdd(weightBytes, other.weightBytes);
  gatheredBytes = saturatingAdd(gatheredBytes, other.gatheredBytes);
  activationBytes = saturatingAdd(activationBytes, other.activationBytes);
  cacheBytes = saturatingAdd(cacheBytes, other.cacheBytes);
  macs = saturatingAdd(macs, other.macs);
  flops = saturatingAdd(flops, other.flops);
  seconds += other.seconds;
}

namespace {

StringRef kindOf(Operation *op) {
  if (auto linear = dyn_cast<lm::LinearOp>(op))
    return linear.getTiles() ? "experts" : "linear";
  if (isa<lm::EmbedOp>(op))
    return "embed";
  if (isa<lm::AttentionOp, lm::UnitAttentionOp, lm::CrossAttentionOp>(op))
    return "attention";
  if (lm::isRowMove(op))
    return "order";
  return isa<lm::GroupByExpertOp>(op) ? "group" : "row";
}

/// Arithmetic of a region on one element; loads and stores cost nothing here.
uint64_t arithmeticOps(Region &region) {
  uint64_t count = 0;
  region.walk([&](Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    count += isa<lm::ReduceOp>(op) ||
             ((dialect == "arith" || dialect == "math") && !isa<arith::ConstantOp>(op));
  });
  return count;
}

/// Bytes of the keys or values of one token in one layer.
uint64_t planeBytes(lm::KvLayerType type) {
  return saturatingMul(
      static_cast<uint64_t>(type.getHeads() * type.getDim()),
      elementBytes(getElementType(type.getElementType()).value_or(ElementType::F32)));
}

/// The number behind "layers." in a module path; GGUF says "blk.".
std::optional<uint32_t> layerOf(StringRef source) {
  SmallVector<StringRef> parts;
  source.rsplit(' ').second.split(parts, '.');
  for (auto [name, number] : llvm::zip(parts, llvm::drop_begin(parts))) {
    uint32_t layer = 0;
    if ((name == "layers" || name == "blk") && !number.getAsInteger(10, layer))
      return layer;
  }
  return std::nullopt;
}

/// Costs of one kernel at one value of the symbol.
class Costs {
public:
  Costs(cmd::KernelOp op, const Kernel &kernel, bool oneTokenEach, const ExplainOptions &options)
      : op_(op.getFusedOp()), kernel_(kernel), oneTokenEach_(oneTokenEach), options_(options) {}

  Work at(uint64_t symbol) {
    Work work;
    work.symbol = symbol;
    work.weightBytes = kernel_.mostWeightBytes(symbol);
    for (const KernelParam &param : kernel_.params)
      if (param.kind == ParamKind::Tensor && param.access != Access::ReadWrite) // no workspace
        work.activationBytes = saturatingAdd(
            work.activationBytes, saturatingMul(rowsRead(param, symbol), param.rowBytes));
    work.macs = saturatingMul(kernel_.macsPerSymbol, symbol);
    op_->walk([&](lm::KvPutOp put) {
      work.cacheBytes =
          saturatingAdd(work.cacheBytes, saturatingMul(planeBytes(put.getKv().getType()), symbol));
    });
    if (auto attention = dyn_cast<lm::AttentionOp>(op_))
      addAttention(attention, work);
    if (auto attention = dyn_cast<lm::UnitAttentionOp>(op_))
      addPairs(attention.getType(), lm::getRowsPerSymbol(attention.getType()), work);
    if (auto attention = dyn_cast<lm::CrossAttentionOp>(op_))
      addPairs(attention.getType(), lm::getRowsPerSymbol(attention.getKey().getType()), work);
    if (auto embed = dyn_cast<lm::EmbedOp>(op_))
      addEmbed(embed, work);
    work.flops = saturatingAdd(saturatingMul(work.macs, 2), rowWork(symbol));
    setTime(work);
    return work;
  }

private:
  /// Rows of a tensor that are read or written: of a pool that rows are taken from, one for each.
  uint64_t rowsRead(const KernelParam &param, uint64_t symbol) const {
    const bool isPool = isa<lm::MergeRowsOp>(op_) && param.rowsPerSymbol == 0;
    return isPool ? std::min<uint64_t>(symbol, param.rowsFixed) : param.rows(symbol);
  }

  /// Every token sees `length` tokens, or its chunk at most. The keys and values of a sequence come
  /// from memory once.
  void addAttention(lm::AttentionOp attention, Work &work) {
    uint64_t seen = options_.length;
    if (std::optional<uint64_t> chunk = attention.getChunk())
      seen = std::min<uint64_t>(seen, *chunk);
    const uint64_t sequences = oneTokenEach_ ? work.symbol : 1;
    const uint64_t both = saturatingMul(2, seen);
    work.cacheBytes = saturatingAdd(
        work.cacheBytes,
        saturatingMul(sequences, saturatingMul(both, planeBytes(attention.getKv().getType()))));
    auto query = cast<RankedTensorType>(attention.getQuery().getType());
    work.macs = saturatingMul(work.symbol,
                              saturatingMul(both, static_cast<uint64_t>(lm::getColumns(query))));
  }

  /// Attention of every row of `query` over `seen` rows, of its unit or of one image.
  static void addPairs(RankedTensorType query, int64_t seen, Work &work) {
    const auto rows = static_cast<uint64_t>(lm::getRowsPerSymbol(query));
    const auto each = static_cast<uint64_t>(2 * seen * lm::getColumns(query));
    work.macs = saturatingMul(work.symbol, saturatingMul(rows, each));
  }

  /// One row of the table for each token.
  void addEmbed(lm::EmbedOp embed, Work &work) {
    auto table = cast<RankedTensorType>(embed.getTable().getType());
    for (const KernelParam &param : kernel_.params)
      if (param.kind == ParamKind::Weight)
        work.gatheredBytes = saturatingMul(
            work.symbol, param.rowBytes / static_cast<uint64_t>(lm::getMatrixRows(table)));
  }

  /// Arithmetic of the row work, or of the epilogues, on all elements.
  uint64_t rowWork(uint64_t symbol) {
    const uint64_t rows =
        saturatingMul(symbol, static_cast<uint64_t>(std::max<int64_t>(1, lm::getRowSlots(op_))));
    uint64_t ops = 0;
    if (auto row = dyn_cast<lm::RowOp>(op_))
      ops = arithmeticOps(row.getBody()) * static_cast<uint64_t>(row.getWidth());
    if (auto linear = dyn_cast<lm::LinearOp>(op_))
      for (auto [group, region] : llvm::enumerate(linear.getEpilogues()))
        ops += arithmeticOps(region) * static_cast<uint64_t>(linear.getGroupWidth(group));
    if (auto attention = dyn_cast<lm::AttentionOp>(op_))
      ops = arithmeticOps(attention.getEpilogue()) *
            static_cast<uint64_t>(
                lm::getColumns(cast<RankedTensorType>(attention.getQuery().getType())));
    return saturatingMul(rows, ops);
  }

  void setTime(Work &work) {
    auto linear = dyn_cast<lm::LinearOp>(op_);
    auto input = linear ? cast<RankedTensorType>(linear.getInput().getType()) : RankedTensorType();
    const bool int8 = input && isa<lm::BlockType>(input.getElementType());
    const double contraction =
        static_cast<double>(work.macs) / (int8 ? options_.int8Macs : options_.floatMacs);
    const double rows = static_cast<double>(work.flops - 2 * work.macs) / (2 * options_.floatMacs);
    const double computing = (contraction + rows) / options_.cores;
    const double moving = static_cast<double>(work.bytes()) / options_.readBytes;
    work.seconds = std::max(computing, moving);
    work.boundByMemory = moving >= computing;
  }

  Operation *op_;
  const Kernel &kernel_;
  bool oneTokenEach_;
  const ExplainOptions &options_;
};

std::vector<std::string> getStrings(ArrayAttr strings) {
  std::vector<std::string> texts;
  if (strings)
    for (auto string : strings.getAsRange<StringAttr>())
      texts.push_back(string.getValue().str());
  return texts;
}

std::string getCore(Operation *op) {
  if (auto library = op->getAttrOfType<StringAttr>("lm.library"))
    return library.str();
  auto core = op->getAttrOfType<target::CoreAttr>("core");
  return core ? core.getSymbol().str() : "";
}

DispatchReport explainDispatch(cmd::DispatchOp dispatch, cmd::KernelOp op, const Kernel &kernel,
                               const Command &command, const EntryReport &entry,
                               const ExplainOptions &options) {
  DispatchReport report;
  report.kernel = kernel.symbol;
  report.kind = kindOf(op.getFusedOp());
  report.core = getCore(op.getFusedOp());
  report.sources = getStrings(dispatch.getSources());
  report.unfused = getStrings(dispatch->getAttrOfType<ArrayAttr>(lm::unfusedAttrName));
  for (const std::string &source : report.sources)
    if (!report.layer)
      report.layer = layerOf(source);
  for (const Binding &binding : command.bindings)
    if (binding.kind == BindingKind::Weight)
      report.weights.push_back(binding.index);
  const bool decode = entry.entry->specialization == Specialization::Decode;
  for (uint64_t symbol : entry.symbols)
    report.work.push_back(Costs(op, kernel, decode, options).at(symbol));
  return report;
}

} // namespace

Explanation llama4::explainProgram(ModuleOp module, const ProgramDesc &program,
                                   const ExplainOptions &options) {
  Explanation explanation;
  explanation.program = &program;
  explanation.plan = planMemory(program);
  explanation.options = options;
  explanation.options.length = std::min<uint64_t>(options.length, program.options.maxLength);
  SymbolTable symbols(module);
  for (auto [op, entry] : llvm::zip_equal(module.getOps<cmd::EntryOp>(), program.entries)) {
    EntryReport report;
    report.entry = &entry;
    report.symbols = {1};
    if (entry.bound > 1)
      report.symbols.push_back(entry.bound);
    for (uint64_t symbol : report.symbols)
      report.totals.emplace_back().symbol = symbol;
    auto dispatches = op.getBody().front().getOps<cmd::DispatchOp>();
    for (auto [dispatch, command] : llvm::zip_equal(dispatches, entry.commands)) {
      auto kernel = symbols.lookup<cmd::KernelOp>(dispatch.getKernel());
      report.dispatches.push_back(explainDispatch(dispatch, kernel, program.kernels[command.kernel],
                                                  command, report, explanation.options));
      for (auto [total, work] : llvm::zip_equal(report.totals, report.dispatches.back().work))
        total.add(work);
    }
    explanation.entries.push_back(std::move(report));
  }
  return explanation;
}

std::vector<std::string> llama4::encodingsOf(const Explanation &explanation,
                                             const DispatchReport &dispatch) {
  std::vector<std::string> encodings;
  for (uint32_t weight : dispatch.weights)
    if (const std::string &encoding = explanation.program->weights[weight].encoding;
        !llvm::is_contained(encodings, encoding))
      encodings.push_back(encoding);
  return encodings;
}
