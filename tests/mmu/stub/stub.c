/* SPDX-License-Identifier: MIT */
/* stub.c: answers the requests of protocol.h, for ever; prints what keeps it from that. */
#include "mmu/protocol.h"

#include <stdbool.h>
#include <stddef.h>

#define SYSTEM(address) ((address) + MMU_STUB_OFFSET)
#define UART_DATA       ((volatile uint32_t *)SYSTEM(0x09000000))
#define GIC_DISTRIBUTOR ((volatile uint32_t *)SYSTEM(0x08000000))
#define GIC_CPU         ((volatile uint32_t *)SYSTEM(0x08010000))
#define MAILBOX         ((struct mmu_mailbox *)SYSTEM(MMU_MAILBOX_BASE))

#define READ_REGISTER(name)                               \
    __extension__({                                       \
        uint64_t value_;                                  \
        __asm__ volatile("mrs %0, " name : "=r"(value_)); \
        value_;                                           \
    })
#define WRITE_REGISTER(name, value) \
    __asm__ volatile("msr " name ", %0\n\tisb" ::"r"((uint64_t)(value)) : "memory")

enum { PSTATE_USER = 0x3c0, PSTATE_KERNEL = 0x3c5 }; /* EL0t, EL1h, interrupts masked */

/* What start.S returns in x0 and x1. */
struct outcome {
    uint64_t value, syndrome;
};

struct outcome probe_user_load(uint64_t address);
struct outcome probe_user_store(uint64_t address, uint64_t value);
struct outcome probe_kernel_load(uint64_t address);
struct outcome probe_kernel_store(uint64_t address, uint64_t value);
struct outcome probe_fetch(uint64_t address, uint64_t pstate);
void stub_main(void);
void stub_mistake(uint64_t syndrome, uint64_t far, uint64_t elr);

/* The console: only what goes wrong is said there. */

static void print(const char *text) {
    for (; *text != '\0'; text++)
        *UART_DATA = (uint8_t)*text;
}

static void print_hex(const char *name, uint64_t value) {
    print(name);
    for (int shift = 60; shift >= 0; shift -= 4)
        *UART_DATA = (uint8_t) "0123456789abcdef"[value >> shift & 15];
}

static void stop(void) {
    print("\n");
    for (;;)
        __asm__ volatile("wfi");
}

void stub_mistake(uint64_t syndrome, uint64_t far, uint64_t elr) {
    print_hex("stub: exception of its own: syndrome 0x", syndrome);
    print_hex(", address 0x", far);
    print_hex(", at 0x", elr);
    stop();
}

/* Requests. */

#define TLBI(operation, operand)                                                            \
    __asm__ volatile("dsb ishst\n\ttlbi " operation ", %0\n\tdsb ish\n\tisb" ::"r"(operand) \
                     : "memory")
/* TLBI RVAE1IS and RVALE1IS, by number: the assembler knows them for an Armv8.4 CPU alone. */
#define TLBI_RANGE(op2, operand)                                                                  \
    __asm__ volatile("dsb ishst\n\tsys #0, c8, c2, #" op2 ", %0\n\tdsb ish\n\tisb" ::"r"(operand) \
                     : "memory")
#define AT(operation, address)                                                                 \
    __extension__({                                                                            \
        __asm__ volatile("at " operation ", %0\n\tisb" ::"r"((uint64_t)(address)) : "memory"); \
        (struct outcome){READ_REGISTER("par_el1"), 0};                                         \
    })

static struct outcome serve(const struct mmu_request *request) {
    const struct outcome done = {0, 0}, refused = {0, MMU_REFUSED};
    uint64_t address = request->address;
    switch (request->operation) {
    case MMU_NOTHING:
        return done;
    case MMU_INSTALL_LOW:
        WRITE_REGISTER("ttbr0_el1", address);
        return done;
    case MMU_INSTALL_HIGH: {
        const uint64_t *root = (const uint64_t *)SYSTEM(address & 0xfffffffff000);
        if (root[MMU_STUB_INDEX] != MAILBOX->stub_entry)
            return refused; /* the stub would be gone */
        WRITE_REGISTER("ttbr1_el1", address);
        return done;
    }
    case MMU_TLBI_ALL:
        __asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
        return done;
    case MMU_TLBI_ASID:
        TLBI("aside1is", address);
        return done;
    case MMU_TLBI_VA:
        TLBI("vae1is", address);
        return done;
    case MMU_TLBI_LEAF:
        TLBI("vale1is", address);
        return done;
    case MMU_TLBI_VA_ANY:
        TLBI("vaae1is", address);
        return done;
    case MMU_TLBI_RANGE:
        if (!MAILBOX->has_ranges)
            return refused;
        TLBI_RANGE("1", address);
        return done;
    case MMU_TLBI_LEAF_RANGE:
        if (!MAILBOX->has_ranges)
            return refused;
        TLBI_RANGE("5", address);
        return done;
    case MMU_AT_USER_READ:
        return AT("s1e0r", address);
    case MMU_AT_USER_WRITE:
        return AT("s1e0w", address);
    case MMU_AT_KERNEL_READ:
        return AT("s1e1r", address);
    case MMU_AT_KERNEL_WRITE:
        return AT("s1e1w", address);
    case MMU_USER_LOAD:
        return probe_user_load(address);
    case MMU_USER_STORE:
        return probe_user_store(address, request->value);
    case MMU_KERNEL_LOAD:
        return probe_kernel_load(address);
    case MMU_KERNEL_STORE:
        return probe_kernel_store(address, request->value);
    case MMU_USER_FETCH:
        return probe_fetch(address, PSTATE_USER);
    case MMU_KERNEL_FETCH:
        return probe_fetch(address, PSTATE_KERNEL);
    default:
        return refused;
    }
}

