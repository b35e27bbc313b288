//===- LmOps.td - operations of the model dialect -------*- tablegen -*-===//
#ifndef LLAMA4_DIALECTS_LM_OPS
#define LLAMA4_DIALECTS_LM_OPS

include "dialects/lm/LmTypes.td"
include "dialects/target/Target.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Lm_Op<string mnemonic, list<Trait> traits = []> : Op<Lm_Dialect, mnemonic, traits>;

/// Paged state: attention must not move over a write of keys and values.
def Lm_KvResource : Resource<"::llama4::lm::KvResource">;

//===----------------------------------------------------------------------===//
// Interface of row work
//===----------------------------------------------------------------------===//

def Lm_RowOpInterface : OpInterface<"RowOpInterface"> {
  let cppNamespace = "::llama4::lm";
  let description = [{
    An op on whole rows whose result elements are a scalar function of the operands' elements, of
    broadcast row vectors and of row reductions. `lm-form-rows` turns every such op into `lm.row`.
  }];
  let methods = [
    InterfaceMethod<[{
      Builds the body of the op for one element at the builder's insertion point and appends the
      scalar result for each op result.
    }], "void", "buildRowBody", (ins "::mlir::OpBuilder &":$builder,
                                     "::llvm::SmallVectorImpl<::mlir::Value> &":$yields)>,
    InterfaceMethod<"Columns of the row the op works on.", "int64_t", "getRowWidth">
  ];
}

//===----------------------------------------------------------------------===//
// Module level
//===----------------------------------------------------------------------===//

def Lm_ParamOp : Lm_Op<"param", [Symbol]> {
  let summary = "a weight of the model";
  let description = [{
    `lm.param @model.norm.weight : tensor<576xf32> from #lm.source<"output_norm.weight">`. The type
    is the format in which the artifact stores the weight; `lm-quantize` may change its element
    type, `lm-select-layout` adds the layout as the tensor's encoding attribute. `source` says where
    the values come from; the packer converts from the checkpoint's own format.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type,
                       Lm_SourceAttr:$source);
  let assemblyFormat = "$sym_name `:` $type `from` $source attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::mlir::cast<::mlir::RankedTensorType>(getType()); }
  }];
}

