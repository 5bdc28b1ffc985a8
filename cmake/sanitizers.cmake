# SPDX-License-Identifier: Apache-2.0
# APX_SANITIZE="address,undefined" or "thread" instruments everything that is compiled; with
# APX_BUILD_FUZZERS, libFuzzer's coverage counters are added.
set(APX_SANITIZE "" CACHE STRING "Sanitizers to compile with")
if(APX_SANITIZE)
    add_compile_options(-fsanitize=${APX_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${APX_SANITIZE})
    if(APX_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()
if(APX_BUILD_FUZZERS)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
