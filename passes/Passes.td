//===- Passes.td - the list of all passes ---------------*- tablegen -*-===//
//
// In the order in which passes/Pipeline.cpp runs them. Each pass is one file: passes/lm,
// passes/lower, passes/cmd, passes/kernel.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES
#define LLAMA4_PASSES

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// lm: the model is encoded, fused and laid out
//===----------------------------------------------------------------------===//

def LmPlanMoe : Pass<"lm-plan-moe", "::mlir::func::FuncOp"> {
  let summary = "Mixtures of experts become grouped linears and row work";
  let description = [{
    `lm.route` becomes one `lm.group_by_expert`; each `lm.experts` of it a gather of the tokens' rows
    in group order times their scores (the score scales the input of an expert), linears by tiles, a
    gate, and the sum of every token's slots in the order of its choices. The other passes then see
    linears and rows like any others: gate and up become one linear, quantization joins the gather
    and the gate, the sum joins the next row work.

    ```mlir
    %ids, %s = lm.route %logits top 1 : ...
    %y = lm.experts %x, %ids, %s, %gate, %up, %down : ...
    // becomes
    %rows, %scores, %places, %tiles = lm.group_by_expert %logits top 1 tile 64 : ...
    %in = lm.row 64 { element of %x rows %rows, element of %scores, mulf, yield }
    %g = lm.linear %in, %gate by %tiles : ...
    %u = lm.linear %in, %up by %tiles : ...
    %s = lm.silu %g : ...
    %a = lm.mul %s, %u : ...
    %d = lm.linear %a, %down by %tiles : ...
    %y = lm.row 64 { element of %d rows %places slot 0, yield }
    ```
  }];
  let statistics = [Statistic<"numPlanned", "planned", "lm.experts taken apart">];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def LmQuantize : Pass<"lm-quantize", "::mlir::ModuleOp"> {
  let summary = "Set the formats of weights and of the activations that contractions read";
  let description = [{
    Follows the module's `lm.options`: `encoding` (as-stored, or a format for all matrix weights),
    `vision_encoding` (the same for those that entry `encode_image` reads; as-stored by default),
    `encoding_for` (a list of ["REGEX", "ENCODING"]: for parameters whose name the expression is
    found in; the last that matches counts) and `compute`. Norms, biases and other tensors
    that row work reads become f32; the
    weights of a router stay as stored unless a rule names them, and its input f32. With `compute = "bfloat16"` every linear over
    block-quantized weights reads its input through `lm.quantize_rows` to `!lm.block<q8_32>`, over
    `int4_g128` to `!lm.block<q8_128>`, every linear over bf16 weights to bf16; with `compute = "float32"` (the reference mode) inputs stay
    f32 and weights are decoded inside the core. A matrix whose width forbids the asked-for format
    takes the next wider one that fits (q4_k: q5_0, q6_k: q8_0, int4_g128: q4_1, then bf16), with a
    remark.

    ```mlir
    %y = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x64x!lm.block<q4_1>> -> tensor<?x32xf32>
    // becomes
    %q = lm.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_32>>
    %y = lm.linear %q, %w : tensor<?x64x!lm.block<q8_32>>, tensor<32x64x!lm.block<q4_1>> -> ...
    ```
  }];
  let statistics = [
    Statistic<"numQuantizedInputs", "quantized-inputs", "lm.quantize_rows inserted">,
    Statistic<"numConvertedParams", "converted-params", "parameters stored in another format">
  ];
  let dependentDialects = ["::llama4::lm::LmDialect"];
}

def LmFuseLinear : Pass<"lm-fuse-linear", "::mlir::func::FuncOp"> {
  let summary = "Linears that read the same input become one linear over several segments";
  let description = [{
    Query, key and value projections; gate and up. The segments keep their own weights, encodings
    and results. What stays apart says why, in `lm.unfused`.

    ```mlir
    %g = lm.linear %x, %wg : ...
    %u = lm.linear %x, %wu : ...
    // becomes
    %g, %u = lm.linear %x, %wg, %wu : ...
    ```
  }];
  let options = [Option<"off", "off", "bool", "false",
                       "Fuse nothing, and say so in lm.unfused">];
  let statistics = [Statistic<"numFused", "fused", "linears merged into another one">];
}

def LmFormRows : Pass<"lm-form-rows", "::mlir::func::FuncOp"> {
  let summary = "Named row work becomes lm.row";
  let description = [{
    Every op of the RowOpInterface (add, mul, silu, rms_norm, rope, kv_write, quantize_rows, gather,
    ...) is replaced by an `lm.row` with the scalar body that the op itself defines. From here on
    fusion and code generation know regions, not op names.

    ```mlir
    %s = lm.add %a, %b : tensor<?x64xf32>
    // becomes
    %s = lm.row 64 {
      %0 = lm.element %a : tensor<?x64xf32>
      %1 = lm.element %b : tensor<?x64xf32>
      %2 = arith.addf %0, %1 : f32
      lm.yield %2 : f32
    } -> tensor<?x64xf32>
    ```
  }];
  let statistics = [Statistic<"numRows", "rows", "ops turned into lm.row">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def LmFuseRows : Pass<"lm-fuse-rows", "::mlir::func::FuncOp"> {
  let summary = "Residual add, norm and quantization become one piece of row work";
  let description = [{
    An `lm.row` moves into the first `lm.row` of the same width that reads its results column by
    column. Results that others still read stay results of the fused op, so the sum of a residual
    connection is written once while its norm is quantized for the next linear. An `lm.row` that
    reads what another op computed says in `lm.unfused` why that is not computed inside of it.
  }];
  let options = [Option<"off", "off", "bool", "false",
                       "Fuse nothing, and say so in lm.unfused">];
  let statistics = [Statistic<"numFused", "fused", "lm.row ops moved into a consumer">];
}

def LmSelectLibrary : Pass<"lm-select-library", "::mlir::ModuleOp"> {
  let summary = "Mark the linears that a library computes";
  let description = [{
    With `library = "onednn"` in `lm.options`, linears over the rows of units (of an image tower)
    whose rows and weights are both f32 or both bf16 get `lm.library`: a unit has the same rows in
    every step, so that results don't depend on how a step was put together. They take no epilogue
    and have no core; weights stay in panels, which are blocks that the library knows. Without the
    option, or with `none`, nothing changes.

    ```mlir
    %y = lm.linear %x, %w : tensor<?x577x64xf32>, tensor<64x64xf32> -> tensor<?x577x64xf32>
    // becomes
    %y = lm.linear %x, %w {lm.library = "onednn"} : ...
    ```
  }];
  let statistics = [Statistic<"numLibrary", "library", "linears that a library computes">];
}

def LmFuseEpilogue : Pass<"lm-fuse-epilogue", "::mlir::func::FuncOp"> {
  let summary = "Row work on the result of a contraction becomes its epilogue";
  let description = [{
    SwiGLU over gate and up, bias, residual, RoPE with the KV write, quantization for the next
    linear. The unit of an epilogue is a tile: an `lm.row` with a row reduction stays a dispatch of
    its own, as does one whose unit (a head of 40 columns, say) is no multiple of the weight panels.
    Groups of segments that one `lm.row` reads together become one group. What stays apart says why,
    in `lm.unfused`: the row work and the contraction.

    ```mlir
    %y = lm.linear %x, %w : ...
    %z = lm.row 64 { element of %y, element of %r, addf, yield } -> tensor<?x64xf32>
    // becomes
    %z = lm.linear %x, %w : ... epilogue {
    ^bb0(%e: f32):
      %0 = lm.element %r : tensor<?x64xf32>
      %1 = arith.addf %e, %0 : f32
      lm.yield %1 : f32
    }
    ```
  }];
  let options = [Option<"off", "off", "bool", "false",
                       "Fuse nothing, and say so in lm.unfused">];
  let statistics = [
    Statistic<"numFused", "fused", "lm.row ops that became epilogues">,
    Statistic<"numUnit", "unit", "lm.row ops left alone because of their unit">
  ];
}

def LmSelectLayout : Pass<"lm-select-layout", "::mlir::ModuleOp"> {
  let summary = "Choose micro-kernels for contractions and the layout of every parameter";
  let description = [{
    One row of compiler/microkernels/Table.def gives both. Parameters read by a contraction or a
    look-up lie in panels of 16 rows, row vectors as one padded float32 row. A contraction without a
    row in the table is an error.
  }];
  let statistics = [Statistic<"numCores", "cores", "contractions with a micro-kernel">];
  let dependentDialects = ["::llama4::target::TargetDialect"];
}

def LmSpecialise : Pass<"lm-specialise", "::mlir::ModuleOp"> {
  let summary = "A second step entry for steps of one token per sequence";
  let description = [{
    Copies `@step` to `@step_decode`: bound max_batch_size, attention in tiles of one token by the
    core that divides the keys of a token among tiles: there is less work of other kinds to share,
    and few tokens times KV heads are few tiles for many threads. The bits are those of the other
    core.
  }];
  let statistics = [Statistic<"numEntries", "entries", "entries added">,
                    Statistic<"numSplit", "split", "attentions whose keys are divided">];
  let dependentDialects = ["::llama4::target::TargetDialect"];
}

def LmVerify : Pass<"lm-verify", "::mlir::ModuleOp"> {
  let summary = "Check that what is left can be lowered";
  let description = [{
    Entries hold only lm.embed, lm.row, lm.linear, lm.attention and lm.group_by_expert (and constants
    of them), every
    contraction has a core and an epilogue that a tile can compute, reads weights in panels, and
    every parameter has a layout. State that keeps one chunk is read by attention to that chunk. A
    core that divides the keys of a token among tiles has tiles of one token.
  }];
}

//===----------------------------------------------------------------------===//
// lower: lm to cmd
//===----------------------------------------------------------------------===//

def LowerOutlineKernels : Pass<"lower-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "Every fused op becomes a kernel and a call of it";
  let description = [{
    The op moves into a `cmd.kernel` whose block arguments are the values it read; in its place
    stands a `cmd.call` that lists the ops of the model it came from.
  }];
  let statistics = [Statistic<"numKernels", "kernels", "kernels made">];
  let dependentDialects = ["::llama4::cmd::CmdDialect"];
}

def LowerToCmd : Pass<"lower-to-cmd", "::mlir::ModuleOp"> {
  let summary = "Entries become lists of commands on buffers";
  let description = [{
    A tensor becomes a buffer: an input, a weight, or a `cmd.alloc` for each result of a call.

    ```mlir
    %1 = cmd.call @row_0(%0, %w) sources ["model.norm"] : (tensor<...>, tensor<...>) -> tensor<...>
    // becomes
    %1 = cmd.alloc : !cmd.buffer<tensor<...>>
    cmd.dispatch @row_0 ins(%0, %w : ...) outs(%1 : ...) sources ["model.norm"]
    ```

    The workspace of a kernel becomes `cmd.alloc`s of its dispatch.
  }];
  let dependentDialects = ["::llama4::cmd::CmdDialect"];
}

//===----------------------------------------------------------------------===//
// cmd: shared kernels, memory, order
//===----------------------------------------------------------------------===//

def CmdDedupKernels : Pass<"cmd-dedup-kernels", "::mlir::ModuleOp"> {
  let summary = "Identical kernels become one";
  let description = "Layers of a model share their code; locations do not count as a difference.";
  let statistics = [Statistic<"numRemoved", "removed", "kernels that were copies">];
}

def CmdPlanMemory : Pass<"cmd-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Give every transient its place in the arena";
  let description = [{
    Sizes are rows * row bytes at the entry's bound. Greedy best fit by size over lifetimes in
    command order: the largest buffer first, at the lowest gap between the buffers that are alive at
    the same time and already placed. Results of an entry and its inputs are no transients.
  }];
  let statistics = [
    Statistic<"arenaBytes", "arena-bytes", "arena of the largest entry">,
    Statistic<"sumBytes", "sum-bytes", "what it would be without reuse">
  ];
}

def CmdSchedule : Pass<"cmd-schedule", "::mlir::ModuleOp"> {
  let summary = "Fix what a worker needs to run each kernel";
  let description = [{
    Commands run in program order with a barrier between them; kernels get their scratch size.
    Kernels that no command names are removed.
  }];
  let statistics = [Statistic<"numDispatches", "dispatches", "dispatches of all entries">];
}

def CmdVerify : Pass<"cmd-verify", "::mlir::ModuleOp"> {
  let summary = "Check the plan: everything placed, nothing alive overlaps, nothing read unwritten";
  let description = [{
    Every transient lies aligned inside the arena and shares no byte with another one that is alive;
    no buffer is read or returned before a command wrote it. Every kernel has the grid and the
    scratch that its body needs and reads its weights in panels. Runs on a plan that was read
    back, too: what a person changed is checked like what the passes made.
  }];
}

//===----------------------------------------------------------------------===//
// kernel: bodies to vectors to LLVM (one call per code object)
//===----------------------------------------------------------------------===//

#endif // LLAMA4_PASSES
