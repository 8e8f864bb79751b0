/* SPDX-License-Identifier: MIT */
/*
 * random.c: random tables and random questions: the MMU against walk.c, to the level of the fault.
 *
 * A world is a few tables full of random entries, in which each table entry points to some table of
 * the next level; so every address of both halves leads somewhere. Pages and blocks lead mostly
 * into the pages at PAGES_BASE, where each word says in which page it is:
 *
 *     even words   `svc #page`: what a load or a fetch must find
 *     odd words    for stores: each store of a world has an offset of its own
 *
 * While the machine answers for one world the next is built beside it.
 */
#include "harness/test.h"
#include "mmu/machine.h"
#include "mmu/walk.h"

#include <stdio.h>
#include <time.h>

enum {
    PROBES = 1000000, /* of the whole case */
    WORLD_PROBES = 1250,
    WORLD_STORES = 256,
    LEVEL_1_TABLES = 4,
    LEVEL_2_TABLES = 8,
    LEVEL_3_TABLES = 16,
    TABLES = 2 + LEVEL_1_TABLES + LEVEL_2_TABLES + LEVEL_3_TABLES,
    ENTRIES = 512,
    TABLE_BYTES = 4096,
    SVC = 0xd4000001, /* #0 */
    DEVICE_ATTRIBUTE = 2
};

#define WORLD_BASE(parity) (MMU_TEST_BASE + TABLE_BYTES + (uint64_t)(parity)*TABLES * TABLE_BYTES)
#define PAGES_BASE         UINT64_C(0x42000000)
#define PAGES_BYTES        UINT64_C(0x02000000)
#define ADDRESS_MASK       UINT64_C(0x0000fffffffff000)

struct probe {
    enum mmu_operation operation;
    uint64_t address, value;
    struct walk walk;
    uint32_t ticket;
};

struct world {
    uint32_t number;
    bool takes_giant_blocks;
    uint64_t tables[4][LEVEL_3_TABLES]; /* physical, by level; two roots: low, high */
    uint32_t stores;
    struct probe probes[WORLD_PROBES];
};

struct tally {
    uint64_t translated[4], faults[4][4]; /* by level; by class and level */
    uint64_t operations[MMU_OPERATIONS];
};

/* The pages. */

static bool is_page(uint64_t physical) {
    return physical >= PAGES_BASE && physical - PAGES_BASE < PAGES_BYTES;
}

static uint32_t page_number(uint64_t physical) {
    return (uint32_t)((physical - PAGES_BASE) / 4096);
}

static uint32_t page_word(uint64_t physical) {
    return SVC | page_number(physical) << 5;
}

static void fill_pages(void) {
    for (uint64_t at = PAGES_BASE; at < PAGES_BASE + PAGES_BYTES; at += 4096) {
        uint64_t *words = machine_memory(at);
        for (uint32_t i = 0; i < 512; i++)
            words[i] = page_word(at);
    }
}

/* Tables. */

static const uint32_t tables_at[4] = {2, LEVEL_1_TABLES, LEVEL_2_TABLES, LEVEL_3_TABLES};

static uint64_t random_table_entry(struct test_random *random, const struct world *world,
                                   uint32_t level) {
    uint64_t noise = test_random_u64(random);
    uint64_t entry = world->tables[level + 1][test_random_below(random, tables_at[level + 1])];
    entry |= (noise & UINT64_C(0x87f8000000000ffc)) | 3; /* all that is ignored, NSTable too */
    for (uint32_t bit = 59; bit <= 62; bit++)            /* PXNTable, UXNTable, APTable */
        entry |= (uint64_t)test_random_chance(random, 12) << bit;
    uint32_t pa_bits = machine_mailbox()->pa_bits;
    if (pa_bits < 48 && test_random_chance(random, 3))
        entry |= UINT64_C(1) << (pa_bits + test_random_below(random, 48 - pa_bits));
    return entry;
}

