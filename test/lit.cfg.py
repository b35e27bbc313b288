# How lit runs the .mlir tests: `RUN:` lines with the programs of this build and LLVM's FileCheck.
# ctest passes --param build=<build folder> and --param llvm_tools=<folder of FileCheck>.
import os
import shutil

import lit.formats

build = lit_config.params["build"]
llvm_tools = lit_config.params["llvm_tools"]

config.name = "llama4"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["data", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(build, "test", "lit")

config.environment["PATH"] = os.pathsep.join(
    [os.path.join(build, "bin"), llvm_tools, os.environ.get("PATH", "")])
for name in ("LLAMA4_SMOLLM2", "LLAMA4_ORACLES", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
# `// REQUIRES: smollm2` and `// REQUIRES: oracles` say that a test needs what these point at.
for name in ("smollm2", "oracles"):
    if os.path.exists(os.environ.get("LLAMA4_" + name.upper(), "")):
        config.available_features.add(name)

config.substitutions.append(("%python", shutil.which("python3")))
config.substitutions.append(("%data", os.path.join(config.test_source_root, "data")))
