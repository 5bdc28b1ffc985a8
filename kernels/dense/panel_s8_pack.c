/* SPDX-License-Identifier: Apache-2.0 */
/* panel_s8_pack.c - 8-bit weights into panels (layout: panel_s8.h). */
#include "kernels/kernels.h"

#include "kernels/dense/panel_s8.h"

#include <math.h>
#include <string.h>

#define QUAD      4     /* values of k in a lane */
#define MOST_PAIR 32767 /* what a sum in 16 bits may reach */
/* Chunks that weights are rounded for. Twice as large ones cost a third of the levels and save a
 * twentieth of the time. */
#define GOOD_CHUNK 4

static int magnitude(int8_t w)
{
    return w < 0 ? -w : w;
}

/* Whether chunks of `chunk` quads fit one matrix row: no half lane's sum beyond 16 bits. */
static bool fits(const int8_t *w, size_t inner, int levels, size_t chunk)
{
    for (size_t begin = 0; begin < inner; begin += QUAD * chunk) {
        int sum[2] = {0, 0};
        for (size_t k = begin; k < inner && k < begin + QUAD * chunk; k++)
            sum[k % QUAD / 2] += magnitude(w[k]);
        if (levels * sum[0] > MOST_PAIR || levels * sum[1] > MOST_PAIR)
            return false;
    }
    return true;
}

int apx_panel_s8_chunk(const int8_t *matrix, size_t outputs, size_t inner, int levels)
{
    const size_t count = outputs * inner;
    int largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = magnitude(matrix[i]) > largest ? magnitude(matrix[i]) : largest;
    if (2 * levels * 2 * largest > MOST_PAIR)
        return PANEL_S8_SIGNED;
    for (int chunk = 8; chunk > 2; chunk /= 2) {
        size_t o = 0;
        while (o < outputs && fits(matrix + o * inner, inner, levels, (size_t)chunk))
            o++;
        if (o == outputs)
            return chunk;
    }
    return 2; /* 4 levels * largest is within bounds already */
}

int apx_int8_weight_levels(const float *w, size_t inner, int h_levels)
{
    float largest = 0.0f;
    for (size_t k = 0; k < inner; k++)
        largest = fabsf(w[k]) > largest ? fabsf(w[k]) : largest;
    const int most = MOST_PAIR / (4 * h_levels) < 127 ? MOST_PAIR / (4 * h_levels) : 127;
    const int least = MOST_PAIR / (2 * GOOD_CHUNK * h_levels); /* whatever the weights are */
    for (int levels = most; levels > least; levels--) {
        bool fit = true; /* at once where all weights are 0 */
        for (size_t begin = 0; begin < inner && fit && largest > 0.0f; begin += QUAD * GOOD_CHUNK) {
            float sum[2] = {0.0f, 0.0f};
            for (size_t k = begin; k < inner && k < begin + QUAD * GOOD_CHUNK; k++)
                sum[k % QUAD / 2] += rintf(fabsf(w[k]) / largest * (float)levels);
            /* One more: whoever rounds may take a tie the other way. */
            fit = (float)h_levels * (fmaxf(sum[0], sum[1]) + 1.0f) <= (float)MOST_PAIR;
        }
        if (fit)
            return levels;
    }
    return least;
}

static size_t quads_of(const struct panel_s8_form *form, size_t inner)
{
    const size_t quads = (inner + QUAD - 1) / QUAD;
    const size_t chunk = form->chunk > 0 ? (size_t)form->chunk : 1;
    return (quads + chunk - 1) / chunk * chunk;
}

size_t apx_panel_s8_bytes(const struct panel_s8_form *form, size_t inner, size_t vectors)
{
    const size_t quads = quads_of(form, inner), vector = QUAD * form->lanes;
    size_t extra = 0; /* vectors of sums */
    if (form->chunk == PANEL_S8_WHOLE)
        extra = 1;
    else if (form->chunk != PANEL_S8_SIGNED)
        extra = quads / (size_t)form->chunk;
    return ((quads + extra) * vectors * vector + 63) & ~(size_t)63;
}

size_t apx_panel_s8_bound(size_t lanes, bool whole, size_t inner, size_t vectors)
{
    static const int chunks[] = {PANEL_S8_SIGNED, 2, 4, 8};
    struct panel_s8_form form = {.lanes = lanes, .chunk = PANEL_S8_WHOLE};
    if (whole)
        return apx_panel_s8_bytes(&form, inner, vectors);
    size_t most = 0;
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        form.chunk = chunks[i];
        const size_t bytes = apx_panel_s8_bytes(&form, inner, vectors);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int weight(const struct panel_s8_source *source, size_t vector, size_t lane, size_t k)
{
    if (lane >= source->lanes[vector] || k >= source->inner)
        return 0;
    return source->matrix[(source->first[vector] + lane) * source->inner + k];
}

/* Minus levels times the weights from k to `end`. */
static int32_t correction(const struct panel_s8_form *form, const struct panel_s8_source *source,
                          size_t vector, size_t lane, size_t k, size_t end)
{
    int32_t sum = 0;
    for (; k < end; k++)
        sum += weight(source, vector, lane, k);
    return -form->levels * sum;
}

/* What `vpmaddubsw` sums have to begin with, for the chunk that begins at k. */
static char *pack_halves(const struct panel_s8_form *form, const struct panel_s8_source *source,
                         size_t begin, char *out)
{
    for (size_t i = 0; i < source->vectors; i++)
        for (size_t lane = 0; lane < form->lanes; lane++)
            for (size_t half = 0; half < 2; half++, out += sizeof(uint16_t)) {
                int32_t sum = 0;
                for (size_t quad = 0; quad < (size_t)form->chunk; quad++) {
                    const size_t k = begin + QUAD * quad + 2 * half;
                    sum += correction(form, source, i, lane, k, k + 2);
                }
                const uint16_t wrapped = (uint16_t)((uint32_t)sum & 0xffffu);
                memcpy(out, &wrapped, sizeof wrapped);
            }
    return out;
}

void apx_panel_s8_pack(const struct panel_s8_form *form, const struct panel_s8_source *source,
                       void *panel)
{
    const size_t quads = quads_of(form, source->inner);
    char *out = panel;
    memset(panel, 0, apx_panel_s8_bytes(form, source->inner, source->vectors));
    for (size_t i = 0; form->chunk == PANEL_S8_WHOLE && i < source->vectors; i++)
        for (size_t lane = 0; lane < form->lanes; lane++, out += sizeof(int32_t)) {
            const int32_t sum = correction(form, source, i, lane, 0, source->inner);
            memcpy(out, &sum, sizeof sum);
        }
    for (size_t quad = 0; quad < quads; quad++) {
        if (form->chunk > 0 && quad % (size_t)form->chunk == 0)
            out = pack_halves(form, source, QUAD * quad, out);
        for (size_t i = 0; i < source->vectors; i++)
            for (size_t lane = 0; lane < form->lanes; lane++)
                for (size_t k = QUAD * quad; k < QUAD * (quad + 1); k++)
                    *out++ = (char)weight(source, i, lane, k);
    }
}
