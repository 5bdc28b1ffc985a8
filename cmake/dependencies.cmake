# SPDX-License-Identifier: Apache-2.0
# Libraries, all from Debian 12. A missing one says which package brings it (ci/setup installs them all).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(apx_require target module package)
    pkg_check_modules(${target} IMPORTED_TARGET ${module})
    if(NOT ${target}_FOUND)
        message(FATAL_ERROR "${module} not found: install ${package}, or run ci/setup")
    endif()
    add_library(apx::${target} ALIAS PkgConfig::${target})
endfunction()

apx_require(hwloc hwloc libhwloc-dev)
apx_require(protobuf_c libprotobuf-c libprotobuf-c-dev)
apx_require(jansson jansson libjansson-dev)
if(APX_BUILD_SERVE)
    # grpc.pc lists some sixty libraries that the linker finds by itself; version 29 is gRPC 1.51.
    pkg_check_modules(GRPC REQUIRED grpc>=29)
    add_library(apx_grpc INTERFACE)
    target_link_libraries(apx_grpc INTERFACE grpc gpr)
    add_library(apx::grpc ALIAS apx_grpc)
endif()
if(APX_BUILD_TRAIN)
    apx_require(yaml yaml-0.1 libyaml-dev)
    apx_require(openblas openblas libopenblas-dev)
endif()
