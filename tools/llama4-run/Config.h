//===- Config.h - options from the environment and from a file ---*- C++ -*-===//
//
// The command line has the last word, then the environment, then the file of --config.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_CONFIG_H
#define LLAMA4_TOOLS_LLAMA4_RUN_CONFIG_H

#include "runtime/base/Status.h"

#include <CLI/CLI.hpp>
#include <string>

namespace llama4::run {

/// The variable that sets an option, LLAMA4_ARG_MAX_NEW_TOKENS for --max-new-tokens; empty for an
/// option without a long name and for --help.
std::string environmentName(const CLI::App &command, const CLI::Option &option);

/// Lets the environment set the options of every subcommand, once it is the one that runs.
void readEnvironment(CLI::App &app);

/// --config FILE of the program, also after the subcommand. What is wrong in the file goes to
/// `status` and ends the parse with an exception of CLI11.
void addConfig(CLI::App &app, Status &status);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_CONFIG_H
