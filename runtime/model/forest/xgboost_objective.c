/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_objective.c - objectives: what becomes of margins, and base_score before it is one.
 *
 * Files hold base_score as a prediction, before the first tree. The library takes it through the
 * inverse of the link when it loads a file, in float; margins have the library's bits only if that
 * happens in its order of operations. */
#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/xgboost_reader.h"

enum base { BASE_AS_IT_IS, BASE_LOGIT, BASE_LOG, BASE_EXPECTILE };

#define LEAST 1e-6f /* XGBoost's kRtEps */

static const struct {
    const char *name;
    enum apx_link_kind link;
    enum base base;
} objectives[] = {
    {"reg:squarederror", APX_LINK_NONE, BASE_AS_IT_IS},
    {"reg:linear", APX_LINK_NONE, BASE_AS_IT_IS},
    {"reg:squaredlogerror", APX_LINK_NONE, BASE_AS_IT_IS},
    {"reg:pseudohubererror", APX_LINK_NONE, BASE_AS_IT_IS},
    {"reg:absoluteerror", APX_LINK_NONE, BASE_AS_IT_IS},
    {"reg:quantileerror", APX_LINK_SORT, BASE_AS_IT_IS},
    {"reg:expectileerror", APX_LINK_EXPECTILE, BASE_EXPECTILE},
    {"reg:logistic", APX_LINK_SIGMOID_XGB, BASE_LOGIT},
    {"reg:gamma", APX_LINK_EXP, BASE_LOG},
    {"reg:tweedie", APX_LINK_EXP, BASE_LOG},
    {"binary:logistic", APX_LINK_SIGMOID_XGB, BASE_LOGIT},
    {"binary:logitraw", APX_LINK_NONE, BASE_AS_IT_IS},
    {"binary:hinge", APX_LINK_HINGE, BASE_AS_IT_IS},
    {"multi:softmax", APX_LINK_ARGMAX, BASE_AS_IT_IS},
    {"multi:softprob", APX_LINK_SOFTMAX, BASE_AS_IT_IS},
    {"rank:pairwise", APX_LINK_NONE, BASE_AS_IT_IS},
    {"rank:ndcg", APX_LINK_NONE, BASE_AS_IT_IS},
    {"rank:map", APX_LINK_NONE, BASE_AS_IT_IS},
    {"count:poisson", APX_LINK_EXP, BASE_LOG},
    {"survival:cox", APX_LINK_EXP, BASE_LOG},
    {"survival:aft", APX_LINK_EXP, BASE_LOG},
};

static int find(const char *objective)
{
    for (size_t i = 0; i < sizeof objectives / sizeof objectives[0]; i++)
        if (strcmp(objectives[i].name, objective) == 0)
            return (int)i;
    return -1;
}

enum apx_status apx_xgboost_link(const char *objective, struct apx_link *link,
                                 struct apx_error *error)
{
    int found = find(objective);
    if (found < 0)
        return apx_fail(error, APX_EUNSUPPORTED, "objective",
                        "the objective \"%s\" is not one of XGBoost's that this build knows, so "
                        "what becomes of its sums is not known either",
                        objective);
    *link = (struct apx_link){.kind = objectives[found].link};
    return APX_OK;
}

static float logit(float p)
{
    p = p > LEAST ? p : LEAST;
    p = p < 1.0f - LEAST ? p : 1.0f - LEAST;
    return -logf(1.0f / p - 1.0f);
}

static float softplus_inverse(float x)
{
    x = x < LEAST ? LEAST : x;
    return x + logf(-expm1f(-x));
}

enum apx_status apx_xgboost_base(const char *objective, float *base, size_t outputs,
                                 struct apx_error *error)
{
    int found = find(objective);
    switch (found < 0 ? BASE_AS_IT_IS : objectives[found].base) {
    case BASE_LOGIT:
        for (size_t k = 0; k < outputs; k++) {
            if (!(base[k] >= 0.0f && base[k] <= 1.0f))
                return apx_fail(error, APX_EFORMAT, "base_score",
                                "base_score is %g; for %s it is a probability, 0 to 1",
                                (double)base[k], objective);
            base[k] = logit(base[k]);
        }
        break;
    case BASE_LOG:
        for (size_t k = 0; k < outputs; k++)
            base[k] = logf(base[k]);
        break;
    case BASE_EXPECTILE:
        for (size_t k = outputs; k-- > 1;)
            base[k] = softplus_inverse(base[k] - base[k - 1] - LEAST);
        break;
    case BASE_AS_IT_IS:
        break;
    }
    return APX_OK;
}
