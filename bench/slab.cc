/* SPDX-License-Identifier: MIT */
/*
 * slab.cc: objects of 16..512 bytes, one thread, one allocator. PEER is a header that defines it
 * (peer.h); one executable per peer, so that no two mallocs share a process. Every allocation and
 * every free is a call into the peer's own library, but for the peers that say "inline". The
 * object's first word is stored to. `ns` is the time of one allocation with its free.
 *
 *   pair       allocate, store, free
 *   batch64    allocate 64, free them in that order
 *   bulk64     the same by one call for all 64 allocations and one for the frees
 *   literal    the loop that a tutorial printed as a ring of 1000: slot i % 1000 is filled, then
 *              slot (i - 1000) % 1000 freed; which is the same slot, so it frees what it just
 *              allocated, and the first 1000 objects never (they are freed here after the clock)
 *   fifo1000   the ring that this was meant to be: allocate, free the oldest of 1000
 *   replace10k free one of 10,000 live objects at random, allocate another in its place
 *   million    a million live objects:
 *                replace   as above
 *                drain     free all of them in random order; `ns` of one free
 *                refill    allocate a million; `ns` of one allocation, its first touch included
 *                overhead  memory held beyond the objects' own, as a share of it
 *                back      all freed: the share of what was held that goes back to the system
 *   mixed      live objects of all six sizes, replaced at random, now and then a burst of 1..256
 *                hits      the share of allocations that a CPU's magazines served
 */
#include "objects.h"

namespace {

constexpr size_t ops = 50000; /* of a sample */
constexpr size_t batch = 64;
constexpr size_t ring_slots = 1000;
constexpr size_t live_objects = 10000;
constexpr size_t million = 1000000;
constexpr size_t choices = 65536; /* made before the clock runs; a power of two */

void pair(benchmark::State &state) {
    size_t size = prepare(state);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            Peer::free(fresh(size, i));
    });
}

void batch64(benchmark::State &state) {
    size_t size = prepare(state);
    void *objects[batch];
    bench::measure(state, ops / batch * batch, [&](size_t n) {
        for (size_t i = 0; i < n; i += batch) {
            for (auto &object : objects)
                object = fresh(size, i);
            for (auto *object : objects)
                Peer::free(object);
        }
    });
}

template <typename P> void bulk64(benchmark::State &state) {
    prepare(state);
    void *objects[batch];
    bench::measure(state, ops / batch * batch, [&](size_t n) {
        for (size_t i = 0; i < n; i += batch) {
            P::alloc_bulk(objects, batch);
            for (auto *object : objects)
                *static_cast<volatile uint64_t *>(object) = i;
            P::free_bulk(objects, batch);
        }
    });
}

void literal(benchmark::State &state) {
    size_t size = prepare(state), i = 0;
    std::vector<void *> ring(ring_slots), leaked;
    auto steps = [&](size_t n) {
        for (size_t end = i + n; i < end; i++) {
            ring[i % ring_slots] = fresh(size, i);
            if (i >= ring_slots)
                Peer::free(ring[(i - ring_slots) % ring_slots]);
        }
    };
    steps(ring_slots);
    leaked = ring;
    bench::measure(state, ops, steps);
    for (auto *object : leaked)
        Peer::free(object);
}

void fifo1000(benchmark::State &state) {
    size_t size = prepare(state), at = 0;
    std::vector<void *> ring(ring_slots);
    for (auto &slot : ring)
        slot = fresh(size, 0);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            void *oldest = ring[at];
            ring[at] = fresh(size, i);
            Peer::free(oldest);
            at = at + 1 == ring_slots ? 0 : at + 1;
        }
    });
    for (auto *object : ring)
        Peer::free(object);
}

void replace10k(benchmark::State &state) {
    size_t size = prepare(state), at = 0;
    bench::Random random;
    std::vector<uint16_t> order(choices);
    for (auto &choice : order)
        choice = static_cast<uint16_t>(random.below(live_objects));
    std::vector<void *> live(live_objects);
    for (auto &slot : live)
        slot = fresh(size, 0);
    auto steps = [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            void *&slot = live[order[at++ % choices]];
            Peer::free(slot);
            slot = fresh(size, i);
        }
    };
    steps(choices);
    bench::measure(state, ops, steps);
    for (auto *object : live)
        Peer::free(object);
}

