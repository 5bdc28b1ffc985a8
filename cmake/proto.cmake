# SPDX-License-Identifier: Apache-2.0
# apx_proto_library(<target> <directory> <file.proto>...): protobuf-c code, generated at build time into a static
# library whose include directory holds <file>.pb-c.h (paths as given, relative to <directory>).
find_program(APX_PROTOC_C protoc-c)
if(NOT APX_PROTOC_C)
    message(FATAL_ERROR "protoc-c not found: install protobuf-c-compiler, or run ci/setup")
endif()

function(apx_proto_library target directory)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${target})
    file(MAKE_DIRECTORY ${out})
    set(sources)
    foreach(proto IN LISTS ARGN)
        string(REGEX REPLACE "\\.proto$" ".pb-c" base ${proto})
        add_custom_command(
            OUTPUT ${out}/${base}.c ${out}/${base}.h
            COMMAND ${APX_PROTOC_C} --proto_path=${directory} --c_out=${out} ${proto}
            DEPENDS ${directory}/${proto}
            COMMENT "Generating ${base}.c"
            VERBATIM)
        list(APPEND sources ${out}/${base}.c)
    endforeach()
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} SYSTEM PUBLIC ${out})
    target_link_libraries(${target} PUBLIC apx::protobuf_c)
endfunction()
