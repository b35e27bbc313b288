//===- ShapeChecks.h - what shape rules share -------------------*- C++ -*-===//
//
// Private to the rules of Shape.h and VisionShape.h. The checks return a sentence without place.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_LM_SHAPECHECKS_H
#define LLAMA4_DIALECTS_LM_SHAPECHECKS_H

#include "dialects/lm/Shape.h"

namespace llama4::lm::shape {

Status broken(std::string sentence);

/// "query is f32[?, 8]".
std::string found(Operand operand);
/// "query has 8 columns".
std::string columnsText(Operand operand);

/// [symbol, columns].
bool isRows(const TensorType &type);
/// [symbol, rows of a unit, columns].
bool isUnits(const TensorType &type);
/// Weights of `rank` fixed extents.
bool isStatic(const TensorType &type, size_t rank);

/// The operand is f32[symbol, N].
Status checkRows(Operand operand);
/// The operand is f32[symbol, N] or f32[symbol, K, N].
Status checkUnitRows(Operand operand);
/// The operand is i32[symbol].
Status checkIndices(Operand operand);
/// A row vector of plain numbers with one element per column of `input`.
Status checkRowVector(Operand input, Operand vector);
/// That, or [R, columns] where R divides the rows of a unit.
Status checkRowVectors(Operand input, Operand vectors);

} // namespace llama4::lm::shape

#endif // LLAMA4_DIALECTS_LM_SHAPECHECKS_H