/* Where a leaf leads: into the pages, or with a chance of 10 % anywhere. */
static uint64_t random_output(struct test_random *random, uint32_t level) {
    uint64_t bytes = UINT64_C(4096) << 9 * (3 - level);
    if (test_random_chance(random, 10))
        return test_random_u64(random) & ADDRESS_MASK & ~(bytes - 1);
    return (PAGES_BASE + test_random_below(random, PAGES_BYTES)) & ~(bytes - 1);
}

static uint64_t random_leaf(struct test_random *random, uint32_t level) {
    uint64_t noise = test_random_u64(random);
    /* AttrIndx, NS, AP, nG; the dirty bit modifier, software's, and what is ignored. */
    uint64_t entry = (noise & UINT64_C(0xff880000000008fc)) | (level == 3 ? 3 : 1);
    static const uint32_t shareabilities[] = {0, 2, 3}; /* 1 is reserved */
    entry |= (uint64_t)shareabilities[test_random_below(random, 3)] << 8;
    entry |= (uint64_t)test_random_chance(random, 90) << 10; /* AF */
    entry |= (uint64_t)test_random_chance(random, 30) << 53; /* PXN */
    entry &= ~(UINT64_C(1) << 54);
    entry |= (uint64_t)test_random_chance(random, 30) << 54; /* UXN */
    return entry | random_output(random, level);
}

static uint64_t random_entry(struct test_random *random, const struct world *world,
                             uint32_t level) {
    static const uint32_t tables_percent[4] = {88, 65, 65, 0}, leaves_percent[4] = {0, 25, 25, 85};
    uint64_t kind = test_random_below(random, 100);
    if (kind < tables_percent[level])
        return random_table_entry(random, world, level);
    if (kind - tables_percent[level] < leaves_percent[level])
        return random_leaf(random, level);
    uint64_t noise = test_random_u64(random);
    bool reserved = ((level == 0 && !world->takes_giant_blocks) || level == 3) &&
                    test_random_chance(random, 50);
    return reserved ? (noise & ~UINT64_C(3)) | 1 : noise & ~UINT64_C(1);
}

static void build(struct test_random *random, struct world *world) {
    uint64_t at = WORLD_BASE(world->number % 2);
    for (uint32_t level = 0; level < 4; level++) {
        for (uint32_t i = 0; i < tables_at[level]; i++, at += TABLE_BYTES)
            world->tables[level][i] = at;
    }
    for (uint32_t level = 0; level < 4; level++) {
        for (uint32_t i = 0; i < tables_at[level]; i++) {
            uint64_t *table = machine_memory(world->tables[level][i]);
            for (uint32_t entry = 0; entry < ENTRIES; entry++)
                table[entry] = random_entry(random, world, level);
        }
    }
    uint64_t *high = machine_memory(world->tables[0][1]);
    high[MMU_STUB_INDEX] = machine_mailbox()->stub_entry;
    world->stores = 0;
}

/* Questions. */

static struct walk walk_in(const struct world *world, uint64_t address) {
    return walk(world->tables[0][0], world->tables[0][1], address, machine_mailbox()->pa_bits,
                machine_memory);
}

static uint64_t random_address(struct test_random *random) {
    uint64_t address = test_random_u64(random) & ((UINT64_C(1) << 48) - 1);
    for (uint32_t shift = 12; shift < 48; shift += 9) { /* the ends of tables more often */
        if (test_random_chance(random, 5))
            address &= ~(UINT64_C(511) << shift);
        else if (test_random_chance(random, 5))
            address |= UINT64_C(511) << shift;
    }
    if (test_random_chance(random, 3))
        return address | test_random_u64(random) << 48;
    return test_random_chance(random, 50) ? address : address | UINT64_C(0xffff) << 48;
}

static bool is_store(enum mmu_operation operation) {
    return operation == MMU_USER_STORE || operation == MMU_KERNEL_STORE;
}

