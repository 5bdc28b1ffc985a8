/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_objective.c - `objective=binary sigmoid:1` to a link.
 *
 * Only what turns a sum of leaves into a prediction matters here; the other parameters of an
 * objective belong to its loss. */
#include "runtime/model/forest/lightgbm_reader.h"

enum classes { ANY, ONE, NAMED }; /* outputs: any number, one, as many as num_class: says */

struct objective {
    const char *name;
    enum apx_link_kind link;
    enum classes classes;
    bool has_sigmoid, may_square;
};
static const struct objective objectives[] = {
    {"regression", APX_LINK_NONE, ANY, false, true},
    {"regression_l1", APX_LINK_NONE, ANY, false, true},
    {"huber", APX_LINK_NONE, ANY, false, false},
    {"fair", APX_LINK_NONE, ANY, false, true},
    {"quantile", APX_LINK_NONE, ANY, false, true},
    {"mape", APX_LINK_NONE, ANY, false, true},
    {"poisson", APX_LINK_EXP, ONE, false, false},
    {"gamma", APX_LINK_EXP, ONE, false, false},
    {"tweedie", APX_LINK_EXP, ONE, false, false},
    {"binary", APX_LINK_SIGMOID, ONE, true, false},
    {"cross_entropy", APX_LINK_SIGMOID, ONE, false, false},
    {"cross_entropy_lambda", APX_LINK_LOG1P_EXP, ONE, false, false},
    {"multiclass", APX_LINK_SOFTMAX, NAMED, false, false},
    {"multiclassova", APX_LINK_SIGMOID, NAMED, true, false},
    {"lambdarank", APX_LINK_NONE, ANY, false, false},
    {"rank_xendcg", APX_LINK_NONE, ANY, false, false},
    {"custom", APX_LINK_NONE, ANY, false, false},
};

static const struct objective *find(const struct apx_lightgbm_span *word)
{
    /* Names that older versions wrote, and those that stand for no objective. */
    static const char *const aliases[][2] = {
        {"regression_l2", "regression"},
        {"l2", "regression"},
        {"mean_squared_error", "regression"},
        {"mse", "regression"},
        {"l2_root", "regression"},
        {"root_mean_squared_error", "regression"},
        {"rmse", "regression"},
        {"l1", "regression_l1"},
        {"mean_absolute_error", "regression_l1"},
        {"mae", "regression_l1"},
        {"mean_absolute_percentage_error", "mape"},
        {"softmax", "multiclass"},
        {"multiclass_ova", "multiclassova"},
        {"ova", "multiclassova"},
        {"ovr", "multiclassova"},
        {"xentropy", "cross_entropy"},
        {"xentlambda", "cross_entropy_lambda"},
        {"xendcg", "rank_xendcg"},
        {"xe_ndcg", "rank_xendcg"},
        {"xe_ndcg_mart", "rank_xendcg"},
        {"xendcg_mart", "rank_xendcg"},
        {"none", "custom"},
        {"null", "custom"},
        {"na", "custom"},
    };
    struct apx_lightgbm_span name = *word;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (apx_lightgbm_span_is(word, aliases[i][0])) {
            name.at = aliases[i][1];
            for (name.end = name.at; *name.end != '\0';)
                name.end++;
        }
    for (size_t i = 0; i < sizeof objectives / sizeof objectives[0]; i++)
        if (apx_lightgbm_span_is(&name, objectives[i].name))
            return &objectives[i];
    return NULL;
}

/* LightGBM reads this one number (it writes six digits) with a routine that rounds twice: the part
 * before the point and the part behind it are converted on their own. A factor that is one unit off
 * shows in predictions, so this does the same. */
