//===- Registered.h - the registered options as data -------------*- C++ -*-===//
//
// Config files, completion and the manual page read llvm::cl's own list of options, so that they
// cannot tell anything else than --help.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TOOLS_LLAMA4_COMPILE_REGISTERED_H
#define LLAMA4_TOOLS_LLAMA4_COMPILE_REGISTERED_H

#include "tools/manual/Manual.h"

#include "llvm/Support/CommandLine.h"

#include <string>
#include <utility>
#include <vector>

namespace llama4 {

/// Another name of an option, which says whose.
class OtherName : public llvm::cl::alias {
public:
  OtherName(const char *name, llvm::cl::Option &target, const char *help,
            llvm::cl::OptionCategory &category);
  llvm::cl::Option &target;
};

/// The values that an option can have.
using Choices =
    std::vector<std::pair<const llvm::cl::opt<std::string> *, std::vector<std::string>>>;

/// Sets options from the lines of a file; those of the command line stay. Of each group in
/// `together` the command line may have given one: then the file sets none of the others. Errors:
/// as readConfigFile(), and manual::configKind for names and values that no option has.
Status applyConfig(const std::string &path,
                   const std::vector<std::vector<const llvm::cl::Option *>> &together);

/// All options that --help shows. `argument` is what needs no name.
manual::Program describeProgram(const std::string &name, const manual::Option &argument,
                                const Choices &choices);

} // namespace llama4

#endif // LLAMA4_TOOLS_LLAMA4_COMPILE_REGISTERED_H
