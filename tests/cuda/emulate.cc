/* SPDX-License-Identifier: Apache-2.0 */
/* emulate.cc - fibers, barriers and shared memory of the machine in emulate.h. */
#include "tests/cuda/emulate.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <memory>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif

emulated_queue *emulated_enqueue;
size_t emulated_shared_limit = 227 * 1024;
unsigned emulated_cluster_limit = 8;

namespace
{
const size_t stack_bytes = 128 * 1024, slot_bytes = 64, fence = 4096;
const unsigned WARP = 32, MOST_THREADS = 1024;
const int INVALID_VALUE = 1; /* cudaErrorInvalidValue */

struct barrier {
    unsigned expected = 0, arrived = 0, generation = 0;
    void arrive()
    {
        if (++arrived == expected) {
            arrived = 0;
            generation++;
        }
    }
};

struct warp {
    barrier sync;
    alignas(16) unsigned char slot[WARP][slot_bytes];
};

struct block {
    emulated_index index;
    unsigned rank, threads_left;
    unsigned char *shared;
    std::vector<unsigned char> memory; /* it, and fences around it */
    barrier sync;
    std::vector<warp> warps;
};

struct copy {
    void *to;
    const void *from;
    size_t bytes;
};

struct fiber {
    ucontext_t context;
    jmp_buf paused;
    void *stack;
    bool is_started;
    struct block *block;
    emulated_here here;
    const barrier *waits_for;
    unsigned since;           /* the barrier's generation then */
    unsigned cluster_arrived; /* the cluster barrier's generation on arrival */
    bool done;
    std::vector<copy> copies;
#ifdef __SANITIZE_ADDRESS__
    void *fake_stack;
#endif
};

std::vector<std::unique_ptr<fiber>> fibers;
std::vector<std::unique_ptr<block>> blocks; /* of the cluster */
barrier cluster_sync;
fiber *current;
#ifdef __SANITIZE_ADDRESS__
ucontext_t scheduler;
#else
jmp_buf scheduler;
#endif
const std::function<void()> *running;
#ifdef __SANITIZE_ADDRESS__
void *scheduler_fake;
const void *scheduler_stack;
size_t scheduler_stack_bytes;
#endif

[[noreturn]] void give_up(const char *why)
{
    fprintf(stderr, "FAIL emulated kernel: block %u, thread %u: %s\n",
            current != nullptr ? current->here.block.x : 0,
            current != nullptr ? current->here.thread.x : 0, why);
    exit(1);
}

/* Contexts are changed by way of setjmp, which asks nothing of the system; AddressSanitizer wants
 * to see the swap. */
void enter(fiber *next)
{
    current = next;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&scheduler_fake, next->stack, stack_bytes);
    swapcontext(&scheduler, &next->context);
    __sanitizer_finish_switch_fiber(scheduler_fake, nullptr, nullptr);
#else
    if (_setjmp(scheduler) != 0)
        return;
    if (next->is_started)
        _longjmp(next->paused, 1);
    next->is_started = true;
    setcontext(&next->context);
#endif
}

void leave(fiber *self)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&self->fake_stack, scheduler_stack, scheduler_stack_bytes);
    swapcontext(&self->context, &scheduler);
    __sanitizer_finish_switch_fiber(self->fake_stack, &scheduler_stack, &scheduler_stack_bytes);
#else
    if (_setjmp(self->paused) == 0)
        _longjmp(scheduler, 1);
#endif
}

/* A fiber serves one thread after the other. */
void fiber_main()
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
    for (;;) {
        (*running)();
        if (!current->copies.empty())
            give_up("leaves with copies under way");
        current->done = true;
        current->block->threads_left--;
        leave(current);
    }
}

void wait_for(const barrier &what, unsigned since)
{
    if (what.generation != since)
        return;
    fiber *self = current;
    self->waits_for = &what;
    self->since = since;
    leave(self);
    self->waits_for = nullptr;
}

void sync_on(barrier &what)
{
    const unsigned since = what.generation;
    what.arrive();
    wait_for(what, since);
}

