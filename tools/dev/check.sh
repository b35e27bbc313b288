#!/usr/bin/env bash
# Checks what no compiler checks. Each violation is one line, `file:line: what, what to do`.
#   tools/dev/check.sh                    the sources: format, include order, limits
#   tools/dev/check.sh --binaries FOLDER  the programs in a build folder: what they link
set -u # no pipefail: a grep that finds nothing is good news here
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# One line for each file that clang-format would change.
formatting() {
  command -v clang-format-22 >/dev/null || {
    echo "tools/dev/check.sh:1: clang-format-22 is not installed, run: ./setup.sh deps" >&2
    return 1
  }
  python3 tools/dev/tree.py .cpp .h |
    xargs -r -P "$(nproc)" -n 8 clang-format-22 --dry-run --Werror 2>&1 |
    sed -n 's/^\([^ ]*:[0-9]*\):[0-9]*: error: code should be.*/\1/p' | sort -t: -u -k1,1 |
    sed 's/^\([^:]*\):\(.*\)$/\1:\2: not formatted, run: clang-format-22 -i \1/' |
    { ! grep . >&2; }
}

# The runtime carries no compiler and links no vendor's library.
binaries() {
  local program=$1/bin/llama4-run libraries
  [ -f "$program" ] || {
    echo "$program:1: is not there, build it first" >&2
    return 1
  }
  libraries=$(ldd "$program") || return
  echo "$libraries" | grep -iE 'libLLVM|libMLIR|libclang|liblld|libcuda|libnv|libamdhip|libhsa|librccl' |
    sed "s|^[[:space:]]*\([^ ]*\).*|$program:1: links \1, must link no compiler and no driver: find the room that brought it|" |
    { ! grep . >&2; }
}

if [ "${1:-}" = --binaries ]; then
  binaries "$2"
  exit
fi
result=0
formatting || result=1
python3 tools/dev/include_order.py || result=1
python3 tools/dev/limits.py || result=1
[ $result = 0 ] && echo "check: formatting, include order and limits are in order" >&2
exit $result