static bool sigmoid_factor(const struct apx_lightgbm_span *text, double *factor)
{
    const char *at = text->at, *end = text->end;
    double value = 0, right = 0, scale = 1;
    int digits = 0;
    for (; at < end && *at >= '0' && *at <= '9' && digits < 17; at++, digits++)
        value = value * 10.0 + (*at - '0');
    if (at < end && *at == '.')
        for (at++; at < end && *at >= '0' && *at <= '9' && digits < 17; at++, digits++) {
            right = (*at - '0') + right * 10.0;
            scale *= 10.0;
        }
    value += right / scale;
    if (at < end && *at == 'e' && digits > 0) {
        struct apx_lightgbm_span rest = {at + 1, end, text->line};
        bool minus = rest.at < end && *rest.at == '-';
        rest.at += rest.at < end && (*rest.at == '-' || *rest.at == '+');
        int32_t power;
        if (!apx_lightgbm_int(&rest, &power) || power < 0 || power > 308)
            return false;
        for (scale = 1; power >= 50; power -= 50)
            scale *= 1e50;
        for (; power >= 8; power -= 8)
            scale *= 1e8;
        for (; power > 0; power--)
            scale *= 10.0;
        value = minus ? value / scale : value * scale;
        at = end;
    }
    *factor = value;
    return at == end && digits > 0 && value > 0;
}

static enum apx_status read_words(const struct apx_lightgbm_reader *reader,
                                  const struct objective *objective, struct apx_lightgbm_span rest,
                                  struct apx_link *link)
{
    struct apx_lightgbm_span word, key, value;
    int32_t classes = -1;
    bool has_factor = false;
    while (apx_lightgbm_word(&rest, &word)) {
        if (objective->may_square && apx_lightgbm_span_is(&word, "sqrt"))
            link->kind = APX_LINK_SIGNED_SQUARE;
        if (!apx_lightgbm_cut(&word, ':', &key, &value))
            continue;
        if (objective->classes == NAMED && apx_lightgbm_span_is(&key, "num_class") &&
            !apx_lightgbm_int(&value, &classes))
            classes = -1;
        if (objective->has_sigmoid && apx_lightgbm_span_is(&key, "sigmoid")) {
            if (!sigmoid_factor(&value, &link->a))
                return apx_lightgbm_fail(reader, APX_EFORMAT, word.line, false,
                                         "objective %s: %.*s is not a number above 0",
                                         objective->name, apx_lightgbm_width(&word), word.at);
            has_factor = true;
        }
    }
    if (objective->has_sigmoid && !has_factor)
        return apx_lightgbm_fail(reader, APX_EFORMAT, rest.line, false,
                                 "objective %s has no sigmoid:<factor>", objective->name);
    if (objective->classes == NAMED && classes != reader->outputs)
        return apx_lightgbm_fail(reader, APX_EFORMAT, rest.line, false,
                                 "objective %s: num_class: is not the header's %d", objective->name,
                                 reader->outputs);
    if (reader->outputs > 1 && (objective->classes == ONE || link->kind == APX_LINK_SIGNED_SQUARE))
        return apx_lightgbm_fail(reader, APX_EFORMAT, rest.line, false,
                                 "objective %s has one tree an iteration; the header says %d",
                                 objective->name, reader->outputs);
    return APX_OK;
}

enum apx_status apx_lightgbm_read_objective(const struct apx_lightgbm_reader *reader,
                                            struct apx_forest *forest, const char **name)
{
    struct apx_lightgbm_span rest = reader->objective, word;
    forest->link = (struct apx_link){.kind = APX_LINK_NONE};
    *name = "custom objective";
    if (rest.at == NULL)
        return APX_OK; /* trained with the caller's own gradients */
    apx_lightgbm_word(&rest, &word);
    const struct objective *objective = find(&word);
    if (objective == NULL)
        return apx_lightgbm_fail(reader, APX_EUNSUPPORTED, rest.line, false,
                                 "objective %.*s is not known to this build; without this line the "
                                 "file answers the raw scores",
                                 apx_lightgbm_width(&word), word.at);
    *name = objective->name;
    forest->link.kind = objective->link;
    forest->link.a = 1;
    if (objective->classes == NAMED)
        forest->label_rule = APX_LABEL_ARGMAX;
    else if (objective->has_sigmoid)
        forest->label_rule = APX_LABEL_ABOVE; /* a margin of 0 is a probability of one half */
    return read_words(reader, objective, rest, &forest->link);
}