void million_live(benchmark::State &state) {
    bench::Random random;
    std::vector<uint32_t> order(million);
    for (auto &choice : order)
        choice = static_cast<uint32_t>(random.below(million));
    std::vector<void *> live(million, &live);
    size_t size = prepare(state), at = 0;
    Peer::reap();
    size_t before = Peer::held_bytes();
    auto fill = [&] {
        for (auto &slot : live)
            slot = fresh(size, 0);
    };
    auto drain = [&] {
        for (auto *object : live)
            Peer::free(object);
    };
    auto steps = [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            void *&slot = live[order[at]];
            Peer::free(slot);
            slot = fresh(size, i);
            at = at + 1 == million ? 0 : at + 1;
        }
    };
    fill();
    auto held = static_cast<double>(Peer::held_bytes() - before);
    steps(million);
    bench::measure(state, 20000, steps);
    state.counters["replace"] = static_cast<double>(state.counters["ns"]);
    state.counters.erase("ns");
    bench::shuffle(live, random);
    state.counters["drain"] = bench::once(million, drain);
    state.counters["refill"] = bench::once(million, fill);
    bench::shuffle(live, random);
    drain();
    Peer::reap();
    auto bytes = static_cast<double>(million * size);
    state.counters["overhead"] = (held - bytes) / bytes;
    state.counters["back"] =
        1 - (static_cast<double>(Peer::held_bytes()) - static_cast<double>(before)) / held;
}

void mixed(benchmark::State &state) {
    struct Step {
        uint16_t slot, size, burst;
    };
    Peer::prepare(0);
    bench::Random random;
    auto size = [&] { return static_cast<uint16_t>(16 << random.below(6)); };
    std::vector<Step> plan(choices);
    for (auto &step : plan) {
        auto burst = random.below(64) == 0 ? 1 + random.below(256) : 0;
        step = {static_cast<uint16_t>(random.below(live_objects)), size(),
                static_cast<uint16_t>(burst)};
    }
    std::vector<void *> live(live_objects), burst(256);
    for (auto &slot : live)
        slot = fresh(size(), 0);
    size_t at = 0, allocations = 0;
    auto steps = [&](size_t n) { /* about n allocations */
                                 for (size_t end = allocations + n; allocations < end;
                                      allocations++) {
                                     const Step &step = plan[at++ % choices];
                                     Peer::free(live[step.slot]);
                                     live[step.slot] = fresh(step.size, at);
                                     for (size_t i = 0; i < step.burst; i++)
                                         burst[i] = fresh(step.size, at);
                                     for (size_t i = 0; i < step.burst; i++)
                                         Peer::free(burst[i]);
                                     allocations += step.burst;
                                 }
    };
    steps(choices);
    auto calls = Peer::calls();
    bench::measure(state, ops, steps);
    if (Peer::counts) {
        auto since = Peer::calls();
        state.counters["hits"] = static_cast<double>(since.hits - calls.hits) /
                                 static_cast<double>(since.allocations - calls.allocations);
    }
    for (auto *object : live)
        Peer::free(object);
}

void add_all() {
    using benchmark::RegisterBenchmark;
    using Workload = void(benchmark::State &);
    const std::pair<const char *, Workload *> workloads[] = {
        {"pair", pair},         {"batch64", batch64},       {"literal", literal},
        {"fifo1000", fifo1000}, {"replace10k", replace10k},
    };
    auto add = [](const char *name, Workload *workload) {
        return RegisterBenchmark(name, workload)->Iterations(1);
    };
    for (auto [name, workload] : workloads)
        add(name, workload)->RangeMultiplier(2)->Range(16, 512)->Arg(2048);
    if constexpr (Peer::bulk)
        add("bulk64", bulk64<Peer>)->RangeMultiplier(2)->Range(16, 512);
    if (Peer::million)
        add("million", million_live)->RangeMultiplier(2)->Range(16, 512);
    if (Peer::sized)
        add("mixed", mixed);
    if (Peer::threads && bench::cpus().size() > 1)
        add_threads();
}

} // namespace

int main(int argc, char **argv) {
    std::string file = file_of(Peer::function);
    if (file.find(Peer::library) == std::string::npos) {
        std::fprintf(stderr, "%s is not the one of %s, but of %s: nothing is measured\n",
                     Peer::function, Peer::library, file.c_str());
        return 1;
    }
    return bench::run_all(argc, argv,
                          {{"subject", "objects"},
                           {"peer", Peer::name},
                           {"version", Peer::version()},
                           {"library", file}},
                          add_all);
}
