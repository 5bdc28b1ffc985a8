/* SPDX-License-Identifier: Apache-2.0 */
/* serve_load - a closed-loop client for servers that speak auspex.v1.Inference/BatchPredict.
 *
 *   serve_load --target 127.0.0.1:8500 --model NAME --rows 100 --steps 10 --features 4
 *              [--in-flight 1] [--calls 1000] [--warm-up 50]
 *
 * One thread, one connection, --in-flight calls at any time: when one is answered the next one is
 * made. The request is packed once; replies are counted, not read, so that the client's share is as
 * small as it can be. Prints one JSON object: calls, failed, seconds, calls_per_s, and p50_us,
 * p90_us, p99_us, max_us from the call's start to its status. */
#include <getopt.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auspex/v1/inference.pb-c.h"

enum { MAX_IN_FLIGHT = 1024 };

struct options {
    const char *target;
    char *model;
    long rows, steps, features, in_flight, calls, warm_up;
};

/* One of the calls under way; used again and again. */
struct slot {
    grpc_call *call;
    grpc_byte_buffer *sent, *received;
    grpc_metadata_array initial, trailing;
    grpc_slice details;
    grpc_status_code code;
    double start_us;
};

struct load {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    grpc_slice path, request;
    double *took_us; /* [calls] */
    long started, answered, failed;
    char problem[256];
};

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static grpc_slice pack_request(const struct options *options)
{
    size_t count = (size_t)(options->rows * options->steps * options->features);
    float *values = malloc((count + 1) * sizeof *values);
    uint64_t state = 1; /* no two rows are the same: trees would learn the way by heart */
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(state >> 40) / (float)(1 << 24);
    }
    Auspex__V1__BatchPredictRequest request = AUSPEX__V1__BATCH_PREDICT_REQUEST__INIT;
    request.model = options->model;
    request.rows = (uint32_t)options->rows;
    request.steps = (uint32_t)options->steps;
    request.features = (uint32_t)options->features;
    request.values.data = (uint8_t *)values;
    request.values.len = count * sizeof *values;
    grpc_slice slice =
        grpc_slice_malloc(auspex__v1__batch_predict_request__get_packed_size(&request));
    auspex__v1__batch_predict_request__pack(&request, GRPC_SLICE_START_PTR(slice));
    free(values);
    return slice;
}

static void begin(struct load *load, struct slot *slot)
{
    grpc_metadata_array_init(&slot->initial);
    grpc_metadata_array_init(&slot->trailing);
    slot->details = grpc_empty_slice();
    slot->received = NULL;
    slot->sent = grpc_raw_byte_buffer_create(&load->request, 1);
    slot->start_us = now_us();
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(60, GPR_TIMESPAN));
    slot->call = grpc_channel_create_call(load->channel, NULL, GRPC_PROPAGATE_DEFAULTS, load->queue,
                                          load->path, NULL, deadline, NULL);
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = slot->sent;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &slot->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &slot->received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &slot->trailing;
    ops[5].data.recv_status_on_client.status = &slot->code;
    ops[5].data.recv_status_on_client.status_details = &slot->details;
    if (grpc_call_start_batch(slot->call, ops, 6, slot, NULL) != GRPC_CALL_OK) {
        fprintf(stderr, "serve_load: a call could not be started\n");
        exit(1);
    }
    load->started++;
}

static void end(struct load *load, struct slot *slot, long measured_from)
{
    double took = now_us() - slot->start_us;
    if (slot->code != GRPC_STATUS_OK) {
        char *text = grpc_slice_to_c_string(slot->details);
        snprintf(load->problem, sizeof load->problem, "%d %.200s", (int)slot->code, text);
        gpr_free(text);
        load->failed++;
    }
    if (load->answered >= measured_from)
        load->took_us[load->answered - measured_from] = took;
    load->answered++;
    grpc_slice_unref(slot->details);
    grpc_metadata_array_destroy(&slot->initial);
    grpc_metadata_array_destroy(&slot->trailing);
    grpc_byte_buffer_destroy(slot->sent);
    if (slot->received != NULL)
        grpc_byte_buffer_destroy(slot->received);
    grpc_call_unref(slot->call);
}

