# SPDX-License-Identifier: Apache-2.0
# APX_SANITIZE="address,undefined" or "thread" instruments everything that is compiled.
set(APX_SANITIZE "" CACHE STRING "Sanitizers to compile with")
if(APX_SANITIZE)
    add_compile_options(-fsanitize=${APX_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${APX_SANITIZE})
    if(APX_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()
