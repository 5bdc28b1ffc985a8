# SPDX-License-Identifier: Apache-2.0
# A file's suffix gives its flags: lstm_avx2.c is compiled for the bundle "avx2". The bundles are those of
# enum apx_cap in kernels/kernels.h; nothing else may be compiled for more than the x86-64 baseline.
set(APX_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(APX_ISA_FLAGS_avx512 ${APX_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd
    -mprefer-vector-width=512)
set(APX_ISA_FLAGS_avx512vnni ${APX_ISA_FLAGS_avx512} -mavx512vnni)
set(APX_ISA_FLAGS_avx512vbmi ${APX_ISA_FLAGS_avx512vnni} -mavx512vbmi)

function(apx_isa_flags)
    foreach(file IN LISTS ARGN)
        get_filename_component(stem ${file} NAME_WE)
        if(stem MATCHES "_(avx2|avx512|avx512vnni|avx512vbmi)(_[a-z0-9]+)?$")
            set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
                "${APX_ISA_FLAGS_${CMAKE_MATCH_1}}")
        endif()
    endforeach()
endfunction()
