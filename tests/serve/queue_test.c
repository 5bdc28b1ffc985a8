/* SPDX-License-Identifier: Apache-2.0 */
/* queue_test.c - who is admitted and who takes which rows, without a model or a network. */
#include "serve/queue.h"

#include "serve/clock.h"
#include "tests/harness/check.h"

static struct apx_served fast, slow; /* fast: 1 us a row; slow: 100 us a row */

static void reset(void)
{
    memset(&fast, 0, sizeof fast);
    memset(&slow, 0, sizeof slow);
    fast.rows_independent = slow.rows_independent = true;
    fast.ns_per_unit = 1e3;
    slow.ns_per_unit = 1e5;
}

static struct apx_queue *make(int workers, int64_t max_rows)
{
    const struct apx_queue_options options = {
        .workers = workers, .max_rows = max_rows, .max_bytes = 1 << 20};
    struct apx_queue *queue;
    REQUIRE(apx_queue_create(&options, &queue, NULL) == APX_OK);
    return queue;
}

static struct apx_job job_of(struct apx_served *served, uint32_t rows)
{
    struct apx_job job;
    memset(&job, 0, sizeof job);
    job.served = served;
    job.steps = 1;
    job.width = 1;
    job.request.rows = rows;
    job.request.features = 1;
    job.request.values_bytes = rows * 4;
    job.plan.capacity = rows * 4;
    job.request.nan_policy = APX_NAN_REJECT;
    job.deadline_ns = INT64_MAX;
    return job;
}

static enum apx_code push(struct apx_queue *queue, struct apx_job *job)
{
    char message[256];
    int64_t retry_ms;
    return apx_queue_push(queue, job, message, sizeof message, &retry_ms);
}

static struct apx_job *finish(struct apx_queue *queue, const struct apx_slice *slice)
{
    int64_t now = apx_now_ns();
    return apx_queue_done(queue, slice, now, now + 1000, APX_OK, NULL);
}

static void waiting_calls_are_merged_into_one_slice(void)
{
    reset();
    struct apx_queue *queue = make(1, 1000);
    struct apx_job jobs[4] = {job_of(&fast, 3), job_of(&fast, 5), job_of(&fast, 7),
                              job_of(&fast, 2)};
    jobs[1].steps = 2; /* another shape: not in the same slice */
    struct apx_slice slice;
    struct apx_job *ended;
    for (int i = 0; i < 4; i++)
        CHECK_EQ(push(queue, &jobs[i]), APX_CODE_OK);
    CHECK_EQ(apx_queue_waiting(queue), 17);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK(ended == NULL);
    CHECK_EQ(slice.part_count, 3);
    CHECK_EQ(slice.run.rows, 12);
    for (int i = 0; i < 3; i++)
        CHECK(slice.parts[i].job != &jobs[1]);
    ended = finish(queue, &slice);
    int count = 0;
    for (; ended != NULL; ended = ended->next_ended)
        count++;
    CHECK_EQ(count, 3);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.part_count, 1);
    CHECK_EQ(slice.run.steps, 2);
    CHECK(finish(queue, &slice) == &jobs[1]);
    CHECK_EQ(apx_queue_waiting(queue), 0);
    apx_queue_destroy(queue);
}

static void a_large_call_is_cut_and_lets_a_small_one_pass(void)
{
    reset();
    struct apx_queue *queue = make(2, 10000);
    struct apx_job large = job_of(&slow, 100), small = job_of(&slow, 2);
    struct apx_slice slice;
    struct apx_job *ended;
    CHECK_EQ(push(queue, &large), APX_CODE_OK);
    CHECK_EQ(push(queue, &small), APX_CODE_OK);
    uint32_t next = 0, slices = 0, small_came = 0;
    bool small_done = false, large_done = false;
    while (!large_done || !small_done) {
        CHECK(apx_queue_take(queue, &slice, &ended));
        slices++;
        CHECK(slice.run.rows <= 24); /* 1 ms at 100 us a row, rounded up, or what was left */
        for (int i = 0; i < slice.part_count; i++) {
            if (slice.parts[i].job == &large) {
                CHECK_EQ(slice.parts[i].first, next);
                next += slice.parts[i].rows;
            } else if (small_came == 0) {
                small_came = slices;
            }
        }
        for (ended = finish(queue, &slice); ended != NULL; ended = ended->next_ended) {
            small_done = small_done || ended == &small;
            large_done = large_done || ended == &large;
        }
        REQUIRE(slices < 100);
    }
    CHECK_EQ(next, 100);
    CHECK(small_came <= 2); /* not behind the whole of the large one */
    CHECK(slices >= 5);
    apx_queue_destroy(queue);
}

