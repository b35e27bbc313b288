//===- Cmd.td - what a machine is told to do ------------*- tablegen -*-===//
#ifndef LLAMA4_DIALECTS_CMD
#define LLAMA4_DIALECTS_CMD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/lm/LmTypes.td"

def Cmd_Dialect : Dialect {
  let name = "cmd";
  let cppNamespace = "::llama4::cmd";
  let summary = "Buffers, kernels and the order of dispatches";
  let description = [{
    A module after lowering holds the parameters and RoPE tables of `lm`, `cmd.kernel`s (bodies that
    are compiled to machine code) and `cmd.entry`s: straight-line lists of `cmd.alloc`,
    `cmd.weight` and `cmd.dispatch`. There is no control flow: the engine owns all loops.
  }];
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::llama4::lm::LmDialect"];
}

def Cmd_BufferType : TypeDef<Cmd_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "memory that holds a tensor";
  let description = [{
    `!cmd.buffer<tensor<?x576xf32>>`: rows padded to 64 bytes, as runtime/format/Rows.h says; weights
    lie as their tensor's layout says.
  }];
  let parameters = (ins "::mlir::RankedTensorType":$tensor);
  let assemblyFormat = "`<` $tensor `>`";
  let genVerifyDecl = 1;
}

class Cmd_Op<string mnemonic, list<Trait> traits = []> : Op<Cmd_Dialect, mnemonic, traits>;

def Cmd_KernelOp : Cmd_Op<"kernel", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "code that computes tiles of one fused op";
  let description = [{
    The block arguments are the bindings that the body reads (tensors, layers of paged state) and
    the batch, which is no binding but the step buffer; the yielded tensors are the bindings that it
    writes. The body holds exactly one `lm.embed`, `lm.row`, `lm.linear`, `lm.attention` or
    `lm.group_by_expert` and so at most one contraction. `grid` gives the number of tiles from the entry's symbol; `scratch` is
    the private memory of a worker in bytes, known after `cmd-schedule`. `workspace` lists tensors
    that the tiles of a dispatch share while it runs, bindings behind those that it writes; one of
    type `#target.zero` is zero before and after.

    ```mlir
    cmd.kernel @row_0 grid affine_map<(T) -> (T)> {
    ^bb0(%x: tensor<?x576xf32>, %w: tensor<576xf32>):
      %0 = lm.row 576 { ... } -> tensor<?x576xf32>
      cmd.yield %0 : tensor<?x576xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, AffineMapAttr:$grid,
                       OptionalAttr<TypeArrayAttr>:$workspace, OptionalAttr<I64Attr>:$scratch);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `grid` $grid (`workspace` $workspace^)? (`scratch` $scratch^)? $body attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The one fused op of the body.
    ::mlir::Operation *getFusedOp();
    /// The types of its workspace, none where it has none.
    ::llvm::SmallVector<::mlir::Type> getWorkspaceTypes();
  }];
}

def Cmd_YieldOp : Cmd_Op<"yield", [Pure, Terminator, HasParent<"KernelOp">]> {
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let summary = "the tensors a kernel writes";
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Cmd_CallOp : Cmd_Op<"call", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a dispatch in value form, between lower-outline-kernels and lower-to-cmd";
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$operands,
                       StrArrayAttr:$sources);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = [{
    $kernel `(` $operands `)` `sources` $sources attr-dict `:` functional-type($operands, $outputs)
  }];
}

def Cmd_EntryOp : Cmd_Op<"entry", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "the commands of one entry, in order";
  let description = [{
    Block arguments are the entry's inputs: buffers, the batch, paged state; the results are
    `cmd.alloc`s that commands write, each once. `arguments` has one
    dictionary per input (name, role, rope table). `arena` is the bytes of transient memory at the
    bound, known after `cmd-plan-memory`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Lm_EntryAttr:$entry, DictArrayAttr:$arguments,
                       OptionalAttr<StrArrayAttr>:$results, OptionalAttr<I64Attr>:$arena);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name $entry `arguments` $arguments (`results` $results^)? (`arena` $arena^)? $body attr-dict
  }];
  let hasVerifier = 1;
}

def Cmd_AllocOp : Cmd_Op<"alloc"> {
  let summary = "transient memory of the entry";
  let description = [{
    `offset` is its place in the arena in bytes at the bound (cmd-plan-memory). Buffers of tensors
    with `#target.zero` lie at its beginning, in every entry.
  }];
  let arguments = (ins OptionalAttr<I64Attr>:$offset);
  let results = (outs Cmd_BufferType:$buffer);
  let assemblyFormat = "(`at` $offset^)? attr-dict `:` type($buffer)";
}

def Cmd_WeightOp : Cmd_Op<"weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the memory of a parameter";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs Cmd_BufferType:$buffer);
  let assemblyFormat = "$param attr-dict `:` type($buffer)";
}

def Cmd_DispatchOp : Cmd_Op<"dispatch", [AttrSizedOperandSegments,
                                          DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs all tiles of a kernel";
  let description = [{
    `ins` are buffers, layers of paged state and the batch, in the order of the kernel's block
    arguments; `outs` the buffers it writes, in the order of its yields: `cmd.alloc`s, none of them
    twice or also read. `workspace` are the buffers of the kernel's workspace, `cmd.alloc`s that
    nothing else names. `sources` names the ops of the model that it computes.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$ins,
                       Variadic<Cmd_BufferType>:$outs, Variadic<Cmd_BufferType>:$workspace,
                       StrArrayAttr:$sources);
  let assemblyFormat = [{
    $kernel (`ins` `(` $ins^ `:` type($ins) `)`)? (`outs` `(` $outs^ `:` type($outs) `)`)?
    (`workspace` `(` $workspace^ `:` type($workspace) `)`)? `sources` $sources attr-dict
  }];
  let hasVerifier = 1;
}

def Cmd_ReturnOp : Cmd_Op<"return", [Pure, Terminator, HasParent<"EntryOp">]> {
  let summary = "the buffers that hold the entry's results";
  let arguments = (ins Variadic<Cmd_BufferType>:$buffers);
  let assemblyFormat = "attr-dict ($buffers^ `:` type($buffers))?";
}

#endif // LLAMA4_DIALECTS_CMD
