/* SPDX-License-Identifier: Apache-2.0 */
/* random.h - numbers that are a pure function of where they are used.
 *
 * There is no generator with a state: a draw is a hash of the seed, of what it is for (enum
 * apx_random_use) and of two counters, so that any thread may make any draw in any order and a run
 * does not depend on how its work was divided. The hash is the finaliser of splitmix64 applied
 * after each word. */
#ifndef APX_TRAIN_RANDOM_H
#define APX_TRAIN_RANDOM_H

#include <math.h>
#include <stdint.h>

enum apx_random_use {
    APX_RANDOM_WEIGHTS = 1, /* a: parameter offset, b: draw */
    APX_RANDOM_SHUFFLE,     /* a: epoch, b: place in the list */
    APX_RANDOM_DROPOUT,     /* a: epoch and window, b: layer and unit */
};

static inline uint64_t apx_random_mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t apx_random_bits(uint64_t seed, enum apx_random_use use, uint64_t a,
                                       uint64_t b)
{
    uint64_t z = apx_random_mix(seed);
    z = apx_random_mix(z ^ (uint64_t)use);
    z = apx_random_mix(z ^ a);
    return apx_random_mix(z ^ b);
}

/* In [0, 1), 53 bits. */
static inline double apx_random_uniform(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

/* Standard normal (Box and Muller) from two draws. */
static inline double apx_random_normal(uint64_t bits1, uint64_t bits2)
{
    double u = 1.0 - apx_random_uniform(bits1); /* (0, 1] */
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * apx_random_uniform(bits2));
}

#endif
