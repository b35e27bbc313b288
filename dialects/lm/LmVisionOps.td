//===- LmVisionOps.td - operations of image towers ------*- tablegen -*-===//
//
// Part of LmOps.td. A tensor [?, K, N] has K rows of N columns for each unit of the entry's symbol:
// the tokens of a tile, or of all tiles of an image. Row work, and linears without experts, treat
// them as ?*K rows; the ops here know the unit.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_LM_VISION_OPS
#define LLAMA4_DIALECTS_LM_VISION_OPS

def Lm_RopeGridOp : Lm_Op<"rope_grid", [Symbol]> {
  let summary = "the inverse frequencies of a rotary embedding over a grid";
  let description = [{
    `lm.rope_grid @grid 24 by 24 [1.0, 0.1]`: for inputs cos and sin f32[rows * columns + 1, 2 F] of
    an entry whose units are grids of tokens, row by row, behind which one token stands that has no
    place. The engine fills row r * columns + c with the angles f32(c + 1) * inv_freq in the first F
    columns, f32(r + 1) * inv_freq in the others; the last row with angle 0.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$rows, I64Attr:$columns,
                       DenseF32ArrayAttr:$inv_freq);
  let assemblyFormat = "$sym_name $rows `by` $columns custom<FloatList>($inv_freq) attr-dict";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Row work
//===----------------------------------------------------------------------===//

def Lm_LayerNormOp : Lm_RowWorkOp<"layer_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "(x - mean) * rsqrt(variance + eps) * weight + bias, over the row";
  let description = "The variance is the mean of (x - mean)^2.";
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$weight, AnyRankedTensor:$bias,
                       F32Attr:$eps);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $weight `,` $bias attr-dict `:` type($input) `,` type($weight) `,` type($bias)
  }];
  let hasVerifier = 1;
}

def Lm_GeluOp : Lm_RowWorkOp<"gelu", [Pure, SameOperandsAndResultType]> {
  let summary = "x * (1 + erf(x / sqrt(2))) / 2";
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Lm_HeadNormOp : Lm_RowWorkOp<"head_norm", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "x * rsqrt(mean(x^2) + eps) * weight in every head";
  let description = [{
    input [.., heads * dim], weight [dim]; the mean is over the `dim` columns of a head.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$weight, F32Attr:$eps);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
  let hasVerifier = 1;
}

def Lm_TanhGateOp : Lm_RowWorkOp<"tanh_gate", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "x * tanh(gate), one learned gate for all elements";
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$gate);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `,` $gate attr-dict `:` type($input) `,` type($gate)";
  let hasVerifier = 1;
}

def Lm_GatedBiasOp : Lm_RowWorkOp<"gated_bias", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "x + (1 - tanh(gate)) * bias: what a gated embedding leaves of the plain one";
  let description = "As `lm.bias`; gate [1].";
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$bias, AnyRankedTensor:$gate);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $bias `,` $gate attr-dict `:` type($input) `,` type($bias) `,` type($gate)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Rows put in order
//===----------------------------------------------------------------------===//