def Lm_RopeTableOp : Lm_Op<"rope_table", [Symbol]> {
  let summary = "the inverse frequencies of a rotary embedding";
  let description = [{
    `lm.rope_table @rope [1.0, 0.1]`. The engine fills the cos and sin inputs
    of a step from it: angle = f32(position) * f32(inv_freq), rounded to f32, then cos and sin.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DenseF32ArrayAttr:$inv_freq);
  let assemblyFormat = "$sym_name custom<FloatList>($inv_freq) attr-dict";
  let hasVerifier = 1;
}

def Lm_TemperatureTableOp : Lm_Op<"temperature_table", [Symbol]> {
  let summary = "the parameters of an attention temperature";
  let description = [{
    `lm.temperature_table @temperature {attn_scale = 0.1 : f32, floor_scale = 8192}`. The engine fills
    the temperature input of a step from it: 1 + attn_scale * log(1 + floor((position + 1) /
    floor_scale)), positions counted from 0.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, F32Attr:$attn_scale, I64Attr:$floor_scale);
  let assemblyFormat = "$sym_name attr-dict";
  let hasVerifier = 1;
}

def Lm_LoadParamOp : Lm_Op<"load_param",
    [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a parameter as a value";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$param attr-dict `:` type($result)";
}

def Lm_KvLayerOp : Lm_Op<"kv_layer", [Pure]> {
  let summary = "one layer of paged state";
  let arguments = (ins Lm_KvType:$kv, I64Attr:$layer);
  let results = (outs Lm_KvLayerType:$result);
  let assemblyFormat = "$kv `[` $layer `]` attr-dict `:` type($kv) `->` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Contractions and look-up
//===----------------------------------------------------------------------===//

def Lm_EmbedOp : Lm_Op<"embed", [Pure]> {
  let summary = "rows of the embedding table";
  let description = "ids i32[T], table [V, H] -> f32[T, H]. An id outside [0, V) is undefined.";
  let arguments = (ins RankedTensorOf<[I32]>:$ids, AnyRankedTensor:$table);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` type($ids) `,` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def Lm_LinearOp : Lm_Op<"linear", [RecursiveMemoryEffects, AttrSizedOperandSegments]> {
  let summary = "x times the transpose of one or several weights, with epilogues";
  let description = [{
    x [T, K] or [T, S, K] and weights w_i [N_i, K] (segments): y_i = x w_i^T. `groups` partitions the segments in
    order; each group has one epilogue region whose block arguments are the f32 elements of the
    group's segments at one (token, column), whose other inputs are `lm.element` loads, and whose
    yielded scalars are the group's results, stored in the results' element types. Segments of one
    group have equal widths. A plain linear has the identity epilogue, which is not printed:

    ```mlir
    %q, %k = lm.linear %x, %wq, %wk : tensor<?x64xf32>, tensor<64x64xf32>, tensor<16x64xf32>
                 -> tensor<?x64xf32>, tensor<?x16xf32>
    %a = lm.linear %x, %gate, %up groups [2] : ... -> tensor<?x256xf32> epilogue {
    ^bb0(%g: f32, %u: f32):
      ...
      lm.yield %p : f32
    }
    ```

    With `by %tiles` (of `lm.group_by_expert`) it is the linear of a mixture of experts: x [T, K, H]
    holds the chosen rows in group order, weights are [E, N_i, H], and every row is multiplied with
    the matrix of its expert.

    ```mlir
    %y = lm.linear %x, %w by %tiles : tensor<?x1x64xf32>, tensor<16x32x64xf32>, tensor<?x1x4xi32>
           -> tensor<?x1x32xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, Variadic<AnyRankedTensor>:$weights,
                       Optional<RankedTensorOf<[I32]>>:$tiles,
                       DenseI64ArrayAttr:$groups, OptionalAttr<Target_CoreAttr>:$core);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region VariadicRegion<SizedRegion<1>>:$epilogues);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::ValueRange":$weights,
                                 CArg<"::mlir::Value", "{}">:$tiles)>,
                  OpBuilder<(ins "::mlir::TypeRange":$results, "::mlir::Value":$input,
                                 "::mlir::ValueRange":$weights, "::mlir::Value":$tiles,
                                 "::llvm::ArrayRef<int64_t>":$groups)>];
  let extraClassDeclaration = [{
    /// Index of the first segment of `group`.
    unsigned getFirstSegment(unsigned group);
    /// Index of the first result of `group`.
    unsigned getFirstResult(unsigned group);
    /// Number of results of `group`.
    unsigned getNumResults(unsigned group);
    /// Columns of each segment of `group`.
    int64_t getGroupWidth(unsigned group);
    bool isIdentity(unsigned group);
  }];
}

def Lm_AttentionOp : Lm_Op<"attention", [RecursiveMemoryEffects,
    MemoryEffects<[MemRead<Lm_KvResource>]>]> {
  let summary = "attention of the step's queries over paged keys and values";
  let description = [{
    query f32[T, heads * dim]; head h reads KV head h / (heads / kv heads). softmax(scale q k^T) v in
    f32, masked by `mask` on absolute positions, over all tokens of the query's own sequence up to
    its position; `mask chunked` with `chunk = c` hides keys j of query i with j / c != i / c.
    Result [T, heads * dim] through an epilogue region like that of `lm.linear`; its
    unit is a head.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$query, Lm_KvLayerType:$kv, Lm_BatchType:$batch,
                       F32Attr:$scale, Lm_MaskKindAttr:$mask, OptionalAttr<I64Attr>:$chunk,
                       OptionalAttr<Target_CoreAttr>:$core);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$epilogue);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$query, "::mlir::Value":$kv, "::mlir::Value":$batch,
                                 "float":$scale)>];
  let extraClassDeclaration = [{ bool isIdentity(); }];
}

//===----------------------------------------------------------------------===//
// Row work by name
//===----------------------------------------------------------------------===//

class Lm_RowWorkOp<string mnemonic, list<Trait> traits = []>
    : Lm_Op<mnemonic, !listconcat([DeclareOpInterfaceMethods<Lm_RowOpInterface>], traits)>;

