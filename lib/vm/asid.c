/* SPDX-License-Identifier: MIT */
/*
 * asid.c: ASIDs by generations.
 *
 * A CPU that has taken a number of a new generation has flushed before, in the same call. A flush
 * by who began the generation would not do for the others: until such a CPU changes its root, it
 * may go on to fill its TLB with the number of the old one.
 */
#include <ashlar/check.h>
#include <ashlar/vm_asid.h>

#define GENERATION ((uint64_t)ASH_VM_ASID_NUMBER + 1)

static bool is_used(const struct ash_vm_asids *asids, uint32_t number) {
    return (asids->used[number / 64] >> (number % 64) & 1) != 0;
}

static void use(struct ash_vm_asids *asids, uint32_t number) {
    asids->used[number / 64] |= UINT64_C(1) << (number % 64);
}

int ash_vm_asid_init(struct ash_vm_asids *asids, uint32_t bits, uint32_t cpus,
                     const struct ash_vm_tlb *tlb) {
    if (bits == 0 || bits > ASH_VM_ASID_BITS_MAX || cpus == 0 || cpus > ASH_PORT_CPUS_MAX ||
        cpus + 1 >= UINT32_C(1) << bits)
        return -ASH_EINVAL;
    *asids = (struct ash_vm_asids){
        .generation = GENERATION, .numbers = UINT32_C(1) << bits, .cpus = cpus, .tlb = tlb};
    /* Who ran before, here or on another CPU, is unknown. */
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
        asids->cpu[cpu].must_flush = true;
    use(asids, 0);
    return 0;
}

/* All numbers are free again, but those that CPUs translate by. */
static void begin_generation(struct ash_vm_asids *asids) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(asids->used); i++)
        asids->used[i] = 0;
    use(asids, 0);
    ash_store_relaxed(&asids->generation, asids->generation + GENERATION);
    asids->rollovers++;
    for (uint32_t i = 0; i < asids->cpus; i++) {
        struct ash_vm_asid_cpu *cpu = &asids->cpu[i];
        uint64_t active = ash_exchange(&cpu->active, UINT64_C(0));
        /* 0: it has not taken one since the last generation began, and goes on with what it had. */
        if (active != 0)
            cpu->reserved = active;
        use(asids, (uint32_t)cpu->reserved & ASH_VM_ASID_NUMBER);
        cpu->must_flush = true;
    }
}

/* Does a CPU translate by it? Then the number is kept, and known by its new generation. */
static bool keep_reserved(struct ash_vm_asids *asids, uint64_t asid, uint64_t renewed) {
    bool is_reserved = false;
    for (uint32_t cpu = 0; cpu < asids->cpus; cpu++) {
        if (asids->cpu[cpu].reserved == asid) {
            asids->cpu[cpu].reserved = renewed;
            is_reserved = true;
        }
    }
    return is_reserved;
}

static uint32_t find_free(struct ash_vm_asids *asids) {
    for (uint32_t i = 0; i < asids->numbers; i++) {
        uint32_t number = (asids->next + i) & (asids->numbers - 1);
        if (!is_used(asids, number))
            return number;
    }
    return 0;
}

static uint64_t number_of(struct ash_vm_asids *asids, uint64_t asid) {
    uint32_t number = (uint32_t)asid & ASH_VM_ASID_NUMBER;
    if (number != 0) {
        uint64_t renewed = asids->generation | number;
        if (keep_reserved(asids, asid, renewed))
            return renewed;
        if (!is_used(asids, number)) {
            use(asids, number);
            return renewed;
        }
    }
    number = find_free(asids);
    if (number == 0) {
        begin_generation(asids);
        number = find_free(asids);
        ASH_ASSERT(number != 0);
    }
    use(asids, number);
    asids->next = number + 1;
    return asids->generation | number;
}

void ash_vm_asid_take(struct ash_vm_asids *asids, struct ash_vm_space *space, uint32_t cpu) {
    ASH_REQUIRE(cpu < asids->cpus, "vm: CPU %u takes an ASID, and there are %u", cpu, asids->cpus);
    uint64_t asid = ash_load_relaxed(&space->asid);
    if ((asid ^ asids->generation) > ASH_VM_ASID_NUMBER) {
        asid = number_of(asids, asid);
        ash_store_relaxed(&space->asid, asid);
        ash_store_relaxed(&space->is_live, true);
    }
    if (asids->cpu[cpu].must_flush) {
        asids->cpu[cpu].must_flush = false;
        asids->flushes++;
        asids->tlb->flush_all(asids->tlb->context);
    }
    ash_store_relaxed(&asids->cpu[cpu].active, asid);
    /* Who changes the tables from here on flushes this number, or has made its stores before the
     * CPU's first walk: it has a fence between the stores and its look at the number, too. */
    ash_fence();
}

void ash_vm_asid_retire(struct ash_vm_asids *asids, struct ash_vm_space *space) {
    (void)asids; /* the number stays used up until the next generation */
    ash_store_relaxed(&space->asid, UINT64_C(0));
    ash_store_relaxed(&space->is_live, false);
}
