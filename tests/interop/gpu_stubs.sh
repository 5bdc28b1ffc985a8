#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# PyTorch's wheel for Linux links two dozen GPU libraries, gigabytes that nothing here ever calls:
# these tests export models on the CPU. This script puts empty stand-ins into DIR, one per library the
# wheel needs and this machine lacks, holding every symbol the wheel leaves open (each a function that
# answers 100, "no device"). With DIR in LD_LIBRARY_PATH, `import torch` works and sees no GPU.
#
# usage: gpu_stubs.sh TORCH_LIB_DIR DIR
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: gpu_stubs.sh TORCH_LIB_DIR DIR" >&2; exit 2; }
torch_lib=$1
out=$2
mkdir -p "$out"

# An unversioned definition satisfies a versioned reference, so the version after '@' is dropped.
{
    echo '.text'
    nm -D --undefined-only "$torch_lib"/*.so |
        awk '$1 == "U" { sub(/@.*/, "", $2); print $2 }' |
        grep -E '^(_?_?cuda|cu[A-Z]|cublas|cudnn|cufft|cupti|cusolver|cusparse|nccl|nvrtc|nvshmem|_?_?nv|_Z.*nvshmem)' |
        sort -u | awk '{ print ".globl " $1 "\n.type " $1 ", @function\n" $1 ":" }'
    printf 'movl $100, %%eax\nret\n.zero 64\n.section .note.GNU-stack,"",@progbits\n'
} >"$out/stubs.s"
gcc -shared -nostdlib -o "$out/libapx_gpu_stubs.so" -Wl,-soname,libapx_gpu_stubs.so "$out/stubs.s"

objdump -p "$torch_lib"/*.so | awk '$1 == "NEEDED" { print $2 }' | sort -u |
    grep -E '^lib(cu|nccl|nvrtc|nvshmem|nvToolsExt|nvjitlink)' |
    while read -r name; do
        # Each stand-in names the one that holds the symbols, which brings it into the search.
        gcc -shared -nostdlib -o "$out/$name" -Wl,-soname,"$name" -Wl,--no-as-needed \
            -Wl,-rpath,'$ORIGIN' -x none "$out/libapx_gpu_stubs.so"
    done