void prepare(fiber &f)
{
    f.waits_for = nullptr;
    f.done = false;
    if (f.stack != nullptr)
        return;
    f.stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f.stack == MAP_FAILED)
        give_up("no memory for a stack");
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, fiber_main, 0);
}

/* Nothing was written beside the shared memory. */
void inspect(block &b, size_t shared)
{
    const unsigned char *begin = b.memory.data(), *end = begin + b.memory.size();
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(begin, b.memory.size());
#endif
    for (const unsigned char *p = begin; p < end; p = p + 1 == b.shared ? b.shared + shared : p + 1)
        if (*p != 0xff)
            give_up("writes outside of the block's shared memory");
}

/* All fibers to their end. One warp at a time is held back until nobody else can go on, so that
 * the others are as far ahead of it as the barriers let them. */
void run_cluster(size_t count)
{
    static uint32_t order = 1;
    const size_t nobody = SIZE_MAX, warps = (count + WARP - 1) / WARP;
    size_t held = nobody;
    for (size_t left = count; left > 0;) {
        /* Any odd stride visits all of a power of two. */
        size_t round = 1;
        while (round < count)
            round *= 2;
        order = order * 1664525u + 1013904223u;
        const size_t first = order >> 7, stride = (order >> 20) | 1;
        bool progress = false;
        for (size_t i = 0; i < round; i++) {
            const size_t at = (first + i * stride) % round;
            if (at >= count || at / WARP == held)
                continue;
            fiber *f = fibers[at].get();
            if (f->done || (f->waits_for != nullptr && f->waits_for->generation == f->since))
                continue;
            progress = true;
            enter(f);
            left -= f->done;
        }
        if (progress && held == nobody) {
            held = (order >> 11) % warps;
        } else if (!progress && held != nobody) {
            held = nobody;
        } else if (!progress) {
            for (size_t i = 0; i < count; i++)
                if (!fibers[i]->done)
                    current = fibers[i].get();
            give_up("waits at a barrier that others never reach");
        }
    }
    current = nullptr;
}
} // namespace

const emulated_here &emulated_where()
{
    return current->here;
}

unsigned char *emulated_shared()
{
    return current->block->shared;
}

void emulated_sync_block()
{
    sync_on(current->block->sync);
}

unsigned emulated_lane()
{
    return current->here.thread.x % WARP;
}

static warp &own_warp()
{
    return current->block->warps[current->here.thread.x / WARP];
}

void emulated_sync_warp()
{
    sync_on(own_warp().sync);
}

unsigned emulated_cluster_rank()
{
    return current->block->rank;
}

void emulated_cluster_arrive()
{
    if (current->cluster_arrived == cluster_sync.generation + 1)
        give_up("arrives twice at the cluster's barrier");
    current->cluster_arrived = cluster_sync.generation + 1;
    cluster_sync.arrive();
    /* What follows is not ordered after the others: now and then they go first. */
    static uint32_t draw = 1;
    draw = draw * 1664525u + 1013904223u;
    if (draw >> 30 == 0)
        leave(current);
}

void emulated_cluster_wait()
{
    if (current->cluster_arrived == 0)
        give_up("waits for the cluster without having arrived");
    wait_for(cluster_sync, current->cluster_arrived - 1);
}

void *emulated_peer(void *shared, unsigned rank)
{
    if (rank >= blocks.size())
        give_up("no such block in the cluster");
    if (blocks[rank]->threads_left == 0)
        give_up("reaches for the shared memory of a block that has ended");
    return blocks[rank]->shared + (static_cast<unsigned char *>(shared) - current->block->shared);
}

void emulated_copy(void *shared, const void *global, size_t bytes)
{
    if ((uintptr_t)shared % bytes != 0 || (uintptr_t)global % bytes != 0)
        give_up("copies to or from where it is not aligned");
    current->copies.push_back({shared, global, bytes});
}

