#!/bin/sh
# Runs the instructions of AMX in the emulator Bochs, beside emulated tiles (compare.cpp).
#
#   tools/dev/amx/run.sh BOCHS
#
# BOCHS is the source folder of Bochs 3.0, in which it was built:
#   ./configure --enable-cpu-level=6 --enable-x86-64 --enable-evex --enable-amx --enable-avx \
#               --with-nogui && make
# In cpu/avx/amx.cc of that version, DPBDSU takes the bytes of its first operand as unsigned,
# against Intel's manual: put Bit8s(xbyte[i]) for xbyte[i] there first.
set -eu
bochs=$(realpath "$1")
root=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
flags="-std=c++20 -O2 -Wall -Wextra -fno-exceptions -fno-rtti -fno-stack-protector
  -ffp-contract=off -fno-math-errno -fno-strict-aliasing -ffreestanding -fno-pic -mno-red-zone
  -I$root"
level="-march=x86-64-v4 -mavx512vnni -mavx512bf16"
cores=$root/compiler/microkernels/cpu/Cores.cpp
clang++-22 $flags $level -mamx-tile -mamx-int8 -mamx-bf16 -DL4_CORE_SUFFIX=_instructions \
  -c "$cores" -o instructions.o
clang++-22 $flags $level -DL4_EMULATED_TILES -DL4_CORE_SUFFIX=_emulated -c "$cores" -o emulated.o
clang++-22 $flags -include initializer_list -fno-builtin -c "$root/tools/dev/amx/compare.cpp" -o compare.o
cat > program.ld <<'END'
ENTRY(entry)
SECTIONS {
  . = 0x200000;
  .text : { *(.text.entry) *(.text*) }
  .rodata : { *(.rodata*) }
  .data : { *(.data*) }
  .bss : { *(.bss*) }
  /DISCARD/ : { *(.eh_frame*) *(.comment) *(.note*) }
}
END
ld.lld-22 -static -T program.ld compare.o instructions.o emulated.o -o program.elf
llvm-objcopy-22 -O binary program.elf program.bin
clang-22 -c "$root/tools/dev/amx/start.S" -o start.o
llvm-objcopy-22 -O binary -j .text start.o start.bin
# One block of memory for the program: Bochs loads a file into a single one.
cat > bochsrc <<END
cpu: model=sapphire_rapids, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=256, host=256, block_size=8192
romimage: file=start.bin
vgaromimage: file=$bochs/bios/vgabios-cirrus.bin-1.13.0
optramimage1: file=program.bin, address=0x200000
display_library: nogui
port_e9_hack: enabled=1
panic: action=fatal
error: action=report
info: action=ignore
log: log.txt
clock: sync=none
END
"$bochs/bochs" -q -f bochsrc > out.txt 2>&1 || true
grep -E ': (equal|DIFFERENT)$|differ$' out.txt || { tail out.txt log.txt; exit 1; }
grep -q ', 0 differ$' out.txt
