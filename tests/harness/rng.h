/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - a seeded generator for tests: the same numbers on every machine (splitmix64). */
#ifndef APX_TESTS_RNG_H
#define APX_TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. below - 1 */
static inline size_t rng_below(struct rng *rng, size_t below)
{
    return (size_t)(rng_next(rng) % below);
}

/* true once in `of` draws */
static inline int rng_once(struct rng *rng, size_t of)
{
    return rng_below(rng, of) == 0;
}

/* Uniform in [-1, 1). */
static inline float rng_real(struct rng *rng)
{
    return (float)((double)(rng_next(rng) >> 40) * 0x1p-23 - 1.0);
}

/* A size from `least` up, mostly near the edges of tiles of `tile`, else small or prime. */
static inline size_t rng_size(struct rng *rng, size_t least, size_t tile, size_t most)
{
    static const size_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53};
    size_t size;
    switch (rng_below(rng, 8)) {
    case 0:
        size = least;
        break;
    case 1:
        size = 1;
        break;
    case 2:
        size = tile - 1;
        break;
    case 3:
        size = tile;
        break;
    case 4:
        size = tile + 1;
        break;
    case 5:
        size = tile * (1 + rng_below(rng, 4)) + rng_below(rng, 3) - 1;
        break;
    case 6:
        size = primes[rng_below(rng, sizeof primes / sizeof primes[0])];
        break;
    default:
        size = least + rng_below(rng, most - least + 1);
    }
    return size < least ? least : size > most ? most : size;
}

#endif