class Lm_BinaryOp<string mnemonic> : Lm_RowWorkOp<mnemonic, [Pure, SameOperandsAndResultType]> {
  let arguments = (ins RankedTensorOf<[F32]>:$lhs, RankedTensorOf<[F32]>:$rhs);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lm_AddOp : Lm_BinaryOp<"add"> { let summary = "elementwise sum (residual connection)"; }
def Lm_MulOp : Lm_BinaryOp<"mul"> { let summary = "elementwise product (gate)"; }

def Lm_BiasOp : Lm_RowWorkOp<"bias", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "adds one row vector to every row";
  let description = [{
    bias [N]; or, where the input is [?, K, N], [R, N] with R dividing K: row k of each unit gets row
    k mod R of the bias.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$bias);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $bias attr-dict `:` type($input) `,` type($bias)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::Value":$bias)>];
}

def Lm_SiluOp : Lm_RowWorkOp<"silu", [Pure, SameOperandsAndResultType]> {
  let summary = "x / (1 + exp(-x))";
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lm_RmsNormOp : Lm_RowWorkOp<"rms_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "x * rsqrt(mean(x^2) + eps) * weight, mean over the row";
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$weight, F32Attr:$eps);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::Value":$weight, "float":$eps)>];
}

def Lm_RopeOp : Lm_RowWorkOp<"rope", [Pure, AllTypesMatch<["cos", "sin"]>, AllTypesMatch<["input", "result"]>]> {
  let summary = "rotary position embedding of every head";
  let description = [{
    input f32[T, heads * dim], cos and sin f32[T, dim / 2]. `half` pairs (i, i + dim/2) (Hugging Face
    Llama 3), `pairs` pairs (2i, 2i + 1) (Llama 4). Where the input is [?, K, heads * dim], cos and
    sin are [K, dim / 2], a row for each row of a unit.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, RankedTensorOf<[F32]>:$cos,
                       RankedTensorOf<[F32]>:$sin, Lm_RotateStyleAttr:$style);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $cos `,` $sin `,` $style attr-dict `:` type($input) `,` type($cos)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::Value":$cos, "::mlir::Value":$sin,
                                 "::llama4::lm::RotateStyle":$style)>];
}

def Lm_QkNormOp : Lm_RowWorkOp<"qk_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "x * rsqrt(mean(x^2) + eps) in every head, without a weight";
  let description = "input f32[T, heads * dim]; the mean is over the `dim` columns of a head.";
  let arguments = (ins RankedTensorOf<[F32]>:$input, I64Attr:$dim, F32Attr:$eps);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Lm_TemperatureOp : Lm_RowWorkOp<"temperature", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "every row times its own number";
  let description = "input f32[T, N], temperature f32[T, 1] (see `lm.temperature_table`).";
  let arguments = (ins RankedTensorOf<[F32]>:$input, RankedTensorOf<[F32]>:$temperature);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $temperature attr-dict `:` type($input) `,` type($temperature)";
  let hasVerifier = 1;
}

def Lm_KvWriteOp : Lm_RowWorkOp<"kv_write", [AllTypesMatch<["key", "value"]>, MemoryEffects<[MemWrite<Lm_KvResource>]>]> {
  let summary = "stores the step's keys and values in the pages of their sequences";
  let description = "key and value f32[T, kv heads * dim], rounded to the state's element type.";
  let arguments = (ins RankedTensorOf<[F32]>:$key, RankedTensorOf<[F32]>:$value, Lm_KvLayerType:$kv,
                       Lm_BatchType:$batch);
  let assemblyFormat =
      "$key `,` $value `into` $kv `,` $batch attr-dict `:` type($key) `,` type($kv)";
  let hasVerifier = 1;
}