static bool is_fetch(enum mmu_operation operation) {
    return operation == MMU_USER_FETCH || operation == MMU_KERNEL_FETCH;
}

static bool is_at(enum mmu_operation operation) {
    return operation >= MMU_AT_USER_READ && operation <= MMU_AT_KERNEL_WRITE;
}

/* Large blocks hardly ever lead into the pages by chance; such an address does. */
static uint64_t into_the_pages(struct test_random *random, uint64_t address,
                               const struct walk *walk) {
    uint64_t inside = (UINT64_C(4096) << 9 * (3 - walk->level)) - 1;
    uint64_t wanted = PAGES_BASE + test_random_below(random, PAGES_BYTES);
    if (walk->fault != WALK_FAULT_NONE || (walk->physical & ~inside) != (wanted & ~inside))
        return address;
    return (address & ~inside) | (wanted & inside);
}

static void choose(struct test_random *random, struct world *world, struct probe *probe) {
    uint64_t address = random_address(random);
    struct walk first = walk_in(world, address);
    address = into_the_pages(random, address, &first) & ~UINT64_C(7);
    probe->operation = (enum mmu_operation)(
        MMU_AT_USER_READ + test_random_below(random, MMU_OPERATIONS - MMU_AT_USER_READ));
    if (is_store(probe->operation) && world->stores == WORLD_STORES)
        probe->operation = MMU_AT_USER_WRITE;
    if (is_store(probe->operation)) {
        uint32_t slot = world->stores++ * 2 + world->number % 2;
        address = (address & ~UINT64_C(4095)) | (slot * 8 + 4);
    }
    probe->value = (uint64_t)(world->number + 1) << 8 | (world->stores & 255);
    probe->address = address;
    probe->walk = walk_in(world, address);
    bool reaches = probe->walk.fault == WALK_FAULT_NONE;
    /* What would touch other memory, or fetch from a device (which may do anything). */
    if (!is_at(probe->operation) && reaches &&
        (!is_page(probe->walk.physical) ||
         (is_fetch(probe->operation) && probe->walk.attribute == DEVICE_ATTRIBUTE)))
        probe->operation = MMU_AT_USER_READ;
}

static void ask(struct test_random *random, struct world *world) {
    uint64_t asid = test_random_u64(random) << 48;
    machine_ask(MMU_INSTALL_LOW, world->tables[0][0] | asid, 0);
    CHECK_EQ(machine_tell(MMU_INSTALL_HIGH, world->tables[0][1], 0).syndrome, 0);
    machine_ask(MMU_TLBI_ALL, 0, 0);
    for (uint32_t i = 0; i < WORLD_PROBES; i++) {
        struct probe *probe = &world->probes[i];
        choose(random, world, probe);
        probe->ticket = machine_ask(probe->operation, probe->address, probe->value);
    }
}

/* Answers. */

/* The fault that the walk and the rights of `probe` lead to. */
static enum walk_fault expected_fault(const struct probe *probe) {
    const struct walk *walk = &probe->walk;
    if (walk->fault != WALK_FAULT_NONE)
        return walk->fault;
    bool may = false;
    switch (probe->operation) {
    case MMU_AT_USER_READ:
    case MMU_USER_LOAD:
        may = walk->may_read[WALK_USER];
        break;
    case MMU_AT_USER_WRITE:
    case MMU_USER_STORE:
        may = walk->may_write[WALK_USER];
        break;
    case MMU_AT_KERNEL_READ:
    case MMU_KERNEL_LOAD:
        may = walk->may_read[WALK_KERNEL];
        break;
    case MMU_AT_KERNEL_WRITE:
    case MMU_KERNEL_STORE:
        may = walk->may_write[WALK_KERNEL];
        break;
    case MMU_USER_FETCH:
        may = walk->may_execute[WALK_USER];
        break;
    case MMU_KERNEL_FETCH:
        may = walk->may_execute[WALK_KERNEL];
        break;
    default:
        break;
    }
    return may ? WALK_FAULT_NONE : WALK_FAULT_PERMISSION;
}

