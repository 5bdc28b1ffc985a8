/* SPDX-License-Identifier: Apache-2.0 */
/* learner.h - a network with its optimiser: steps of Adam on minibatches, and forecasts.
 *
 * Same bits for any number of threads: a minibatch is cut into chunks of APX_NET_CHUNK windows in
 * the order given, each chunk's gradient goes to a buffer of its own, and buffers are added in the
 * order of the chunks. Sums that decide anything (loss, norm) are in float64, in one fixed order.
 */
#ifndef APX_TRAIN_LEARNER_H
#define APX_TRAIN_LEARNER_H

#include "train/crew.h"
#include "train/net.h"

/* Scaled rows of all series one after another. A window is the number of its first row: it reads
 * x of `steps` rows and is to forecast y of the `horizon` rows after them. */
struct apx_learner_data {
    const float *x; /* [rows, features] */
    const float *y; /* [rows, targets] */
    size_t features, targets, steps, horizon;
};

enum apx_learner_loss { APX_LOSS_MSE, APX_LOSS_MAE, APX_LOSS_HUBER };

struct apx_learner_options {
    uint64_t seed;
    enum apx_learner_loss loss;
    float huber_delta; /* where Huber's loss turns from square to straight, in scaled units */
    float dropout;     /* 0 <= dropout < 1 */
    double clip_norm;  /* bound on the gradient's length; 0: none */
    double l2;         /* added to the gradient of every weight: l2 * weight */
    double beta1, beta2, epsilon;
    size_t batch; /* windows in a minibatch at most */
};

struct apx_learner {
    const struct apx_net *net;
    const struct apx_learner_data *data;
    struct apx_crew *crew;
    struct apx_learner_options options;
    float *params, *gradient;   /* [net->parameters] */
    float *m, *v;               /* Adam's running means of the gradient and of its square */
    uint64_t steps;             /* taken so far */
    double norm;                /* of the last step's gradient before clipping */
    struct apx_net_work *works; /* [threads] */
    size_t buffer_count;
    float *buffers; /* [buffer_count, parameters] gradients of chunks */
    double *sums;   /* losses of chunks, partial norms of ranges */
};

/* net, data and crew must outlive the learner. APX_ENOMEM */
enum apx_status apx_learner_init(struct apx_learner *learner, const struct apx_net *net,
                                 const struct apx_learner_data *data, struct apx_crew *crew,
                                 const struct apx_learner_options *options,
                                 struct apx_error *error);
void apx_learner_fini(struct apx_learner *learner);

/* One step on the windows[count], 1 <= count <= options.batch. Returns the mean loss before the
 * step; params change unless the loss or the gradient is not finite, in which case the loss
 * returned is not finite either. */
double apx_learner_step(struct apx_learner *learner, uint64_t epoch, double learning_rate,
                        const size_t *windows, size_t count);
/* Mean loss and its gradient (to learner->gradient) without a step, L2 and clipping left out. */
double apx_learner_gradient(struct apx_learner *learner, uint64_t epoch, const size_t *windows,
                            size_t count);
/* Scaled forecasts of `params` for the windows: out [count, horizon * targets]. No dropout. */
void apx_learner_forecast(struct apx_learner *learner, const float *params, const size_t *windows,
                          size_t count, float *out);
/* Mean loss of forecasts [count, outputs] over the windows' targets. */
double apx_learner_loss(const struct apx_learner *learner, const size_t *windows, size_t count,
                        const float *forecasts);

#endif