def Lm_QuantizeRowsOp : Lm_RowWorkOp<"quantize_rows", [Pure]> {
  let summary = "rounds activations to the format in which a contraction reads them";
  let description = [{
    f32[T, K] -> bf16 (round to nearest even), `!lm.block<q8_32>` or `!lm.block<q8_128>`
    (runtime/format/KernelAbi.h).
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lm_GatherOp : Lm_RowWorkOp<"gather", [Pure]> {
  let summary = "the named rows of a tensor";
  let description = [{
    source f32[M, H], rows i32[R] -> f32[R, H]; the caller sees to it that rows are inside the
    source. M is a fixed number where the source is the result of another entry: its bound.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$source, RankedTensorOf<[I32]>:$rows);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $source `,` $rows attr-dict `:` type($source) `,` type($rows) `->` type($result)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$source, "::mlir::Value":$rows)>];
}

//===----------------------------------------------------------------------===//
// Mixture of experts
//===----------------------------------------------------------------------===//

def Lm_RouteOp : Lm_Op<"route", [Pure]> {
  let summary = "the experts of every token and their scores";
  let description = [{
    logits f32[T, E]: the `top` largest of every row in descending order, of equal ones the lowest
    expert first. ids i32[T, top], scores f32[T, top]: sigmoid of the chosen logits, not
    renormalised.

    ```mlir
    %ids, %scores = lm.route %logits top 1 : tensor<?x16xf32> -> tensor<?x1xi32>, tensor<?x1xf32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$logits, I64Attr:$top);
  let results = (outs RankedTensorOf<[I32]>:$ids, RankedTensorOf<[F32]>:$scores);
  let assemblyFormat = [{
    $logits `top` $top attr-dict `:` type($logits) `->` type($ids) `,` type($scores)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$logits, "int64_t":$top)>];
}

def Lm_ExpertsOp : Lm_Op<"experts", [Pure, AllTypesMatch<["input", "result"]>,
                                     AllTypesMatch<["gate", "up"]>]> {
  let summary = "the chosen gated feed-forward networks of every token";
  let description = [{
    input f32[T, H], ids and scores [T, K] of `lm.route`, gate and up [E, F, H], down [E, H, F]
    (every expert's matrix as `lm.linear` reads it). The score scales the input of an expert:
    y[t] = sum over k in order of down_e (silu(gate_e (s x[t])) * up_e (s x[t])), e = ids[t, k],
    s = scores[t, k]. An id outside [0, E) is undefined.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, RankedTensorOf<[I32]>:$ids,
                       RankedTensorOf<[F32]>:$scores, AnyRankedTensor:$gate, AnyRankedTensor:$up,
                       AnyRankedTensor:$down);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $ids `,` $scores `,` $gate `,` $up `,` $down attr-dict `:` type($input) `,`
    type($ids) `,` type($scores) `,` type($gate) `,` type($down)
  }];
  let hasVerifier = 1;
}

def Lm_GroupByExpertOp : Lm_Op<"group_by_expert", [Pure]> {
  let summary = "the rows of a step in the order of the experts that they choose";
  let description = [{
    logits f32[T, E]; every token chooses its `top` experts and scores as `lm.route` does: T * top
    slots, slot k of token t being number t * top + k. The slots are sorted by expert, of one expert
    in ascending order; for the p-th slot in that group order

    - rows i32[T, top, 1] holds its token, scores f32[T, top, 1] its score;
    - places i32[T, top, 1] is the inverse: for each slot its place p;
    - tiles i32[T, top, 4] cuts group order into tiles of at most `tile` rows of one expert: expert,
      first place, rows, and in the first tile the number of tiles. Tiles behind that have no rows.

    A tensor [T, K, N] has T * K rows of N columns.

    ```mlir
    %rows, %scores, %places, %tiles = lm.group_by_expert %logits top 1 tile 64 : tensor<?x16xf32>
        -> tensor<?x1x1xi32>, tensor<?x1x1xf32>, tensor<?x1x1xi32>, tensor<?x1x4xi32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$logits, I64Attr:$top, I64Attr:$tile);
  let results = (outs RankedTensorOf<[I32]>:$rows, RankedTensorOf<[F32]>:$scores,
                      RankedTensorOf<[I32]>:$places, RankedTensorOf<[I32]>:$tiles);
  let assemblyFormat = [{
    $logits `top` $top `tile` $tile attr-dict `:` type($logits) `->` type($rows) `,` type($scores)
    `,` type($places) `,` type($tiles)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$logits, "int64_t":$top, "int64_t":$tile)>];
}

//===----------------------------------------------------------------------===//
// Row work as a region
//===----------------------------------------------------------------------===//

def Lm_RowOp : Lm_Op<"row", [RecursiveMemoryEffects, SingleBlock]> {
  let summary = "one fused piece of row work";
  let description = [{
    The region computes one element of a row of `width` columns: `lm.element` loads, scalar f32
    arith and math ops, row reductions (`lm.reduce`), `lm.rotate`; yielded scalars are stored in the
    results' element types (f32, bf16, `!lm.block<q8_32>`, `!lm.block<q8_128>`). It runs on T rows,
    or on T * K rows where its results are [T, K, width].

    ```mlir
    %h, %n = lm.row 576 {
      %a = lm.element %x : tensor<?x576xf32>
      %b = lm.element %y : tensor<?x576xf32>
      %s = arith.addf %a, %b : f32
      ...
      lm.yield %s, %o : f32, f32
    } -> tensor<?x576xf32>, tensor<?x576x!lm.block<q8_32>>
    ```
  }];
  let arguments = (ins I64Attr:$width);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$width $body (`->` type($outputs)^)? attr-dict";
  let hasVerifier = 1;
}

def Lm_ElementOp : Lm_Op<"element", [Pure]> {
  let summary = "the element of a tensor at the current row and column";
  let description = [{
    `column` maps the current column to the column that is read (identity when absent), for example
    `affine_map<(j) -> (j mod 32)>` for the cosines of a head of 64. `rows` replaces the current row
    by an index loaded at the current row; with `slot` k, from rows [T, K, 1], at row T * K + k of
    the current row T. A tensor of rank 1 is a row vector read for every row; one of fixed extents
    [R, N], where the region runs on K rows of each unit and R divides K, holds a vector for each row
    of a unit, over and over.
  }];
  let arguments = (ins AnyRankedTensor:$source, Optional<RankedTensorOf<[I32]>>:$rows,
                       OptionalAttr<I64Attr>:$slot, OptionalAttr<AffineMapAttr>:$column);
  let results = (outs F32:$result);
  let assemblyFormat = [{
    $source (`rows` $rows^ (`slot` $slot^)? `:` type($rows))? (`at` $column^)? attr-dict `:`
    type($source)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$source)>];
  let extraClassDeclaration = [{
    /// True where the source has fixed rows that the place of a row in its unit chooses.
    bool readsBySlot();
  }];
}

def Lm_ReduceOp : Lm_Op<"reduce", [Pure]> {
  let summary = "reduction of a scalar expression over the row, or over each head";
  let description = [{
    `lm.reduce sum %x` reduces over all columns of the row; `lm.reduce sum %x over 64` over the head
    of 64 columns that the current column lies in. The head must divide the row.
  }];
  let arguments = (ins Lm_ReduceKindAttr:$kind, F32:$input, OptionalAttr<I64Attr>:$dim);
  let results = (outs F32:$result);
  let assemblyFormat = "$kind $input (`over` $dim^)? attr-dict";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::llama4::lm::ReduceKind":$kind, "::mlir::Value":$input), [{
    build($_builder, $_state, kind, input, ::mlir::IntegerAttr());
  }]>];
}