/* Start. */

static bool same_figures(const struct mmu_figures *a, const struct mmu_figures *b) {
    return a->magic == b->magic && a->version == b->version && a->capacity == b->capacity &&
           a->request_bytes == b->request_bytes && a->answer_bytes == b->answer_bytes &&
           a->mailbox_bytes == b->mailbox_bytes && a->ram_bytes == b->ram_bytes;
}

static void greet(struct mmu_mailbox *mailbox) {
    static const uint8_t pa_bits[] = {32, 36, 40, 42, 44, 48}; /* Arm ARM, ID_AA64MMFR0_EL1 */
    const struct mmu_figures figures = MMU_FIGURES;
    if (!same_figures(&mailbox->host, &figures)) {
        print_hex("stub: the host speaks another protocol: magic 0x", mailbox->host.magic);
        print_hex(", version 0x", mailbox->host.version);
        print_hex(", mailbox of 0x", mailbox->host.mailbox_bytes);
        print(" bytes; build stub and test together");
        stop();
    }
    uint64_t size = READ_REGISTER("id_aa64mmfr0_el1") & 15;
    mailbox->stub = figures;
    mailbox->pa_bits = pa_bits[size < 5 ? size : 5];
    mailbox->has_ranges = (READ_REGISTER("id_aa64isar0_el1") >> 56 & 15) >= 2;
    mailbox->stub_root = READ_REGISTER("ttbr1_el1");
    mailbox->stub_entry = ((const uint64_t *)SYSTEM(mailbox->stub_root))[MMU_STUB_INDEX];
    __atomic_store_n(&mailbox->ready, MMU_MAGIC, __ATOMIC_RELEASE);
}

/* So that WFI ends: the virtual timer's interrupt, PPI 27, made pending and never taken. */
static void prepare_naps(void) {
    GIC_DISTRIBUTOR[0] = 1;                /* GICD_CTLR */
    GIC_DISTRIBUTOR[0x100 / 4] = 1u << 27; /* GICD_ISENABLER0 */
    GIC_CPU[0] = 1;                        /* GICC_CTLR */
    GIC_CPU[1] = 0xff;                     /* GICC_PMR */
}

/* The emulator gives its CPU back for half a millisecond. */
static void nap(void) {
    WRITE_REGISTER("cntv_tval_el0", READ_REGISTER("cntfrq_el0") / 2000);
    WRITE_REGISTER("cntv_ctl_el0", 1);
    __asm__ volatile("wfi" ::: "memory");
    WRITE_REGISTER("cntv_ctl_el0", 0);
}

void stub_main(void) {
    enum { LOOKS_BEFORE_NAP = 20000 }; /* about half a millisecond */
    struct mmu_mailbox *mailbox = MAILBOX;
    uint32_t completed = 0, looks = 0;
    prepare_naps();
    greet(mailbox);
    for (;;) {
        uint32_t submitted = __atomic_load_n(&mailbox->submitted, __ATOMIC_ACQUIRE);
        if (submitted == completed) {
            if (++looks > LOOKS_BEFORE_NAP)
                nap();
            continue;
        }
        looks = 0;
        while (completed != submitted) {
            struct outcome outcome = serve(&mailbox->requests[completed % MMU_CAPACITY]);
            mailbox->answers[completed % MMU_CAPACITY] =
                (struct mmu_answer){outcome.value, outcome.syndrome, READ_REGISTER("far_el1")};
            __atomic_store_n(&mailbox->completed, ++completed, __ATOMIC_RELEASE);
        }
    }
}