def Lm_PatchesOp : Lm_Op<"patches", [Pure]> {
  let summary = "the patches of square pictures as rows";
  let description = [{
    pixels f32[?, G * channels * S, S]: in each unit G pictures, of each its channels, of each S
    lines of S pixels. Result f32[?, G * (S / patch)^2, channels * patch^2]: of each picture its
    patches row by row; of each patch its channels, of each its lines (the order in which a
    convolution's weight [outputs, channels, patch, patch] reads them).
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$pixels, I64Attr:$channels, I64Attr:$patch);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $pixels `channels` $channels `patch` $patch attr-dict `:` type($pixels) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lm_InsertRowOp : Lm_Op<"insert_row", [Pure]> {
  let summary = "one row vector among the rows of every group";
  let description = [{
    input f32[?, groups * R, N], vector [N] -> f32[?, groups * (R + 1), N]: in every group of R rows
    the vector becomes row `at` (0 to R), rows from there on move back.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, AnyRankedTensor:$vector, I64Attr:$at,
                       I64Attr:$groups);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $vector `at` $at `groups` $groups attr-dict `:` type($input) `,` type($vector) `->`
    type($result)
  }];
  let hasVerifier = 1;
}

def Lm_FitRowsOp : Lm_Op<"fit_rows", [Pure]> {
  let summary = "groups of more or fewer rows";
  let description = [{
    input f32[?, groups * R, N] -> f32[?, groups * S, N]: of every group the first rows; rows that
    it doesn't have are zero.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, I64Attr:$groups);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input `groups` $groups attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lm_SpreadRowsOp : Lm_Op<"spread_rows", [Pure]> {
  let summary = "every row several times";
  let description = "input f32[?, G, N] -> f32[?, G * R, N]: every row R times, one after the other.";
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lm_ReshapeOp : Lm_Op<"reshape", [Pure]> {
  let summary = "the elements of a unit in rows of another length";
  let description = "f32[?, ...] -> f32[?, ...] with as many elements in a unit, in the same order.";
  let arguments = (ins RankedTensorOf<[F32]>:$input);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Lm_ConcatOp : Lm_Op<"concat", [Pure]> {
  let summary = "the columns of several tensors";
  let description = [{
    f32[?, K, N_i] -> f32[?, K, sum of N_i], one tensor behind the other; `interleaved`, tensors of
    one type: column c of tensor j of n becomes column c * n + j.
  }];
  let arguments = (ins Variadic<RankedTensorOf<[F32]>>:$inputs, UnitAttr:$interleaved);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    (`interleaved` $interleaved^)? $inputs attr-dict `:` type($inputs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lm_PixelShuffleOp : Lm_Op<"pixel_shuffle", [Pure]> {
  let summary = "squares of a grid of rows as one row";
  let description = [{
    input f32[?, K, N], of which the first rows are a grid of `columns` rows in each of its lines,
    as many as columns; rows behind the grid are not read. With `side` s the result is
    f32[?, (columns / s)^2, s * s * N]: row (r, c) holds the rows (s r, s c), (s r, s c + 1), ...,
    (s r + 1, s c), ... of the grid, one behind the other.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, I64Attr:$columns, I64Attr:$side);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `columns` $columns `side` $side attr-dict `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Lm_MergeRowsOp : Lm_Op<"merge_rows", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "rows of which some are replaced";
  let description = [{
    input f32[T, N], rows i32[T], source f32[M, N]: row t is row rows[t] of the source, or that of
    the input where rows[t] is -1. M is the bound of a pool that the engine owns; the caller sees to
    it that rows are inside the pool.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, RankedTensorOf<[I32]>:$rows,
                       RankedTensorOf<[F32]>:$source);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $rows `,` $source attr-dict `:` type($input) `,` type($rows) `,` type($source)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Attention without state
//===----------------------------------------------------------------------===//

def Lm_UnitAttentionOp : Lm_Op<"unit_attention", [
    Pure, AllTypesMatch<["query", "key", "value"]>,
    TypesMatchWith<"the result has the query's shape in f32", "query", "result", [{
      ::mlir::cast<::mlir::RankedTensorType>($_self).clone(
          ::mlir::Float32Type::get($_self.getContext()))
    }]>]> {
  let summary = "attention among the rows of each unit, in both directions";
  let description = [{
    query, key, value f32[?, K, heads * dim] or, where dim is even, bf16: every row attends to all
    rows of its own unit, softmax(scale q k^T) v in f32. With `pictures %n`, n i32[?], the rows of a unit are `groups`
    groups; row r of group g is real where g < n and r < `real`, and what is hidden from each other
    are rows of which neither is real. n may be 0.

    ```mlir
    %y = lm.unit_attention %q, %k, %v heads 4 scale 2.5e-01 : tensor<?x17x64xf32>
    %z = lm.unit_attention %q, %k, %v pictures %n heads 4 scale 2.5e-01 {groups = 4 : i64,
           real = 17 : i64} : tensor<?x96x64xf32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32, BF16]>:$query, RankedTensorOf<[F32, BF16]>:$key,
                       RankedTensorOf<[F32, BF16]>:$value,
                       Optional<RankedTensorOf<[I32]>>:$pictures, I64Attr:$heads, F32Attr:$scale,
                       OptionalAttr<I64Attr>:$groups, OptionalAttr<I64Attr>:$real,
                       OptionalAttr<Target_CoreAttr>:$core);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`pictures` $pictures^)? `heads` $heads `scale` $scale
    (`core` $core^)? attr-dict `:` type($query) (`,` type($pictures)^)?
  }];
  let hasVerifier = 1;
}

def Lm_CrossAttentionOp : Lm_Op<"cross_attention", [Pure, AllTypesMatch<["query", "result"]>,
                                                    AllTypesMatch<["key", "value"]>,
                                                    AllTypesMatch<["first", "count"]>]> {
  let summary = "attention of the step's rows over keys and values of images";
  let description = [{
    query f32[T, heads * dim]; key and value f32[I, G * R, kv heads * dim] of the images in a pool
    that the engine owns, G groups (tiles) of R rows each; tiles i32[I], how many of its groups an
    image has. Row t sees the images first[t] to first[t] + count[t] - 1, of each the groups that it
    has; count 0 makes the row zero. Head h reads KV head h / (heads / kv heads).

    ```mlir
    %y = lm.cross_attention %q, %k, %v, %first, %count, %tiles heads 8 groups 4 scale 2.5e-01
           : tensor<?x128xf32>, tensor<5x68x32xf32>, tensor<?xi32>, tensor<5xi32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$query, RankedTensorOf<[F32]>:$key,
                       RankedTensorOf<[F32]>:$value, RankedTensorOf<[I32]>:$first,
                       RankedTensorOf<[I32]>:$count, RankedTensorOf<[I32]>:$tiles, I64Attr:$heads,
                       I64Attr:$groups, F32Attr:$scale, OptionalAttr<Target_CoreAttr>:$core);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $first `,` $count `,` $tiles `heads` $heads `groups` $groups
    `scale` $scale (`core` $core^)? attr-dict `:` type($query) `,` type($key) `,` type($first) `,` type($tiles)
  }];
  let hasVerifier = 1;
}

#endif // LLAMA4_DIALECTS_LM_VISION_OPS
