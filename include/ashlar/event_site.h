/* SPDX-License-Identifier: MIT */
/*
 * event_site.h: the hook of a port that has events: a load and a branch while one is off, which is
 * 2 instructions on x86-64 and 3 on aarch64. A port includes it from its <ashlar/port.h>.
 *
 * Rules
 *  - ash_port_event is for any descriptor: cmpb, jne on x86-64, where a pointer to it is at hand.
 *  - ASH_PORT_EVENT_SITE is the same for a descriptor whose address is a constant: in the place of
 *    the one in <ashlar/event.h>, where a compiler does worse of itself. For position-independent
 *    code gcc loads the address first, as what is emitted needs it too; on aarch64 it gives a load
 *    no offset that the linker fills in.
 */
#ifndef ASHLAR_EVENT_SITE_H
#define ASHLAR_EVENT_SITE_H

#include <ashlar/atomic.h>
#include <ashlar/event.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
#if defined(__x86_64__)
    /* Compilers make three instructions of a load whose value is seen. */
    __asm__ goto("cmpb $0, %0\n\tjne %l1" : : "m"(event->enabled) : "cc" : enabled);
    return;
enabled:
#else
    if (ASH_LIKELY(ash_load_word(&event->enabled) == 0))
        return;
#endif
    ash_event_emit(event, a, b);
}

#if !defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__))

#ifdef __x86_64__
#define ASH__EVENT_TEST(address, label) \
    __asm__ goto("cmpb $0, %c0(%%rip)\n\tjne %l1" : : "i"(address) : "cc" : label)
#else
#define ASH__EVENT_TEST(address, label)                                        \
    __asm__ goto("adrp x17, %0\n\tldrb w17, [x17, #:lo12:%0]\n\tcbnz w17, %l1" \
                 :                                                             \
                 : "S"(address)                                                \
                 : "x17"                                                       \
                 : label)
#endif

#undef ASH_PORT_EVENT_SITE
#define ASH_PORT_EVENT_SITE(event, a, b)              \
    __extension__({                                   \
        __label__ enabled_, done_;                    \
        ASH__EVENT_TEST(&(event)->enabled, enabled_); \
        goto done_;                                   \
    enabled_:                                         \
        ash_event_emit((event), (a), (b));            \
    done_:;                                           \
    })

#endif

#ifdef __cplusplus
}
#endif

#endif
