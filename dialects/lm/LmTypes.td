//===- LmTypes.td - element formats, batch and KV state -*- tablegen -*-===//
#ifndef LLAMA4_DIALECTS_LM_TYPES
#define LLAMA4_DIALECTS_LM_TYPES

include "dialects/lm/LmDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Lm_BlockFormat : I32EnumAttr<"BlockFormat", "block-quantized element format", [
  I32EnumAttrCase<"Q8_0", 0, "q8_0">,
  I32EnumAttrCase<"Q4_1", 1, "q4_1">,
  I32EnumAttrCase<"Q8_32", 2, "q8_32">,
  I32EnumAttrCase<"Q4_0", 3, "q4_0">,
  I32EnumAttrCase<"Q5_0", 4, "q5_0">,
  I32EnumAttrCase<"Q4_K", 5, "q4_k">,
  I32EnumAttrCase<"Q6_K", 6, "q6_k">,
  I32EnumAttrCase<"Int4_G128", 7, "int4_g128">,
  I32EnumAttrCase<"Q8_128", 8, "q8_128">
]> {
  let cppNamespace = "::llama4::lm";
  let genSpecializedAttr = 0;
}

def Lm_RotateStyle : I32EnumAttr<"RotateStyle", "which elements of a head RoPE pairs", [
  I32EnumAttrCase<"Half", 0, "half">,
  I32EnumAttrCase<"Pairs", 1, "pairs">
]> {
  let cppNamespace = "::llama4::lm";
  let genSpecializedAttr = 0;
}

def Lm_ReduceKind : I32EnumAttr<"ReduceKind", "row reduction", [
  I32EnumAttrCase<"Sum", 0, "sum">,
  I32EnumAttrCase<"Max", 1, "max">
]> {
  let cppNamespace = "::llama4::lm";
  let genSpecializedAttr = 0;
}

def Lm_KvPlane : I32EnumAttr<"KvPlane", "keys or values", [
  I32EnumAttrCase<"Key", 0, "key">,
  I32EnumAttrCase<"Value", 1, "value">
]> {
  let cppNamespace = "::llama4::lm";
  let genSpecializedAttr = 0;
}

def Lm_MaskKind : I32EnumAttr<"MaskKind", "attention mask", [
  I32EnumAttrCase<"Causal", 0, "causal">,
  I32EnumAttrCase<"Chunked", 1, "chunked">
]> {
  let cppNamespace = "::llama4::lm";
  let genSpecializedAttr = 0;
}

class Lm_EnumAttr<EnumAttrInfo info, string attrMnemonic> : EnumAttr<Lm_Dialect, info, attrMnemonic>;
def Lm_RotateStyleAttr : Lm_EnumAttr<Lm_RotateStyle, "rotate_style">;
def Lm_ReduceKindAttr : Lm_EnumAttr<Lm_ReduceKind, "reduce_kind">;
def Lm_KvPlaneAttr : Lm_EnumAttr<Lm_KvPlane, "kv_plane">;
def Lm_MaskKindAttr : Lm_EnumAttr<Lm_MaskKind, "mask_kind">;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Lm_Type<string name, string typeMnemonic> : TypeDef<Lm_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Lm_BlockType : Lm_Type<"Block", "block"> {
  let summary = "an element stored in blocks with shared scales";
  let description = [{
    The element type of a tensor whose rows are stored in blocks of columns: weights `q8_0`, `q5_0`,
    `q4_0`, `q4_1` (32 columns), `q6_k`, `q4_k` (256; values as GGUF decodes them), `int4_g128` (128;
    4 bits, a scale and a whole zero point: `d * (q - z)`), activations `q8_32` and `q8_128` (8 bits,
    one scale for 32 or 128 columns, runtime/format/KernelAbi.h). Arithmetic on such a tensor means arithmetic on its decoded values.
  }];
  let parameters = (ins EnumParameter<Lm_BlockFormat>:$format);
  let assemblyFormat = "`<` $format `>`";
}

def Lm_BatchType : Lm_Type<"Batch", "batch"> {
  let summary = "the metadata of a ragged step";
  let description = [{
    Per token: position (i64) and sequence; per sequence: first token, length, page tables. It is
    the step buffer of the kernel ABI.
  }];
}

