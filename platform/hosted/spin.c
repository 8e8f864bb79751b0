/* SPDX-License-Identifier: MIT */
/* spin.c: the contended spinlock: waits on a plain load, so that the waiters leave the line to the
 * holder. */
#include <ashlar/port.h>

void hosted_spin_contended(struct ash_spinlock *lock) {
    do {
        while (ash_load_relaxed(&lock->locked) != 0)
            ash_port_relax();
    } while (!ash_spin_trylock(lock));
}
