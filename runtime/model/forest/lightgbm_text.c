/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_text.c - lines, words and numbers of LightGBM's text format.
 *
 * A large model has a million numbers, most of them not needed for predictions: nothing is copied,
 * and lines nobody asks for cost no more than finding their end. */
#include "runtime/model/forest/lightgbm_reader.h"

#include <math.h>
#include <string.h>

#include "runtime/base/number.h"

bool apx_lightgbm_line(struct apx_lightgbm_text *text, struct apx_lightgbm_span *line)
{
    if (text->at == text->end)
        return false;
    const char *end = memchr(text->at, '\n', (size_t)(text->end - text->at));
    line->at = text->at;
    line->end = end != NULL ? end : text->end;
    line->line = text->line++;
    text->at = end != NULL ? end + 1 : text->end;
    if (line->end > line->at && line->end[-1] == '\r')
        line->end--;
    return true;
}

static size_t length_of(const struct apx_lightgbm_span *span)
{
    return (size_t)(span->end - span->at);
}

bool apx_lightgbm_span_is(const struct apx_lightgbm_span *span, const char *text)
{
    size_t length = strlen(text);
    return length_of(span) == length && memcmp(span->at, text, length) == 0;
}

bool apx_lightgbm_span_starts(const struct apx_lightgbm_span *span, const char *text)
{
    size_t length = strlen(text);
    return length_of(span) >= length && memcmp(span->at, text, length) == 0;
}

bool apx_lightgbm_cut(const struct apx_lightgbm_span *span, char mark,
                      struct apx_lightgbm_span *before, struct apx_lightgbm_span *after)
{
    const struct apx_lightgbm_span whole = *span;
    const char *at = memchr(whole.at, mark, length_of(&whole));
    if (at == NULL)
        return false;
    *before = (struct apx_lightgbm_span){whole.at, at, whole.line};
    *after = (struct apx_lightgbm_span){at + 1, whole.end, whole.line};
    return true;
}

bool apx_lightgbm_word(struct apx_lightgbm_span *rest, struct apx_lightgbm_span *word)
{
    const char *at = rest->at, *end = rest->end;
    while (at < end && *at == ' ')
        at++;
    *word = (struct apx_lightgbm_span){at, at, rest->line};
    while (at < end && *at != ' ')
        at++;
    word->end = rest->at = at;
    return word->end > word->at;
}

int apx_lightgbm_width(const struct apx_lightgbm_span *span)
{
    const ptrdiff_t most = 48;
    return span->at == NULL ? 0 : (int)(span->end - span->at < most ? span->end - span->at : most);
}

size_t apx_lightgbm_count_words(const struct apx_lightgbm_span *span)
{
    struct apx_lightgbm_span rest = *span, word;
    size_t count = 0;
    while (apx_lightgbm_word(&rest, &word))
        count++;
    return count;
}

/* Ten digits at most: within int64_t. */
static bool digits(const char *at, const char *end, int64_t *value)
{
    if (at == end || end - at > 10)
        return false;
    for (*value = 0; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        *value = *value * 10 + (*at - '0');
    }
    return true;
}

bool apx_lightgbm_int(const struct apx_lightgbm_span *word, int32_t *value)
{
    bool minus = word->at < word->end && *word->at == '-';
    int64_t magnitude;
    if (!digits(word->at + minus, word->end, &magnitude) || magnitude > INT32_MAX)
        return false;
    *value = (int32_t)(minus ? -magnitude : magnitude);
    return true;
}

bool apx_lightgbm_bits(const struct apx_lightgbm_span *word, uint32_t *value)
{
    int64_t number;
    if (!digits(word->at, word->end, &number) || number > UINT32_MAX)
        return false;
    *value = (uint32_t)number;
    return true;
}

bool apx_lightgbm_double(const struct apx_lightgbm_span *word, double *value)
{
    if (apx_number_parse(word->at, length_of(word), value))
        return true;
    if (!apx_lightgbm_span_is(word, "nan") && !apx_lightgbm_span_is(word, "-nan"))
        return false;
    *value = (double)NAN;
    return true;
}
