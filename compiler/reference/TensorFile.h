//===- TensorFile.h - host tensors from and to safetensors ------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REFERENCE_TENSORFILE_H
#define LLAMA4_COMPILER_REFERENCE_TENSORFILE_H

#include "compiler/reference/HostTensor.h"

#include <map>
#include <string>

namespace llama4::reference {

using NamedTensors = std::map<std::string, HostTensor>;

/// The tensors of a file: floats of any plain type become f32, integers i32. Of more than
/// three extents those between the first and the last are multiplied. Scalars and tensors of other
/// types are left out. Errors: as SafetensorsFile::open; InvalidInput for an integer that
/// doesn't fit in 32 bits.
Result<NamedTensors> readTensors(const std::string &path);

/// Writes decoded values as F32 and indices as I32.
Status writeTensors(const std::string &path, const NamedTensors &tensors);

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_TENSORFILE_H