def Lm_RotateOp : Lm_Op<"rotate", [Pure]> {
  let summary = "the scalar expression at the partner column inside a head, with RoPE's sign";
  let description = [{
    `half`: -x[j + dim/2] in the first half of a head of `dim` columns, x[j - dim/2] in the second.
    `pairs`: -x[j + 1] on even columns, x[j - 1] on odd ones.
  }];
  let arguments = (ins Lm_RotateStyleAttr:$style, F32:$input, I64Attr:$dim);
  let results = (outs F32:$result);
  let assemblyFormat = "$style $input `,` $dim attr-dict";
}

def Lm_KvPutOp : Lm_Op<"kv_put", [MemoryEffects<[MemWrite<Lm_KvResource>]>]> {
  let summary = "stores one element of a key or value at its token's place";
  let description = "The column is head * dim + d of the state's heads.";
  let arguments = (ins Lm_KvPlaneAttr:$plane, F32:$input, Lm_KvLayerType:$kv, Lm_BatchType:$batch);
  let assemblyFormat = "$plane $input `into` $kv `,` $batch attr-dict `:` type($kv)";
}

def Lm_YieldOp : Lm_Op<"yield", [Pure, Terminator, ParentOneOf<["RowOp", "LinearOp", "AttentionOp"]>]> {
  let summary = "the scalars a row or epilogue region stores";
  let arguments = (ins Variadic<F32>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

include "dialects/lm/LmVisionOps.td"

#endif // LLAMA4_DIALECTS_LM_OPS
