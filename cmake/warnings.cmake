# SPDX-License-Identifier: Apache-2.0
# Warnings are errors in our code; generated code (cmake/proto.cmake) is compiled without these.
add_library(apx_warnings INTERFACE)
target_compile_options(apx_warnings INTERFACE
    -Werror -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wpointer-arith -Wcast-qual
    -Wformat=2 -Wundef -Wvla -Wwrite-strings
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)
