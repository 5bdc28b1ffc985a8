/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for devices: what is wrong is said in words that tell what to do. */
#include "runtime/device/cuda_open.h"

#include "tests/device/fake_cuda.h"
#include "tests/harness/check.h"

static struct apx_cuda_machine machine;
static struct apx_error error;

static enum apx_status open_fake(void)
{
    memset(&error, 0, sizeof error);
    return apx_cuda_open(&fake_cuda_driver, &machine, &error);
}

static void finds_a_device(void)
{
    fake_cuda_reset();
    CHECK_EQ(open_fake(), APX_OK);
    CHECK_EQ(machine.count, 1);
    CHECK_STR(machine.device[0].name, "Fake GPU");
    CHECK(machine.driver == &fake_cuda_driver);
    CHECK_EQ(machine.os_node[0], -1);
    CHECK_STR(error.message, "");
}

static void finds_several(void)
{
    fake_cuda_reset();
    fake_cuda.devices = 3;
    CHECK_EQ(open_fake(), APX_OK);
    CHECK_EQ(machine.count, 3);
    CHECK_STR(machine.device[2].bus, "0000:3d:00.0");
    CHECK_EQ(machine.device[2].index, 2);
    fake_cuda.devices = APX_CUDA_DEVICES + 5;
    CHECK_EQ(open_fake(), APX_OK);
    CHECK_EQ(machine.count, APX_CUDA_DEVICES);
}

static void fails_with(enum fake_call call, int code, const char *words)
{
    fake_cuda_reset();
    fake_cuda.fail_call = call;
    fake_cuda.fail_at = 1;
    fake_cuda.fail_code = code;
    CHECK_EQ(open_fake(), APX_EDEVICE);
    CHECK_STR(error.field, "device");
    CHECK_HAS(error.message, words);
}

static void says_what_is_wrong(void)
{
    fails_with(FAKE_COUNT, FAKE_OLD_DRIVER,
               "device \"cuda\": the driver is older than this build's CUDA: update it (looking");
    fails_with(FAKE_COUNT, FAKE_NO_DEVICE, "device \"cuda\": no GPU is visible: see nvidia-smi");
    fails_with(FAKE_COUNT, FAKE_NO_DRIVER, "device \"cuda\": no NVIDIA driver is installed here");
    fails_with(FAKE_DESCRIBE, FAKE_LAUNCH_FAILED, "before this process starts anew");
    fails_with(FAKE_DESCRIBE, FAKE_BUSY, "another process has the GPU for itself");
    fails_with(FAKE_DESCRIBE, FAKE_NO_KERNEL, "it needs one of compute capability 8.0");
    fails_with(FAKE_DESCRIBE, 999, "some other error (CUDA error 999)");
    fake_cuda_reset();
    fake_cuda.devices = 0;
    CHECK_EQ(open_fake(), APX_EDEVICE);
    CHECK_HAS(error.message, "no GPU is visible");
    fake_cuda_reset();
    fake_cuda.major = 7;
    fake_cuda.minor = 5;
    CHECK_EQ(open_fake(), APX_EDEVICE);
    CHECK_HAS(error.message, "Fake GPU is of compute capability 7.5; 8.0 (A100) is the least");
    CHECK_EQ(apx_cuda_fail(&fake_cuda_driver, FAKE_NO_MEMORY, "running the model", &error),
             APX_ENOMEM);
    CHECK_HAS(error.message,
              "device \"cuda\", running the model: out of memory (CUDA error 2); the "
              "GPU's memory is full");
}

static void explains(bool has_gpu, bool has_driver, const char *reason, const char *words)
{
    const struct apx_cuda_evidence evidence = {
        .has_gpu = has_gpu, .has_driver = has_driver, .gpu = "NVIDIA H200"};
    memset(&error, 0, sizeof error);
    CHECK_EQ(apx_cuda_explain(&evidence, reason, &error), APX_EDEVICE);
    CHECK_STR(error.field, "device");
    CHECK_HAS(error.message, words);
    CHECK(strchr(error.message, '\n') == NULL);
}

/* The cause behind the others comes first, whatever else is lacking. */
static void names_the_first_cause(void)
{
    static const char missing[] = "libauspex_cuda.so: cannot open shared object file: No such file "
                                  "or directory";
    explains(false, false, missing, "device \"cuda\": there is no NVIDIA GPU here; use device");
    explains(true, false, missing,
             "device \"cuda\": no NVIDIA driver is installed for NVIDIA H200");
    explains(true, true, missing,
             "device \"cuda\": the plug-in libauspex_cuda.so is not installed; build with nvcc");
    explains(false, true, missing, "the plug-in libauspex_cuda.so is not installed");
    explains(true, true, "libm.so.7: cannot open shared object file: No such file or directory",
             "libauspex_cuda.so cannot be loaded: libm.so.7: cannot open");
}

int main(void)
{
    RUN(finds_a_device);
    RUN(finds_several);
    RUN(says_what_is_wrong);
    RUN(names_the_first_cause);
    return check_report();
}
