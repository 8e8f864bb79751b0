/* SPDX-License-Identifier: MIT */
/* sched_whole.h: a part of sched.cc: whole decisions of the scheduler. */
#ifndef ASHLAR_BENCH_SCHED_WHOLE_H
#define ASHLAR_BENCH_SCHED_WHOLE_H

namespace {

/* Real-time entities of 1 to 2 ms every 100 to 200 ms, in all 30 % of the CPU at 20 of them. */
ash_sched_attributes realtime(bench::Random &random, size_t count) {
    ash_sched_attributes attributes = {};
    attributes.period_ns = (5000 + random.below(5000)) * count * 1000;
    attributes.runtime_ns = 1500000;
    return attributes;
}

void add_mixed(Scheduler &all) {
    bench::Random random;
    size_t count = all.entities.size();
    for (size_t i = 0; i < count; i++) {
        ash_sched_attributes attributes = {};
        if (i % 5 == 0) {
            attributes = realtime(random, count / 5);
        } else if (i % 5 != 1) {
            attributes.flags = ASH_SCHED_NICE;
            attributes.nice = static_cast<int32_t>(random.below(20)) - 10;
        }
        all.add(i, attributes);
    }
}

void decide(Scheduler &all, ash_sched_decision &decision) {
    if (ash_sched_decide(&all.sched, all.now, &decision) != 0)
        std::abort();
}

/* Each decision when the last one asked for it. */
void decide_when_due(benchmark::State &state, Scheduler &all) {
    ash_sched_decision decision;
    decide(all, decision);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            all.now = decision.call_at;
            decide(all, decision);
        }
    });
}

void decisions(benchmark::State &state) {
    Scheduler all(static_cast<size_t>(state.range(0)), {});
    add_mixed(all);
    decide_when_due(state, all);
}

void events(benchmark::State &state) {
    auto count = static_cast<size_t>(state.range(0));
    Scheduler all(count, {});
    add_mixed(all);
    Draws draws(uint64_t{1} << 31);
    ash_sched_decision decision;
    decide(all, decision);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint32_t draw = draws.next();
            uint64_t ahead = draw % 500000 + 1;
            bool event = (draw >> 20 & 1) != 0;
            if (decision.timed && (!event || decision.call_at - all.now < ahead))
                ahead = decision.call_at - all.now;
            all.now += ahead;
            if (event) {
                ash_sched_entity &one = all.entities[(draw >> 21) % count];
                int error = 0;
                if (one.state == ASH_SCHED_BLOCKED)
                    error = ash_sched_wake(&all.sched, &one, all.now);
                else if (decision.run != nullptr)
                    error = ash_sched_block(&all.sched, all.now);
                if (error < 0)
                    std::abort();
            }
            decide(all, decision);
        }
    });
}

void add_fair(Scheduler &all) {
    bench::Random random;
    for (size_t i = 0; i < all.entities.size(); i++) {
        ash_sched_attributes attributes = {};
        attributes.flags = ASH_SCHED_NICE;
        attributes.nice = static_cast<int32_t>(random.below(20)) - 10;
        all.add(i, attributes);
    }
}

void unified(benchmark::State &state) {
    Scheduler all(static_cast<size_t>(state.range(0)), {});
    add_fair(all);
    decide_when_due(state, all);
}

void direct(benchmark::State &state) {
    Scheduler all(static_cast<size_t>(state.range(0)), {});
    add_fair(all);
    ash_sched *sched = &all.sched;
    ash_sched_entity *running = ash__sched_eevdf_pick(sched);
    uint64_t left = ash__sched_eevdf_left(sched, running);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            ash__sched_eevdf_charge(sched, running, left);
            running = ash__sched_eevdf_pick(sched);
            left = ash__sched_eevdf_left(sched, running);
        }
    });
}

/* The interactive class alone: one comes, is chosen, and goes. */
void mlfq(benchmark::State &state) {
    auto count = static_cast<size_t>(state.range(0));
    Scheduler all(count, {});
    for (size_t i = 0; i < count; i++) {
        all.add(i, {});
        all.entities[i].level = static_cast<uint8_t>(i % 4);
    }
    Draws slots(count);
    ash_sched *sched = &all.sched;
    for (auto &entity : all.entities) { /* each to its level */
        entity.level = 0;
        ash__sched_mlfq_dequeue(sched, &entity);
        entity.level = static_cast<uint8_t>((&entity - all.entities.data()) % 4);
        ash__sched_mlfq_enqueue(sched, &entity);
    }
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            ash_sched_entity *entity = &all.entities[slots.next()];
            ash__sched_mlfq_dequeue(sched, entity);
            benchmark::DoNotOptimize(ash__sched_mlfq_pick(sched));
            ash__sched_mlfq_enqueue(sched, entity);
        }
    });
}

/* Reservations of 1 to 100 ms; D = T * percent / 100, and in all so many percent of the CPU. */
ash_sched_attributes reservation(bench::Random &random, size_t count, uint64_t percent,
                                 uint64_t bandwidth) {
    ash_sched_attributes attributes = {};
    attributes.period_ns = (10000 + random.below(990000)) * 100;
    attributes.period_ns -= attributes.period_ns % (100 * count);
    attributes.runtime_ns = attributes.period_ns / 100 * bandwidth / count;
    attributes.deadline_ns = attributes.period_ns / 100 * (percent + random.below(101 - percent));
    return attributes;
}

/* One more comes, is judged, and goes. */
template <uint64_t percent, uint64_t bandwidth> void admit(benchmark::State &state) {
    auto count = static_cast<size_t>(state.range(0));
    Scheduler all(count, {});
    bench::Random random;
    ash_sched *sched = &all.sched;
    auto attach = [&](size_t which) {
        auto attributes = reservation(random, count, percent, bandwidth);
        return ash_sched_attach(sched, &all.entities[which], &attributes, all.now, nullptr);
    };
    for (size_t i = 0; i + 1 < count; i++)
        benchmark::DoNotOptimize(attach(i));
    bench::measure(state, 1000, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            if (attach(count - 1) == 0 &&
                ash_sched_detach(sched, &all.entities[count - 1], all.now) != 0)
                std::abort();
        }
    });
}

void add_whole() {
    for (auto [name, workload] :
         {Workload{"admit", admit<100, 95>}, Workload{"admit.full", admit<100, 100>},
          Workload{"admit.demand", admit<80, 95>}}) {
        for (int64_t count : {8, 64})
            benchmark::RegisterBenchmark(name, workload)->Iterations(1)->Arg(count);
    }
    for (auto [name, workload] : {Workload{"decide", decisions}, Workload{"events", events},
                                  Workload{"direct", direct}, Workload{"unified", unified}}) {
        for (int64_t count : {10, 100, 1000})
            benchmark::RegisterBenchmark(name, workload)->Iterations(1)->Arg(count);
    }
    for (int64_t count : {10, 100, 1000, 10000})
        benchmark::RegisterBenchmark("mlfq", mlfq)->Iterations(1)->Arg(count);
}

} // namespace

#endif
