#!/usr/bin/env python3
"""Checks that every #include follows the arrows between the rooms.

A room may include itself, the rooms (or single headers) named beside it, and whatever those rooms
may include. The longest matching folder decides which room a file belongs to. `ANY` may include
everything.
"""
import os
import re
import sys

import tree

ANY = "*"
ROOMS = {
    # back: what runs. No compiler, no MLIR, no LLVM.
    "runtime/base": "",
    "runtime/format": "runtime/base",
    "runtime/device": "runtime/format",
    "runtime/program": "runtime/device",
    "runtime/text": "runtime/format",
    "runtime/image": "runtime/format",
    "runtime/engine": "runtime/program runtime/text runtime/image",
    "runtime/serve": "runtime/engine",
    # shared by both sides at compile time: no MLIR either
    "runtime/text/build": "runtime/text",
    "compiler/checkpoint": "runtime/format",
    "compiler/microkernels": "runtime/format",
    "compiler/microkernels/native": "compiler/microkernels runtime/device",
    "compiler/pack": "compiler/microkernels compiler/checkpoint",
    # front: what a model declares. No MLIR.
    "compiler/graph": "runtime/format dialects/lm/Shape.h dialects/lm/VisionShape.h",
    "models": "compiler/graph compiler/checkpoint",
    # middle: IR and what transforms it
    "dialects/target": "runtime/format",
    "dialects/lm": "dialects/target",
    "dialects/cmd": "dialects/lm",
    "passes": "dialects/cmd compiler/microkernels compiler/pack/Layout.h",
    "compiler/import": "compiler/graph dialects/lm",
    "compiler/reference": "dialects/lm compiler/pack",
    "compiler/target": "passes",
    "compiler/report": "passes",
    "compiler/emit": "passes compiler/pack runtime/text/build",
    "compiler/driver": "models compiler/import compiler/target compiler/report compiler/emit "
                       "compiler/reference runtime/device",
    # ends
    "tools/llama4-opt": "passes models compiler/import compiler/reference compiler/target "
                        "tools/manual tools/llama4-compile/CompilerVersion.h",
    "tools/manual": "runtime/base",
    "tools/llama4-compile": "compiler/driver tools/manual",
    "tools/llama4-run": "runtime/serve tools/manual",
    "tools/bench": ANY,
    "tools/dev": "compiler/microkernels",
    "test": ANY,
}
# Rooms that may include MLIR and LLVM; the others may not, whatever they include.
WITH_MLIR = ("dialects", "passes", "compiler/import", "compiler/reference", "compiler/target",
             "compiler/report", "compiler/emit", "compiler/driver", "tools/llama4-opt",
             "tools/llama4-compile", "tools/bench", "test", "cmake")
# Shape rules that the front shares with the dialect.
MLIR_FREE = tuple(f"dialects/lm/{name}" for name in (
    "Shape.h", "Shape.cpp", "ShapeChecks.h", "VisionShape.h", "VisionShape.cpp"))
# The only rooms that name an instruction set; the device finds out which one the machine has.
WITH_INTRINSICS = ("compiler/microkernels", "compiler/target",
                   "runtime/device/cpu/ProbeKernels.cpp")  # rates of instructions
WITH_CPUID = WITH_INTRINSICS + ("runtime/device/cpu", "tools/bench", "test",
                                "compiler/pack/lanes/Quantizers.cpp")  # which of them to call

INCLUDE = re.compile(r'^\s*(?:#\s*)?include\s+(["<])([^">]+)[">]')
MLIR = re.compile(r"^(mlir|llvm|lld|clang)(-c)?/")
INTRINSICS = re.compile(r"\b(immintrin\.h|x86intrin\.h|arm_neon\.h|_mm\d*_\w+|__m(128|256|512)i?)\b")
CPUID = re.compile(r"\b(cpuid\.h|__get_cpuid\w*|__cpuid\w*|__builtin_cpu_\w+|_xgetbv)\b")
GENERATED = re.compile(r"(\.inc|_generated\.h)$")


def room_of(path, rooms):
    """The room that holds `path`, or None."""
    fitting = [room for room in rooms if path == room or path.startswith(room + "/")]
    return max(fitting, key=len, default=None)


def inside(path, folders):
    return any(path == f or path.startswith(f + "/") for f in folders)


def reachable(room, rooms):
    """What `room` may include: the closure of its arrows, itself included."""
    seen, todo = set(), [room]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        todo += rooms.get(name, "").split()
    return seen


def check_include(path, target, quoted, known, rooms):
    """What is wrong with one include, or None."""
    if MLIR.match(target):
        if path in MLIR_FREE or not inside(path, WITH_MLIR):
            return f"includes {target}, but this room has no MLIR or LLVM: move the code or the room"
        return None
    if not quoted:
        return None
    own = room_of(path, rooms)
    if own is None:
        return f"lies in no known room: add its folder to ROOMS in {os.path.relpath(__file__, tree.ROOT)}"
    if target not in known and not (GENERATED.search(target) and "/" in target):
        return f'includes "{target}", which is no path from the project root: write the whole path'
    allowed = reachable(own, rooms)
    if ANY in allowed or target in allowed:
        return None
    other = room_of(target, rooms)
    if other not in allowed:
        return f"{own} includes {target}, against the arrows between rooms: move what is needed down"
    return None


def check_file(path, text, known, rooms=None):
    """`file:line: what` for each violation in one file."""
    rooms = ROOMS if rooms is None else rooms
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            wrong = check_include(path, match[2], match[1] == '"', known, rooms)
            if wrong:
                found.append(f"{path}:{number}: {wrong}")
        for pattern, allowed in ((INTRINSICS, WITH_INTRINSICS + ("tools/bench", "test")),
                                 (CPUID, WITH_CPUID)):
            name = pattern.search(line)
            if name and not inside(path, allowed):
                found.append(f"{path}:{number}: {name[0]} names an instruction set: only "
                             f"{', '.join(allowed)} may")
    return found


def main():
    paths = tree.files()
    known = set(paths)
    found = []
    for path in paths:
        if path.endswith((".cpp", ".h", ".td", ".def")):
            found += check_file(path, tree.read(path) or "", known)
    return tree.report(found)


if __name__ == "__main__":
    sys.exit(main())