/* Makes warm_up + calls calls; returns the seconds that the measured ones took. */
static double run(struct load *load, const struct options *options)
{
    static struct slot slots[MAX_IN_FLIGHT];
    const long total = options->warm_up + options->calls;
    double start = now_us();
    for (long i = 0; i < options->in_flight && load->started < total; i++)
        begin(load, &slots[i]);
    while (load->answered < total) {
        grpc_event event =
            grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        end(load, event.tag, options->warm_up);
        if (load->answered == options->warm_up)
            start = now_us();
        if (load->started < total)
            begin(load, event.tag);
    }
    return (now_us() - start) / 1e6;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, long count, double q)
{
    long at = (long)(q * (double)count);
    return sorted[at < count ? at : count - 1];
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"target", required_argument, NULL, 't'},
        {"model", required_argument, NULL, 'm'},
        {"rows", required_argument, NULL, 'r'},
        {"steps", required_argument, NULL, 's'},
        {"features", required_argument, NULL, 'f'},
        {"in-flight", required_argument, NULL, 'i'},
        {"calls", required_argument, NULL, 'c'},
        {"warm-up", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        long *number = option == 'r'   ? &options->rows
                       : option == 's' ? &options->steps
                       : option == 'f' ? &options->features
                       : option == 'i' ? &options->in_flight
                       : option == 'c' ? &options->calls
                       : option == 'w' ? &options->warm_up
                                       : NULL;
        if (number != NULL)
            *number = atol(optarg);
        else if (option == 't')
            options->target = optarg;
        else if (option == 'm')
            options->model = optarg;
        else
            return false;
    }
    return options->target != NULL && options->model != NULL && optind == argc &&
           options->rows >= 0 && options->steps > 0 && options->features > 0 &&
           options->in_flight > 0 && options->in_flight <= MAX_IN_FLIGHT && options->calls > 0 &&
           options->warm_up >= 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .rows = 100, .steps = 10, .features = 4, .in_flight = 1, .calls = 1000, .warm_up = 50};
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: serve_load --target ADDRESS --model NAME [--rows N] [--steps N] "
                        "[--features N] [--in-flight N] [--calls N] [--warm-up N]\n");
        return 2;
    }
    grpc_init();
    struct load load = {.path = grpc_slice_from_static_string("/auspex.v1.Inference/BatchPredict"),
                        .took_us = malloc((size_t)options.calls * sizeof(double))};
    if (load.took_us == NULL)
        return 1;
    char receive_key[] = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH;
    grpc_arg receive = {.type = GRPC_ARG_INTEGER, .key = receive_key};
    receive.value.integer = -1;
    const grpc_channel_args args = {1, &receive};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    load.channel = grpc_channel_create(options.target, credentials, &args);
    grpc_channel_credentials_release(credentials);
    load.queue = grpc_completion_queue_create_for_next(NULL);
    load.request = pack_request(&options);
    double seconds = run(&load, &options);
    qsort(load.took_us, (size_t)options.calls, sizeof(double), compare);
    printf("{\"calls\": %ld, \"failed\": %ld, \"seconds\": %.4f, \"calls_per_s\": %.1f, "
           "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
           options.calls, load.failed, seconds, (double)options.calls / seconds,
           quantile(load.took_us, options.calls, 0.5), quantile(load.took_us, options.calls, 0.9),
           quantile(load.took_us, options.calls, 0.99), load.took_us[options.calls - 1]);
    if (load.failed > 0)
        fprintf(stderr, "serve_load: %ld calls failed: %s\n", load.failed, load.problem);
    grpc_slice_unref(load.request);
    grpc_channel_destroy(load.channel);
    grpc_completion_queue_shutdown(load.queue);
    while (grpc_completion_queue_next(load.queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(load.queue);
    grpc_shutdown_blocking();
    free(load.took_us);
    return load.failed > 0;
}
