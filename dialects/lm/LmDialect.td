//===- LmDialect.td - the model dialect ----------------*- tablegen -*-===//
#ifndef LLAMA4_DIALECTS_LM_DIALECT
#define LLAMA4_DIALECTS_LM_DIALECT

include "mlir/IR/OpBase.td"

def Lm_Dialect : Dialect {
  let name = "lm";
  let cppNamespace = "::llama4::lm";
  let summary = "What a language model computes, on ragged tensors";
  let description = [{
    A module holds parameters (`lm.param`), RoPE tables (`lm.rope_table`), temperatures
    (`lm.temperature_table`) and entries: functions with an `lm.entry` attribute. Every entry has one bounded symbol (T tokens of all sequences of
    a step, or R gathered rows); a dynamic extent `?` always is that symbol. No tensor depends on
    the context length: past keys and values are paged state, `!lm.kv`.

    Row work is written as named ops (`lm.rms_norm`, `lm.add`, ...) that `lm-form-rows` turns into
    `lm.row`: one region that computes one element of a row from scalars, `lm.element` loads and
    row reductions. The same kind of region is the epilogue of a contraction (`lm.linear`,
    `lm.attention`), so a fusion never needs a new op and a new epilogue never needs a new kernel.

    Module attributes: `lm.model` (what the program is: family, vocab_size, ...) and `lm.options`
    (what shapes the artifact: compute, kv_type, max_length, max_batch_size, max_step_tokens).
    Argument attributes of an entry: `lm.name`, `lm.role`, `lm.rope` on cos and sin,
    `lm.temperature` on temperatures.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::func::FuncDialect", "::llama4::target::TargetDialect"];
}

#endif // LLAMA4_DIALECTS_LM_DIALECT