def Lm_KvType : Lm_Type<"Kv", "kv"> {
  let summary = "paged keys and values of all layers of one kind";
  let description = [{
    `!lm.kv<"full", layers = 30, heads = 3, dim = 64, f32>`: owned by the engine, read and written
    through pages of 16 tokens. `kind` indexes the page tables of the step buffer. With `chunk` only
    the tokens of a sequence's current chunk of so many positions are kept.
  }];
  let parameters = (ins StringRefParameter<"layer kind">:$name, "int64_t":$kind, "int64_t":$layers,
                        "int64_t":$heads, "int64_t":$dim, "::mlir::Type":$elementType,
                        DefaultValuedParameter<"int64_t", "0">:$chunk);
  let assemblyFormat = [{
    `<` $name `,` `kind` `=` $kind `,` `layers` `=` $layers `,` `heads` `=` $heads `,` `dim` `=` $dim
    `,` $elementType (`,` `chunk` `=` $chunk^)? `>`
  }];
  let genVerifyDecl = 1;
}

def Lm_KvLayerType : Lm_Type<"KvLayer", "kv_layer"> {
  let summary = "paged keys and values of one layer";
  let parameters = (ins "int64_t":$kind, "int64_t":$heads, "int64_t":$dim,
                        "::mlir::Type":$elementType);
  let assemblyFormat =
      "`<` `kind` `=` $kind `,` `heads` `=` $heads `,` `dim` `=` $dim `,` $elementType `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Lm_EntryAttr : AttrDef<Lm_Dialect, "Entry"> {
  let mnemonic = "entry";
  let summary = "marks a function as an entry and bounds its symbol";
  let description = [{
    `#lm.entry<"T" <= 512>`: every `?` in the function is T, at most 512. With `decode` each
    sequence of the step has exactly one token.
  }];
  let parameters = (ins StringRefParameter<"symbol">:$symbol, "int64_t":$bound,
                        DefaultValuedParameter<"bool", "false">:$decode);
  let assemblyFormat = "`<` $symbol `,` `bound` `=` $bound (`,` `decode` `=` $decode^)? `>`";
}

def Lm_SourceAttr : AttrDef<Lm_Dialect, "Source"> {
  let mnemonic = "source";
  let summary = "the checkpoint tensor behind a parameter";
  let description = [{
    `#lm.source<"blk.0.attn_q.weight", unpermute_heads = 9>`: the name in the checkpoint, and how its
    values become the parameter's rows:

    - `unpermute_heads`: GGUF files store query and key rows permuted for interleaved RoPE; for how
      many heads that has to be undone (0 = none).
    - `transpose`: the two innermost extents are stored swapped (fused experts: [E, in, out]).
    - `first_row`: the parameter's rows are the stored ones (after `transpose`, of each expert) from
      this one on: `up` behind `gate` in a fused tensor.
    - `per_expert`: a parameter of rank 3 whose matrices are tensors of their own; the one `*` of the
      name (and of `scale` and `zero_point`) stands for the number of the expert.
    - `scale`: the tensor by which stored values are multiplied: one number per row, or one in all.
    - `bits`: the tensor holds packed integers of so many bits (4 or 8), and `scale` a number for
      each group of neighbouring columns (0 = it does not).
    - `zero_point`: the tensor of packed integers that are subtracted before that, one for each
      scale.
  }];
  let parameters = (ins StringRefParameter<"tensor name">:$name,
                        DefaultValuedParameter<"int64_t", "0">:$unpermute_heads,
                        DefaultValuedParameter<"bool", "false">:$transpose,
                        DefaultValuedParameter<"int64_t", "0">:$first_row,
                        DefaultValuedParameter<"bool", "false">:$per_expert,
                        StringRefParameter<"scale tensor", "\"\"">:$scale,
                        DefaultValuedParameter<"int64_t", "0">:$bits,
                        StringRefParameter<"tensor of zero points", "\"\"">:$zero_point);
  let assemblyFormat = [{
    `<` $name (`,` struct($unpermute_heads, $transpose, $first_row, $per_expert, $scale, $bits,
                          $zero_point)^)? `>`
  }];
  let genVerifyDecl = 1;
}

#endif // LLAMA4_DIALECTS_LM_TYPES