static void an_even_share_for_each_worker(void)
{
    reset();
    struct apx_queue *queue = make(4, 10000);
    slow.ns_per_unit = 1e4; /* 10 us a row: 50 us are 5 rows, 1 ms is 100 */
    struct apx_job job = job_of(&slow, 128);
    struct apx_slice slice[4];
    struct apx_job *ended;
    push(queue, &job);
    CHECK(apx_queue_take(queue, &slice[0], &ended));
    CHECK_EQ(slice[0].run.rows, 32);
    /* A cheap call is not cut up at all. */
    struct apx_job cheap = job_of(&fast, 40);
    push(queue, &cheap);
    CHECK(apx_queue_take(queue, &slice[1], &ended)); /* the ring: slow's turn, then fast's */
    CHECK(apx_queue_take(queue, &slice[2], &ended));
    CHECK(slice[1].served != slice[2].served);
    struct apx_slice *of_fast = slice[1].served == &fast ? &slice[1] : &slice[2];
    CHECK_EQ(of_fast->run.rows, 40);
    apx_queue_destroy(queue);
}

/* Rows of one run have one type: calls whose values reach the model as float32 and as float64 wait
 * for the same version and do not meet in a slice. */
static void types_do_not_meet_in_a_slice(void)
{
    reset();
    struct apx_queue *queue = make(1, 1000);
    struct apx_job jobs[4] = {job_of(&fast, 3), job_of(&fast, 4), job_of(&fast, 5),
                              job_of(&fast, 6)};
    struct apx_slice slice;
    struct apx_job *ended;
    for (int i = 0; i < 4; i++) {
        jobs[i].run_type = i % 2 == 0 ? APX_F32 : APX_F64;
        push(queue, &jobs[i]);
    }
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.run.type, APX_F32);
    CHECK_EQ(slice.run.rows, 8);
    finish(queue, &slice);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.run.type, APX_F64);
    CHECK_EQ(slice.run.rows, 10);
    finish(queue, &slice);
    apx_queue_destroy(queue);
}

static void rows_that_depend_on_each_other_stay_together(void)
{
    reset();
    struct apx_queue *queue = make(4, 10000);
    slow.rows_independent = false;
    struct apx_job a = job_of(&slow, 500), b = job_of(&slow, 1);
    struct apx_slice slice;
    struct apx_job *ended;
    push(queue, &a);
    push(queue, &b);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.part_count, 1);
    CHECK_EQ(slice.run.rows, 1);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.part_count, 1);
    CHECK_EQ(slice.run.rows, 500);
    apx_queue_destroy(queue);
}

static void a_full_queue_refuses_with_a_time_to_come_back(void)
{
    reset();
    struct apx_queue *queue = make(1, 100);
    struct apx_job a = job_of(&slow, 90), b = job_of(&slow, 11), c = job_of(&slow, 10),
                   huge = job_of(&slow, 101);
    char message[256];
    int64_t retry_ms = 0;
    CHECK_EQ(push(queue, &a), APX_CODE_OK);
    CHECK_EQ(apx_queue_push(queue, &b, message, sizeof message, &retry_ms),
             APX_CODE_RESOURCE_EXHAUSTED);
    CHECK_HAS(message, "full");
    CHECK_EQ(retry_ms, 9); /* 90 rows at 100 us */
    CHECK_EQ(push(queue, &c), APX_CODE_OK);
    CHECK_EQ(apx_queue_push(queue, &huge, message, sizeof message, &retry_ms),
             APX_CODE_RESOURCE_EXHAUSTED);
    CHECK_EQ(retry_ms, -1); /* it would never fit */
    struct apx_job heavy = job_of(&slow, 1);
    heavy.request.values_bytes = 2 << 20;
    CHECK_EQ(push(queue, &heavy), APX_CODE_RESOURCE_EXHAUSTED);
    apx_queue_destroy(queue);
}