void emulated_copy_wait()
{
    for (const copy &c : current->copies)
        memcpy(c.to, c.from, c.bytes);
    current->copies.clear();
}

void emulated_give(const void *value, size_t bytes)
{
    if (bytes > slot_bytes)
        give_up("gives more than a slot holds");
    memcpy(own_warp().slot[emulated_lane()], value, bytes);
    emulated_sync_warp();
}

const void *emulated_given(unsigned from)
{
    return own_warp().slot[from % WARP];
}

int emulated_launch(unsigned grid, unsigned threads, unsigned cluster, size_t shared,
                    const std::function<void()> &kernel)
{
    if (grid == 0 || threads == 0 || threads > MOST_THREADS || cluster == 0 ||
        cluster > emulated_cluster_limit || grid % cluster != 0 || shared > emulated_shared_limit)
        return INVALID_VALUE;
    const size_t count = (size_t)threads * cluster;
    while (fibers.size() < count)
        fibers.emplace_back(new fiber());
    running = &kernel;
    for (unsigned first = 0; first < grid; first += cluster) {
        blocks.clear();
        cluster_sync = barrier();
        cluster_sync.expected = (unsigned)count;
        for (unsigned rank = 0; rank < cluster; rank++) {
            blocks.emplace_back(new block());
            block &b = *blocks.back();
            b.index.x = first + rank;
            b.rank = rank;
            b.threads_left = threads;
            b.sync.expected = threads;
            b.warps.resize((threads + WARP - 1) / WARP);
            for (size_t w = 0; w < b.warps.size(); w++)
                b.warps[w].sync.expected =
                    w * WARP + WARP <= threads ? WARP : threads - (unsigned)w * WARP;
            b.memory.resize(fence + shared + fence + 128);
            memset(b.memory.data(), 0xff, b.memory.size());
            b.shared = b.memory.data() + fence;
            b.shared += (128 - (uintptr_t)b.shared % 128) % 128;
#ifdef __SANITIZE_ADDRESS__
            __asan_poison_memory_region(b.memory.data(), (size_t)(b.shared - b.memory.data()));
            __asan_poison_memory_region(b.shared + shared, fence);
#endif
            for (unsigned t = 0; t < threads; t++) {
                fiber &f = *fibers[rank * threads + t];
                prepare(f);
                f.block = &b;
                f.cluster_arrived = 0;
                f.here = {{t}, b.index, {threads}, {grid}};
            }
        }
        run_cluster(count);
        for (auto &b : blocks)
            inspect(*b, shared);
    }
    return 0;
}

/* ---- halves ---------------------------------------------------------------------------------- */

uint16_t emulated_to_half(float value)
{
    const uint32_t bits = simt_bits(value), sign = bits >> 16 & 0x8000;
    const float magnitude = fabsf(value);
    if (value != value)
        return 0x7fff;
    if (magnitude >= 65520.0f)
        return (uint16_t)(sign | 0x7c00);
    int exponent;
    frexpf(magnitude, &exponent); /* magnitude in [2^(exponent-1), 2^exponent) */
    if (magnitude == 0.0f || exponent - 1 < -14)
        exponent = -13;
    /* 11 bits from 2^(exponent-1) on, halves to even; what carries over goes up by itself. */
    const long steps = lrintf(ldexpf(magnitude, 11 - exponent));
    return (uint16_t)(sign | (uint32_t)((exponent + 13) * 1024 + steps));
}

static float from_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    float magnitude = ldexpf((float)(exponent > 0 ? fraction + 1024 : fraction),
                             (exponent > 0 ? exponent : 1) - 25);
    if (exponent == 31)
        magnitude = fraction != 0 ? NAN : INFINITY;
    return half & 0x8000 ? -magnitude : magnitude;
}

float emulated_from_half(uint16_t half)
{
    static const std::vector<float> all = [] {
        std::vector<float> values;
        for (unsigned bits = 0; bits < 0x10000; bits++)
            values.push_back(from_half((uint16_t)bits));
        return values;
    }();
    return all[half];
}
