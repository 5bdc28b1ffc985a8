/* SPDX-License-Identifier: Apache-2.0 */
/* predict.c - the whole of auspex.h in one small program: load a model, ask what it takes, run a
 * batch through it, print what comes out.
 *
 *     cc predict.c -o predict $(pkg-config --cflags --libs auspex)
 *     ./predict model.onnx [ROWS] [STEPS]
 *
 * Every input is filled with 0.00, 0.01, 0.02, ... so that no data file is needed; the batch has
 * ROWS rows (default 4), and other free dimensions, such as the length of a sequence, are STEPS
 * (default 10). */
#include <auspex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TENSORS 16

/* One tensor of the right shape. Returns 0 if it is not of numbers or memory is out. */
static int make_input(const struct apx_tensor_info *info, long rows, long steps,
                      struct apx_tensor *tensor)
{
    size_t count = 1, i;
    memset(tensor, 0, sizeof *tensor);
    tensor->dtype = info->dtype;
    tensor->rank = info->rank;
    for (int axis = 0; axis < info->rank; axis++) {
        tensor->dims[axis] = info->dims[axis];
        if (info->dims[axis] < 0) /* free: ours to choose */
            tensor->dims[axis] = axis == info->row_axis ? rows : steps;
        count *= (size_t)tensor->dims[axis];
    }
    tensor->bytes = count * apx_dtype_size(info->dtype);
    tensor->data = calloc(count + 1, 8);
    if (tensor->data == NULL)
        return 0;
    for (i = 0; i < count; i++) {
        if (info->dtype == APX_F32)
            ((float *)tensor->data)[i] = (float)(i % 100) / 100.0f;
        else if (info->dtype == APX_F64)
            ((double *)tensor->data)[i] = (double)(i % 100) / 100.0;
    }
    return 1;
}

static void print_output(const struct apx_tensor_info *info, const struct apx_tensor *tensor)
{
    size_t count = 1, i;
    printf("%s %s[", info->name, apx_dtype_name(tensor->dtype));
    for (int axis = 0; axis < tensor->rank; axis++) {
        printf("%s%lld", axis > 0 ? "," : "", (long long)tensor->dims[axis]);
        count *= (size_t)tensor->dims[axis];
    }
    printf("]:");
    for (i = 0; i < count && i < 8; i++) {
        if (tensor->dtype == APX_F32)
            printf(" %.6g", (double)((const float *)tensor->data)[i]);
        else if (tensor->dtype == APX_I64)
            printf(" %lld", (long long)((const int64_t *)tensor->data)[i]);
    }
    printf("%s\n", count > 8 ? " ..." : "");
}

int main(int argc, char **argv)
{
    struct apx_tensor inputs[MOST_TENSORS] = {{0}}, outputs[MOST_TENSORS] = {{0}};
    struct apx_model *model = NULL;
    struct apx_session *session = NULL;
    struct apx_error error = {0};
    size_t i, input_count, output_count;
    int status = 1;

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fprintf(argc < 2 ? stderr : stdout, "usage: %s MODEL.onnx [ROWS] [STEPS]\n", argv[0]);
        return argc < 2 ? 2 : 0;
    }
    long rows = argc > 2 ? atol(argv[2]) : 4;
    long steps = argc > 3 ? atol(argv[3]) : 10;

    if (apx_model_load(argv[1], NULL, &model, &error) != APX_OK)
        goto fail;
    if (apx_session_create(model, NULL, &session, &error) != APX_OK)
        goto fail;
    input_count = apx_model_input_count(model);
    output_count = apx_model_output_count(model);
    if (input_count > MOST_TENSORS || output_count > MOST_TENSORS) {
        snprintf(error.message, sizeof error.message, "more than %d tensors", MOST_TENSORS);
        goto fail;
    }
    for (i = 0; i < input_count; i++)
        if (!make_input(apx_model_input(model, i), rows, steps, &inputs[i])) {
            snprintf(error.message, sizeof error.message, "out of memory");
            goto fail;
        }

    /* Ask for the shapes, make room, run. Later calls of the same sizes allocate nothing. */
    if (apx_session_shape(session, inputs, input_count, outputs, output_count, &error) != APX_OK)
        goto fail;
    for (i = 0; i < output_count; i++) {
        outputs[i].data = malloc(outputs[i].bytes + 1);
        if (outputs[i].data == NULL) {
            snprintf(error.message, sizeof error.message, "out of memory");
            goto fail;
        }
    }
    if (apx_session_run(session, inputs, input_count, outputs, output_count, &error) != APX_OK)
        goto fail;
    for (i = 0; i < output_count; i++)
        print_output(apx_model_output(model, i), &outputs[i]);
    status = 0;

fail:
    if (status != 0)
        fprintf(stderr, "%s: %s\n", argv[1], error.message);
    for (i = 0; i < MOST_TENSORS; i++) {
        free(inputs[i].data);
        free(outputs[i].data);
    }
    apx_session_destroy(session);
    apx_model_destroy(model);
    return status;
}
