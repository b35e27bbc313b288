// The ROM of an emulated machine: from reset to 64-bit mode with AVX-512 and AMX switched on, then
// a call of 0x200000. The first gigabyte is mapped as it is; there are no interrupts, so a fault
// ends the machine.
  .code16
  .globl _start
_start:
  cli
  inb $0x92, %al // address line 20
  orb $2, %al
  outb %al, $0x92
  lgdtl %cs:(descriptor - _start)
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  .byte 0x66, 0xea // far jump
  .long 0xf0000 + (protected - _start)
  .word 8

  .code32
protected:
  movw $0x10, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $0x10000, %edi // three pages of tables
  movl $(0x3000 / 4), %ecx
  xorl %eax, %eax
  rep stosl
  movl $0x11003, 0x10000
  movl $0x12003, 0x11000
  movl $0x12000, %edi
  movl $0x83, %eax
  movl $512, %ecx
1:movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop 1b
  movl %cr4, %eax
  orl $((1 << 5) | (1 << 9) | (1 << 10) | (1 << 18)), %eax // PAE, SSE, xsave
  movl %eax, %cr4
  movl $0x10000, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax // long mode
  wrmsr
  movl %cr0, %eax
  andl $~4, %eax
  orl $0x80000022, %eax
  movl %eax, %cr0
  .byte 0xea
  .long 0xf0000 + (long_mode - _start)
  .word 0x18

  .code64
long_mode:
  xorl %ecx, %ecx
  xorl %edx, %edx
  movl $0x600e7, %eax // x87, SSE, AVX, AVX-512, tiles
  xsetbv
  movq $0x7000000, %rsp
  movq $0x200000, %rax
  call *%rax
1:hlt
  jmp 1b

  .p2align 3
table:
  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
descriptor:
  .word 31
  .long 0xf0000 + (table - _start)

  .org 0xfff0 // where a processor begins
  .code16
  .byte 0xea
  .word 0, 0xf000
  .org 0x10000
