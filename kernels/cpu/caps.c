/* SPDX-License-Identifier: Apache-2.0 */
/* caps.c - what this processor can do, from CPUID and XGETBV.
 *
 * A bundle counts only if every instruction set in it is there and the operating system saves the
 * registers it uses (XCR0): a hypervisor may well pass the first and withhold the second. */
#include "kernels/kernels.h"

#include <cpuid.h>
#include <string.h>

/* CPUID leaf 1, ecx */
#define LEAF1_ECX_FMA     (1u << 12)
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define LEAF1_ECX_AVX     (1u << 28)
#define LEAF1_ECX_F16C    (1u << 29)
/* CPUID leaf 7, subleaf 0, ebx and ecx */
#define LEAF7_EBX_AVX2     (1u << 5)
#define LEAF7_EBX_BMI2     (1u << 8)
#define LEAF7_EBX_AVX512F  (1u << 16)
#define LEAF7_EBX_AVX512DQ (1u << 17)
#define LEAF7_EBX_AVX512CD (1u << 28)
#define LEAF7_EBX_AVX512BW (1u << 30)
#define LEAF7_EBX_AVX512VL (1u << 31)
#define LEAF7_ECX_VBMI     (1u << 1)
#define LEAF7_ECX_VNNI     (1u << 11)
/* XCR0: SSE and AVX state; mask registers and both halves of the 512-bit state */
#define XCR0_AVX    0x06u
#define XCR0_AVX512 0xe6u

static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Quirks by family and model. AMD's gathers are microcoded loops up to Zen 4, and Zen 4 (family
 * 19h, models 10h-1fh, 60h-7fh and a0h-afh) runs 512-bit operations as two halves. Intel's first
 * AVX-512 servers (family 6, model 55h) lower the clock. */
static uint32_t quirks(void)
{
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx))
        return 0;
    char vendor[12];
    memcpy(vendor, &ebx, 4);
    memcpy(vendor + 4, &edx, 4);
    memcpy(vendor + 8, &ecx, 4);
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return 0;
    uint32_t family = (eax >> 8) & 0xf;
    uint32_t model = (eax >> 4) & 0xf;
    if (family == 0x6 || family == 0xf)
        model |= (eax >> 12) & 0xf0;
    if (family == 0xf)
        family += (eax >> 20) & 0xff;
    if (memcmp(vendor, "AuthenticAMD", 12) == 0) {
        uint32_t bits = family <= 0x19 ? APX_CAP_SLOW_GATHER : 0;
        bool zen4 = family == 0x19 && ((model >= 0x10 && model <= 0x1f) ||
                                       (model >= 0x60 && model <= 0x7f) || model >= 0xa0);
        return zen4 ? bits | APX_CAP_SLOW_512 : bits;
    }
    if (memcmp(vendor, "GenuineIntel", 12) == 0 && family == 0x6 && model == 0x55)
        return APX_CAP_SLOW_512;
    return 0;
}

uint32_t apx_cpu_caps(void)
{
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return 0;
    const uint32_t leaf1 = LEAF1_ECX_FMA | LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_F16C;
    if ((ecx & leaf1) != leaf1)
        return 0;
    uint32_t xcr0 = read_xcr0();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX)
        return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    const uint32_t avx2 = LEAF7_EBX_AVX2 | LEAF7_EBX_BMI2;
    if ((ebx & avx2) != avx2)
        return 0;
    uint32_t caps = APX_CAP_AVX2;
    const uint32_t avx512 = LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512CD |
                            LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL;
    if ((ebx & avx512) == avx512 && (xcr0 & XCR0_AVX512) == XCR0_AVX512) {
        caps |= APX_CAP_AVX512;
        if (ecx & LEAF7_ECX_VNNI)
            caps |= APX_CAP_AVX512VNNI;
        if ((ecx & LEAF7_ECX_VNNI) && (ecx & LEAF7_ECX_VBMI))
            caps |= APX_CAP_AVX512VBMI;
    }
    return caps | quirks();
}

/* Ascending: each bundle contains the ones before it. */
static const struct {
    const char *isa;
    uint32_t cap;
} bundles[] = {
    {"scalar", 0},
    {"avx2", APX_CAP_AVX2},
    {"avx512", APX_CAP_AVX512},
    {"avx512vnni", APX_CAP_AVX512VNNI},
    {"avx512vbmi", APX_CAP_AVX512VBMI},
};
#define BUNDLES (sizeof bundles / sizeof bundles[0])

bool apx_caps_limit(uint32_t caps, const char *isa, uint32_t *limited)
{
    size_t top = 0;
    while (top < BUNDLES && strcmp(bundles[top].isa, isa) != 0)
        top++;
    if (top == BUNDLES)
        return false;
    for (size_t i = top + 1; i < BUNDLES; i++)
        caps &= ~bundles[i].cap;
    *limited = caps;
    return true;
}

const char *apx_caps_name(uint32_t caps)
{
    for (size_t i = BUNDLES - 1; i > 0; i--)
        if (caps & bundles[i].cap)
            return bundles[i].isa;
    return bundles[0].isa;
}
