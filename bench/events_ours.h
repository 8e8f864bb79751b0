/* SPDX-License-Identifier: MIT */
/*
 * events_ours.h: an event of the parts, as the kernel records it: the port's hook, a sink behind a
 * call, a pin, the ring of this CPU. EVENTS_NO_CLOCK: the same record with a 0 for its time.
 */
#ifndef ASHLAR_BENCH_EVENTS_OURS_H
#define ASHLAR_BENCH_EVENTS_OURS_H

#include <ashlar/port.h>
#ifdef EVENTS_NO_CLOCK
#define ash_port_cycles() UINT64_C(0)
#endif
#include <ashlar/trace.h>
#ifdef EVENTS_NO_CLOCK
#undef ash_port_cycles
#endif

#include <cstdlib>

namespace {

ash_trace_ring rings[ASH_PORT_CPUS_MAX];

} // namespace

__attribute__((noinline)) void ash_event_emit(const struct ash_event *event, uint64_t a,
                                              uint64_t b) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_trace_write(&rings[cpu], event->id, a, b);
    ash_port_unpin();
}

extern "C" void hosted_cpu_enter(uint32_t cpu);

class Events {
  public:
#ifdef EVENTS_NO_CLOCK
    static constexpr const char *name = "no clock";
#else
    static constexpr const char *name = "ours";
#endif
    explicit Events(bool enabled) {
        event_.name = "bench", event_.fields = "a,b", event_.id = 1, event_.enabled = enabled;
    }
    /* This thread is that CPU. */
    static void enter(uint32_t cpu) {
        constexpr size_t bytes = ASH_TRACE_EVENTS_DEFAULT * sizeof(ash_trace_record);
        auto *records = static_cast<ash_trace_record *>(std::aligned_alloc(4096, bytes));
        if (cpu != 0)
            hosted_cpu_enter(cpu);
        if (records == nullptr || ash_trace_init(&rings[cpu], records, ASH_TRACE_EVENTS_DEFAULT,
                                                 ASH_TRACE_OVERWRITE) != 0)
            std::abort();
    }
    __attribute__((always_inline)) void emit(uint64_t a, uint64_t b) {
        ash_port_event(&event_, a, b);
    }

  private:
    ash_event event_ = {};
};

#endif