static void bytes_are_given_back_when_a_call_ends(void)
{
    reset();
    struct apx_queue *queue = make(1, 100);
    struct apx_slice slice;
    struct apx_job *ended;
    for (int i = 0; i < 10; i++) {
        struct apx_job job = job_of(&fast, 1);
        job.request.values_bytes = 900 << 10; /* of the 1 MiB there is */
        if (!CHECK(push(queue, &job) == APX_CODE_OK))
            break;
        if (i % 2 == 0) {
            CHECK(apx_queue_take(queue, &slice, &ended));
            CHECK(finish(queue, &slice) == &job);
        } else {
            CHECK(apx_queue_cancel(queue, &job));
        }
    }
    apx_queue_destroy(queue);
}

static void deadlines_are_read_on_arrival_and_again_on_taking(void)
{
    reset();
    struct apx_queue *queue = make(1, 10000);
    struct apx_job past = job_of(&slow, 1), first = job_of(&slow, 1000),
                   tight = job_of(&slow, 1000), roomy = job_of(&slow, 1), soon = job_of(&slow, 8);
    char message[256];
    int64_t retry_ms = 0, now = apx_now_ns();
    past.deadline_ns = now - 1;
    CHECK_EQ(push(queue, &past), APX_CODE_DEADLINE_EXCEEDED);
    first.deadline_ns = now + 50000000; /* 100 ms of work: too late, but nobody is waiting */
    CHECK_EQ(push(queue, &first), APX_CODE_OK);
    CHECK(apx_queue_cancel(queue, &first));
    first = job_of(&slow, 1000);
    CHECK_EQ(push(queue, &first), APX_CODE_OK);
    tight.deadline_ns = now + 150000000; /* 150 ms; 200 ms of work, the first one's before it */
    CHECK_EQ(apx_queue_push(queue, &tight, message, sizeof message, &retry_ms),
             APX_CODE_RESOURCE_EXHAUSTED);
    CHECK_HAS(message, "deadline");
    CHECK(retry_ms >= 1);
    roomy.deadline_ns = now + INT64_C(60000000000);
    CHECK_EQ(push(queue, &roomy), APX_CODE_OK);
    CHECK(apx_queue_cancel(queue, &first));
    CHECK(apx_queue_cancel(queue, &roomy));

    soon.deadline_ns = apx_now_ns() + 20000000;
    CHECK_EQ(push(queue, &soon), APX_CODE_OK);
    while (apx_now_ns() <= soon.deadline_ns) {
    }
    struct apx_slice slice;
    struct apx_job *ended;
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.part_count, 0);
    CHECK(ended == &soon);
    CHECK_EQ(soon.code, APX_CODE_DEADLINE_EXCEEDED);
    CHECK_EQ(apx_queue_waiting(queue), 0);
    apx_queue_destroy(queue);
}

/* A little call goes before a large one that came first, and admission knows. */
static void a_large_call_makes_no_small_one_late(void)
{
    reset();
    struct apx_queue *queue = make(1, 100000);
    struct apx_job large = job_of(&slow, 50000), small = job_of(&slow, 4), other = job_of(&fast, 4),
                   late = job_of(&slow, 50000);
    CHECK_EQ(push(queue, &large), APX_CODE_OK); /* 5 s of work */
    small.deadline_ns = other.deadline_ns = apx_now_ns() + 1000000000;
    CHECK_EQ(push(queue, &small), APX_CODE_OK);
    CHECK_EQ(push(queue, &other), APX_CODE_OK);
    late.deadline_ns = apx_now_ns() + INT64_C(8000000000);
    CHECK_EQ(push(queue, &late), APX_CODE_RESOURCE_EXHAUSTED);
    CHECK(apx_queue_cancel(queue, &large));
    CHECK_EQ(push(queue, &late), APX_CODE_OK);
    struct apx_job *all[] = {&small, &other, &late};
    for (int i = 0; i < 3; i++)
        CHECK(apx_queue_cancel(queue, all[i]));
    CHECK_EQ(apx_queue_waiting(queue), 0);
    apx_queue_destroy(queue);
}

