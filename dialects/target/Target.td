//===- Target.td - what the device can do: attributes only -*- tablegen -*-===//
//
// No ops. The module lists its devices; select-layout writes on tensors how they lie in memory and
// on contractions which micro-kernel computes them. Names and layouts come from one row of
// compiler/microkernels/Table.def.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_TARGET
#define LLAMA4_DIALECTS_TARGET

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Target_Dialect : Dialect {
  let name = "target";
  let cppNamespace = "::llama4::target";
  let summary = "Devices, data layouts and micro-kernels";
  let description = [{
    Attributes only. A module that is to be compiled carries `target.devices`, a list of device
    attributes such as `#target.cpu<"x86-64-v3">`; the code generator makes one code object per
    entry of that list.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class Target_Attr<string name, string attrMnemonic> : AttrDef<Target_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Target_CpuAttr : Target_Attr<"Cpu", "cpu"> {
  let summary = "an x86 instruction set level";
  let description = [{
    One of the closed list in compiler/microkernels/Levels.def, for example
    `#target.cpu<"x86-64-v4+vnni">`.
  }];
  let parameters = (ins StringRefParameter<"level name">:$level);
  let assemblyFormat = "`<` $level `>`";
}

def Target_LayoutAttr : Target_Attr<"Layout", "layout"> {
  let summary = "how a weight lies in the weight section";
  let description = [{
    `#target.layout<"panels", 16>`: panels of 16 weight rows, K in groups, quants and scales in
    separate planes, as the contraction cores of x86 read them.
    `#target.layout<"row", 1>`: one padded float32 row (norm weights).
    The interpreter ignores layouts.
  }];
  let parameters = (ins StringRefParameter<"panels or row">:$kind, "int64_t":$rows);
  let assemblyFormat = "`<` $kind `,` $rows `>`";
  let genVerifyDecl = 1;
}

def Target_CoreAttr : Target_Attr<"Core", "core"> {
  let summary = "the micro-kernel that computes a contraction, and its tile";
  let description = [{
    `#target.core<"l4_linear_q8_q4_1", tokens = 64>`: the row of Table.def, and how many tokens a
    tile of the grid holds. For attention, `tokens` query tokens of one KV head are one tile.
  }];
  let parameters = (ins StringRefParameter<"symbol of the micro-kernel">:$symbol, "int64_t":$tokens);
  let assemblyFormat = "`<` $symbol `,` `tokens` `=` $tokens `>`";
  let genVerifyDecl = 1;
}

def Target_ZeroAttr : Target_Attr<"Zero", "zero"> {
  let summary = "memory that every dispatch finds zero and leaves zero";
  let description = [{
    The encoding of a tensor of workspace. Such memory lies apart from everything else in the arena,
    so it is zero from the start on and nobody clears it.
  }];
}

#endif // LLAMA4_DIALECTS_TARGET