/* PAR_EL1 of a walk that succeeded. What is not cacheable may be said to be outer shareable instead
 * of what its entry says (D17.2.100): there that field is not looked at. */
static bool right_translation(const struct walk *walk, uint64_t par) {
    uint32_t attribute = (uint32_t)(MMU_MAIR >> 8 * walk->attribute & 0xff);
    bool cacheable = attribute != 0x04 && attribute != 0x44;
    return (par & 1) == 0 && (par & ADDRESS_MASK) == (walk->physical & ADDRESS_MASK) &&
           par >> 56 == attribute && (!cacheable || (par >> 7 & 3) == walk->shareability);
}

static bool right_at(const struct probe *probe, enum walk_fault fault,
                     const struct mmu_answer *answer) {
    if (fault == WALK_FAULT_NONE)
        return right_translation(&probe->walk, answer->value);
    return (answer->value & 1) == 1 && (answer->value >> 1 & 63) == fault + probe->walk.level;
}

static bool right_success(const struct probe *probe, const struct mmu_answer *answer) {
    uint64_t physical = probe->walk.physical;
    if (is_fetch(probe->operation))
        return ESR_CLASS(answer->syndrome) == ESR_SVC &&
               (answer->syndrome & 0xffff) == page_number(physical);
    if (answer->syndrome != 0)
        return false;
    if (is_store(probe->operation))
        return *(const uint32_t *)machine_memory(physical) == probe->value;
    return answer->value == page_word(physical);
}

static bool right_exception(const struct probe *probe, enum walk_fault fault,
                            const struct mmu_answer *answer) {
    uint32_t class = probe->operation == MMU_USER_FETCH     ? ESR_FETCH_USER
                     : probe->operation == MMU_KERNEL_FETCH ? ESR_FETCH_KERNEL
                                                            : ESR_DATA_KERNEL;
    bool stored = fault == WALK_FAULT_PERMISSION && is_store(probe->operation) &&
                  is_page(probe->walk.physical) &&
                  *(const uint32_t *)machine_memory(probe->walk.physical) == probe->value;
    return ESR_CLASS(answer->syndrome) == class &&
           ESR_FAULT_STATUS(answer->syndrome) == fault + probe->walk.level &&
           ((answer->syndrome & ESR_WRITE) != 0) == is_store(probe->operation) &&
           answer->far == probe->address && !stored;
}

static void judge(const struct world *world, const struct probe *probe, struct tally *tally) {
    struct mmu_answer answer = machine_answer(probe->ticket);
    enum walk_fault fault = expected_fault(probe);
    const struct walk *walk = &probe->walk;
    bool right = is_at(probe->operation)    ? right_at(probe, fault, &answer)
                 : fault == WALK_FAULT_NONE ? right_success(probe, &answer)
                                            : right_exception(probe, fault, &answer);
    if (!right)
        test_fail(
            __FILE__, __LINE__,
            "world %u: operation %d at 0x%llx: value 0x%llx, syndrome 0x%llx, far 0x%llx; by "
            "the walk: fault status 0x%x at level %u, physical 0x%llx; descriptors 0x%llx "
            "0x%llx 0x%llx 0x%llx",
            world->number, (int)probe->operation, (unsigned long long)probe->address,
            (unsigned long long)answer.value, (unsigned long long)answer.syndrome,
            (unsigned long long)answer.far, fault, walk->level, (unsigned long long)walk->physical,
            (unsigned long long)walk->descriptors[0], (unsigned long long)walk->descriptors[1],
            (unsigned long long)walk->descriptors[2], (unsigned long long)walk->descriptors[3]);
    tally->operations[probe->operation]++;
    if (fault == WALK_FAULT_NONE)
        tally->translated[walk->level]++;
    else
        tally->faults[fault / 4][walk->level]++;
}