/* In turns, all of them would be late: the first is done before the last begins. */
static void calls_of_a_size_keep_their_order(void)
{
    reset();
    struct apx_queue *queue = make(2, 100000);
    struct apx_job jobs[5];
    struct apx_slice slice;
    struct apx_job *ended;
    int next = 0, slices = 0;
    for (int i = 0; i < 5; i++) {
        jobs[i] = job_of(&slow, 200);
        CHECK_EQ(push(queue, &jobs[i]), APX_CODE_OK);
    }
    while (next < 5 && slices++ < 500) {
        CHECK(apx_queue_take(queue, &slice, &ended));
        CHECK(slice.parts[0].job == &jobs[next]);
        ended = finish(queue, &slice);
        CHECK(ended == NULL || (ended == &jobs[next] && ended->next_ended == NULL));
        next += ended != NULL;
        slow.ns_per_unit = 1e5; /* as if it had taken that long */
    }
    CHECK_EQ(next, 5);
    apx_queue_destroy(queue);
}

static void a_cancelled_call_ends_when_its_last_slice_does(void)
{
    reset();
    struct apx_queue *queue = make(2, 10000);
    struct apx_job job = job_of(&slow, 40), other = job_of(&slow, 1);
    struct apx_slice slice;
    struct apx_job *ended;
    CHECK(!apx_queue_cancel(queue, &job)); /* never pushed */
    push(queue, &job);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK(!apx_queue_cancel(queue, &job)); /* a worker still has rows of it */
    CHECK_EQ(apx_queue_waiting(queue), 0);
    CHECK(finish(queue, &slice) == &job);
    CHECK_EQ(job.code, APX_CODE_CANCELLED);
    CHECK(!apx_queue_cancel(queue, &job));
    push(queue, &other); /* the lists are still in order */
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK(slice.parts[0].job == &other);
    apx_queue_destroy(queue);
}

static void a_failed_slice_fails_its_calls_and_their_rest(void)
{
    reset();
    struct apx_queue *queue = make(2, 10000);
    struct apx_job job = job_of(&slow, 40);
    struct apx_slice slice;
    struct apx_job *ended;
    const struct apx_error error = {.status = APX_EDEVICE, .message = "the device is gone"};
    push(queue, &job);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK(slice.run.rows < 40);
    CHECK(apx_queue_done(queue, &slice, 0, 1, APX_EDEVICE, &error) == &job);
    CHECK_EQ(job.code, APX_CODE_INTERNAL);
    CHECK_STR(job.message, "the device is gone");
    CHECK_EQ(apx_queue_waiting(queue), 0);

    job = job_of(&slow, 40); /* the same for a row that is refused */
    push(queue, &job);
    CHECK(apx_queue_take(queue, &slice, &ended));
    slice.parts[0].has_bad_row = true;
    slice.parts[0].bad_row = 3;
    CHECK(finish(queue, &slice) == &job);
    CHECK(job.has_bad_row);
    CHECK_EQ(job.bad_row, 3);
    CHECK_EQ(job.code, APX_CODE_OK);
    apx_queue_destroy(queue);
}

static void a_closed_queue_empties_and_lets_go(void)
{
    reset();
    struct apx_queue *queue = make(1, 10000);
    struct apx_job job = job_of(&slow, 1), late = job_of(&slow, 1);
    struct apx_slice slice;
    struct apx_job *ended;
    push(queue, &job);
    apx_queue_close(queue);
    CHECK_EQ(push(queue, &late), APX_CODE_UNAVAILABLE);
    CHECK(apx_queue_take(queue, &slice, &ended));
    CHECK_EQ(slice.run.rows, 1);
    CHECK(!apx_queue_take(queue, &slice, &ended));
    apx_queue_destroy(queue);
}

int main(void)
{
    RUN(waiting_calls_are_merged_into_one_slice);
    RUN(a_large_call_is_cut_and_lets_a_small_one_pass);
    RUN(an_even_share_for_each_worker);
    RUN(types_do_not_meet_in_a_slice);
    RUN(rows_that_depend_on_each_other_stay_together);
    RUN(a_full_queue_refuses_with_a_time_to_come_back);
    RUN(bytes_are_given_back_when_a_call_ends);
    RUN(deadlines_are_read_on_arrival_and_again_on_taking);
    RUN(a_large_call_makes_no_small_one_late);
    RUN(calls_of_a_size_keep_their_order);
    RUN(a_cancelled_call_ends_when_its_last_slice_does);
    RUN(a_failed_slice_fails_its_calls_and_their_rest);
    RUN(a_closed_queue_empties_and_lets_go);
    return check_report();
}
