# SPDX-License-Identifier: Apache-2.0
# libauspex_cuda.so: the kernels of kernels/cuda and CUDA's runtime, linked statically. It is loaded at run time, so a
# program serves machines with and without GPUs, and a build without nvcc lacks nothing but this file.
# APX_CUDA: AUTO builds it where nvcc is found, ON insists, OFF does not look.
set(APX_CUDA AUTO CACHE STRING "Build the CUDA plug-in: AUTO (if nvcc is found), ON or OFF")
set_property(CACHE APX_CUDA PROPERTY STRINGS AUTO ON OFF)

if(APX_CUDA STREQUAL "OFF")
    message(STATUS "CUDA plug-in: not built (APX_CUDA is OFF)")
    return()
endif()
if(APX_CUDA STREQUAL "AUTO" AND APX_SANITIZE)
    message(STATUS "CUDA plug-in: not built (sanitizers do not follow a kernel; tests/cuda emulates them)")
    return()
endif()
find_program(APX_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
if(APX_NVCC)
    get_filename_component(apx_cuda_root ${APX_NVCC} REALPATH)
    get_filename_component(apx_cuda_root ${apx_cuda_root}/../.. ABSOLUTE)
    find_library(APX_CUDART cudart_static PATHS ${apx_cuda_root}/lib64
        ${apx_cuda_root}/targets/x86_64-linux/lib NO_DEFAULT_PATH)
endif()
if(NOT APX_NVCC OR NOT APX_CUDART)
    if(APX_CUDA STREQUAL "AUTO")
        message(STATUS "CUDA plug-in: not built (no nvcc in PATH, CUDA_HOME or /usr/local/cuda)")
        return()
    endif()
    message(FATAL_ERROR "APX_CUDA is ON, but nvcc and libcudart_static.a are not found: put nvcc into PATH or set "
        "CUDA_HOME")
endif()

# Machine code for A100 and its like and for H100 and H200; later ones translate the first one's PTX. Sums are written as
# they are to be added, so that the compiler may not fuse by itself (kernels: -ffp-contract=off).
set(apx_nvcc_flags -std=c++17 -O3 --fmad=false -I${CMAKE_SOURCE_DIR} -Werror all-warnings
    -gencode arch=compute_80,code=[sm_80,compute_80] -gencode arch=compute_90a,code=sm_90a
    -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
    -Xcompiler=-Wall,-Wextra,-Werror)
find_program(APX_CCACHE ccache) # nvcc takes minutes
set(apx_launcher)
if(APX_CCACHE)
    set(apx_launcher ${APX_CCACHE})
endif()
file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
file(GLOB cuda_c_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.c)
set(cuda_objects)
foreach(source IN LISTS cuda_sources)
    get_filename_component(stem ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/cuda/${stem}.o)
    add_custom_command(OUTPUT ${object}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cuda
        COMMAND ${apx_launcher} ${APX_NVCC} ${apx_nvcc_flags} -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
        DEPENDS ${source} DEPFILE ${object}.d COMMENT "Compiling ${stem}.cu" VERBATIM)
    list(APPEND cuda_objects ${object})
endforeach()

add_library(auspex_cuda SHARED ${cuda_objects} ${cuda_c_sources})
set_source_files_properties(${cuda_objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(auspex_cuda PROPERTIES LINKER_LANGUAGE C
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/exports.map)
target_link_libraries(auspex_cuda PRIVATE apx_warnings ${APX_CUDART} Threads::Threads ${CMAKE_DL_LIBS} rt m)
target_link_options(auspex_cuda PRIVATE -Wl,-z,defs
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/kernels/cuda/exports.map)
install(TARGETS auspex_cuda)
message(STATUS "CUDA plug-in: ${APX_NVCC}, for sm_80 and sm_90a")