static void judge_all(const struct world *world, struct tally *tally) {
    machine_wait_for(world->probes[WORLD_PROBES - 1].ticket);
    for (uint32_t i = 0; i < WORLD_PROBES; i++)
        judge(world, &world->probes[i], tally);
}

/* What was asked was worth asking. */
static void check_tally(const struct tally *tally) {
    for (uint32_t level = 1; level < 4; level++) {
        CHECK(tally->translated[level] > PROBES / 1000);
        CHECK(tally->faults[WALK_FAULT_ACCESS_FLAG / 4][level] > PROBES / 1000);
        CHECK(tally->faults[WALK_FAULT_PERMISSION / 4][level] > PROBES / 1000);
    }
    for (uint32_t level = 0; level < 4; level++) {
        CHECK(tally->faults[WALK_FAULT_TRANSLATION / 4][level] > PROBES / 1000);
        if (machine_mailbox()->pa_bits < 48)
            CHECK(tally->faults[WALK_FAULT_SIZE / 4][level] > PROBES / 1000);
    }
    for (uint32_t operation = MMU_AT_USER_READ; operation < MMU_OPERATIONS; operation++)
        CHECK(tally->operations[operation] > PROBES / 50);
}

static void print_tally(const struct tally *tally, double seconds) {
    static const char *const names[] = {"address size", "translation", "access flag", "permission"};
    printf("# %d probes, %.0f ns each; translated at levels 1, 2, 3: %llu %llu %llu\n", PROBES,
           seconds * 1e9 / PROBES, (unsigned long long)tally->translated[1],
           (unsigned long long)tally->translated[2], (unsigned long long)tally->translated[3]);
    for (uint32_t class = 0; class < 4; class ++)
        printf("# %s faults at levels 0, 1, 2, 3: %llu %llu %llu %llu\n", names[class],
               (unsigned long long)tally->faults[class][0],
               (unsigned long long)tally->faults[class][1],
               (unsigned long long)tally->faults[class][2],
               (unsigned long long)tally->faults[class][3]);
}

/* QEMU before 8.0 takes an entry of level 0 with bit 1 clear for a block of 512 GiB; by the
 * architecture there is none, and the entry leads to a translation fault (D8.3). */
static bool takes_giant_blocks(void) {
    enum { BLOCK = 0x401, GIANT_SHIFT = 39 };
    uint64_t *root = machine_memory(WORLD_BASE(0));
    memset(root, 0, TABLE_BYTES);
    root[1] = BLOCK;
    machine_ask(MMU_INSTALL_LOW, WORLD_BASE(0), 0);
    machine_ask(MMU_TLBI_ALL, 0, 0);
    uint64_t par = machine_tell(MMU_AT_KERNEL_READ, UINT64_C(1) << GIANT_SHIFT, 0).value;
    if ((par & 1) != 0)
        return false;
    printf("# this QEMU takes level 0's reserved encoding for a block: that one is not asked\n");
    return true;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

TEST_CASE(mmu, random_tables_as_the_architecture_says) {
    struct test_random random = test_random_from(test_seed());
    struct world *worlds = test_alloc(2 * sizeof(*worlds), 8);
    struct tally tally = {.translated = {0}};
    machine_begin();
    fill_pages();
    worlds[0].takes_giant_blocks = worlds[1].takes_giant_blocks = takes_giant_blocks();
    double began = now_s();
    for (uint32_t number = 0; number < PROBES / WORLD_PROBES; number++) {
        struct world *world = &worlds[number % 2];
        world->number = number;
        build(&random, world);
        ask(&random, world);
        if (number > 0)
            judge_all(&worlds[(number - 1) % 2], &tally);
    }
    judge_all(&worlds[(PROBES / WORLD_PROBES - 1) % 2], &tally);
    print_tally(&tally, now_s() - began);
    check_tally(&tally);
}
