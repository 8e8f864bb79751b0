/* SPDX-License-Identifier: MIT */
/* What each format's entries mean, over all rights, levels and marks; and to the CPU, by the bits
 * of its manual. */
#include "harness/test.h"
#include "vm/format_view.h"

static const struct format_view *const views[FORMAT_VIEWS] = {
    &view_vmsa4k, &view_sv39, &view_sv48, &view_x86_64, &view_toy, &view_toy_flat};

/* Of an entry that is valid to the CPU: bits that its manual, or software, gives a meaning there.
 * Of the toys all bits are. */
struct bits {
    uint64_t table, page, block;
};

#define BIT(n)       (UINT64_C(1) << (n))
#define BITS(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & ~(BIT(lo) - 1))

static struct bits bits_of(const struct format_view *view) {
    if (view == &view_vmsa4k) /* Arm ARM D8.3.1, D8.3.2 */
        return (struct bits){
            .table = BITS(63, 59) | BITS(58, 51) | BITS(47, 12) | 3,
            .page = BITS(58, 50) | BITS(47, 12) | BITS(11, 2) | 3,
            .block = BITS(58, 50) | BITS(47, 12) | BITS(11, 2) | 1,
        };
    if (view == &view_sv39 || view == &view_sv48) /* RISC-V Privileged 4.4.1: D, A, U of tables */
        return (struct bits){
            .table = BITS(53, 8) | 1,
            .page = BITS(62, 61) | BITS(53, 0),
            .block = BITS(62, 61) | BITS(53, 0),
        };
    if (view == &view_x86_64) /* SDM 3, tables 4-15 to 4-20; 59 to 62 are protection keys */
        return (struct bits){
            .table = BITS(58, 12) | BITS(11, 8) | BITS(5, 0),
            .page = BIT(63) | BITS(58, 12) | BITS(11, 8) | BITS(6, 0),
            .block = BIT(63) | BITS(58, 12) | BITS(11, 0),
        };
    return (struct bits){UINT64_MAX, UINT64_MAX, UINT64_MAX};
}

static bool cpu_sees(const struct format_view *view, uint64_t entry) {
    (void)view;
    return (entry & 1) != 0; /* bit 0 is "valid" in all of them */
}

static bool cpu_writes(const struct format_view *view, uint64_t entry) {
    if (view == &view_vmsa4k)
        return (entry & BIT(7)) == 0; /* AP[2] */
    if (view == &view_x86_64)
        return (entry & BIT(1)) != 0;
    if (view == &view_sv39 || view == &view_sv48)
        return (entry & BIT(2)) != 0;
    return view->is_writable(entry);
}

/* As the kernel, or as a program. */
static bool cpu_executes(const struct format_view *view, uint64_t entry, bool user) {
    if (view == &view_vmsa4k)
        return (entry & (user ? BIT(54) : BIT(53))) == 0;
    if (view == &view_x86_64)
        return (entry & BIT(63)) == 0 && (!user || (entry & BIT(2)) != 0);
    if (view == &view_sv39 || view == &view_sv48)
        return (entry & BIT(3)) != 0 && ((entry & BIT(4)) != 0) == user;
    uint32_t rights = view->rights(entry);
    return (rights & ASH_VM_EXECUTE) != 0 && ((rights & ASH_VM_USER) != 0) == user;
}

static bool cpu_reads(const struct format_view *view, uint64_t entry, bool user) {
    if (!cpu_sees(view, entry))
        return false;
    if (view == &view_vmsa4k)
        return !user || (entry & BIT(6)) != 0; /* AP[1] */
    if (view == &view_x86_64)
        return !user || (entry & BIT(2)) != 0;
    if (view == &view_sv39 || view == &view_sv48)
        return (entry & BIT(1)) != 0 && (!user || (entry & BIT(4)) != 0);
    uint32_t rights = view->rights(entry);
    return (rights & ASH_VM_READ) != 0 && (!user || (rights & ASH_VM_USER) != 0);
}

/* What map and protect let through: no write or execution without reading, no DEVICE executed. */
static bool is_sane(uint32_t rights) {
    if ((rights & ASH_VM_READ) == 0 && (rights & (ASH_VM_WRITE | ASH_VM_EXECUTE)) != 0)
        return false;
    return (rights & ASH_VM_DEVICE) == 0 || (rights & ASH_VM_EXECUTE) == 0;
}

#define RIGHTS_END 128u

static uint32_t expected(uint32_t rights) {
    return rights | ((rights & ASH_VM_DEVICE) != 0 ? ASH_VM_SHARED : 0);
}

/* body for each format, level with leaves, sane rights and an address at both ends of what the
 * format can hold, aligned to the level. */
static void each_leaf(void (*body)(const struct format_view *view, uint64_t leaf, uint32_t level,
                                   uint32_t rights)) {
    for (uint32_t i = 0; i < FORMAT_VIEWS; i++) {
        const struct format_view *view = views[i];
        for (uint32_t level = 0; level <= view->leaf_top; level++) {
            uint64_t size = BIT(view->page_shift + view->bits * level);
            for (uint32_t rights = 0; rights < RIGHTS_END; rights++) {
                if (!is_sane(rights))
                    continue;
                body(view, view->leaf(0, level, rights), level, rights);
                body(view, view->leaf(BIT(48) - size, level, rights), level, rights);
            }
        }
    }
}

static void check_leaf(const struct format_view *view, uint64_t leaf, uint32_t level,
                       uint32_t rights) {
    bool is_private = (expected(rights) & ASH_VM_SHARED) == 0;
    bool user = (rights & ASH_VM_USER) != 0;
    CHECK(view->is_valid(leaf) && !view->is_table(leaf, level));
    CHECK_EQ(view->rights(leaf), expected(rights));
    CHECK(!view->is_writable(leaf) && !cpu_writes(view, leaf));
    CHECK(view->is_accessed(leaf) && !view->is_pinned(leaf));
    CHECK_EQ(cpu_reads(view, leaf, user), (rights & ASH_VM_READ) != 0);
    if (!user)
        CHECK(!cpu_reads(view, leaf, true));
    if (cpu_sees(view, leaf)) {
        CHECK_EQ(cpu_executes(view, leaf, user), (rights & ASH_VM_EXECUTE) != 0);
        if (view != &view_x86_64) /* SMEP's, there */
            CHECK(!cpu_executes(view, leaf, !user));
    }
    if ((rights & ASH_VM_WRITE) != 0 || !is_private)
        CHECK(!view->is_dirty(leaf));
}

TEST_CASE(vm_format, a_new_leaf_has_its_rights_and_is_not_writable) {
    each_leaf(check_leaf);
}

static void check_address(const struct format_view *view, uint64_t leaf, uint32_t level,
                          uint32_t rights) {
    const ash_paddr_t top = BIT(48) - BIT(view->page_shift + view->bits * level);
    CHECK(view->address(leaf) == 0 || view->address(leaf) == top);
    CHECK_EQ(view->address(view->break_(leaf)), view->address(leaf));
    CHECK_EQ(view->address(view->leaf(top, level, rights)), top);
}

TEST_CASE(vm_format, a_leaf_keeps_its_address) {
    each_leaf(check_address);
}

/* All that can be done to a leaf, in all orders of up to three steps. */
static uint64_t stepped(const struct format_view *view, uint64_t leaf, uint32_t level,
                        uint32_t step) {
    uint32_t rights = view->rights(leaf);
    bool may_write = (rights & ASH_VM_WRITE) != 0;
    switch (step) {
    case 0:
        return may_write ? view->write_enable(leaf) : leaf;
    case 1:
        return view->is_pinned(leaf) ? leaf : view->write_protect(leaf);
    case 2:
        return (rights & ASH_VM_SHARED) == 0 ? view->pin(leaf, true) : leaf;
    case 3:
        return (rights & ASH_VM_SHARED) == 0 ? view->pin(leaf, false) : leaf;
    case 4:
        return view->note_accessed(leaf, false);
    case 5:
        return view->note_accessed(leaf, true);
    case 6:
        return view->is_writable(leaf) ? leaf : view->note_clean(leaf);
    case 7:
        return view->change(leaf, level, rights & ~ASH_VM_WRITE);
    case 8:
        return view->change(leaf, level, 0);
    case 9:
        return view->change(leaf, level, (rights & ~ASH_VM_EXECUTE) | ASH_VM_READ | ASH_VM_WRITE);
    default:
        return view->make(view->break_(leaf));
    }
}
#define STEPS 11u

/* The step left alone what it is not about. */
static void check_step(const struct format_view *view, uint64_t old, uint64_t new, uint32_t level,
                       uint32_t step) {
    bool may_write = (view->rights(new) & ASH_VM_WRITE) != 0;
    bool is_private = (view->rights(new) & ASH_VM_SHARED) == 0;
    struct bits bits = bits_of(view);
    CHECK(view->is_valid(new) && !view->is_table(new, level));
    CHECK_EQ(view->address(new), view->address(old));
    if (step < 7 || step == 10)
        CHECK_EQ(view->rights(new), view->rights(old));
    if (step == 8)
        CHECK(!cpu_reads(view, new, true) && !cpu_reads(view, new, false));
    if (step != 2 && step != 3)
        CHECK_EQ(view->is_pinned(new), view->is_pinned(old));
    if (step == 2 && is_private)
        CHECK(view->is_pinned(new));
    if (step == 3)
        CHECK(!view->is_pinned(new));
    CHECK_EQ(view->is_writable(new), cpu_writes(view, new));
    CHECK(!view->is_writable(new) || may_write); /* I4 */
    CHECK(!view->is_writable(new) || view->is_dirty(new));
    if (view->is_pinned(new))
        CHECK_EQ(view->is_writable(new), may_write);
    if (view->is_dirty(old) && step != 6)
        CHECK(view->is_dirty(new));
    if (view->is_accessed(old) && step != 4)
        CHECK(view->is_accessed(new));
    if (step == 6 && !view->is_writable(new) && may_write)
        CHECK(!view->is_dirty(new));
    if (cpu_sees(view, new))
        CHECK_EQ(new & ~(level == 0 ? bits.page : bits.block), 0);
    uint64_t broken = view->break_(new);
    CHECK(broken != 0 && !view->is_valid(broken) && !cpu_sees(view, broken));
    CHECK(view->make(broken) == new);
}

static void check_steps(const struct format_view *view, uint64_t leaf, uint32_t level,
                        uint32_t rights) {
    const uint32_t steps = level == 0 && view->address(leaf) == 0 ? 3 : 2;
    (void)rights;
    for (uint32_t order = 0; order < (steps == 3 ? STEPS * STEPS * STEPS : STEPS * STEPS);
         order++) {
        uint64_t old = leaf;
        uint32_t rest = order;
        for (uint32_t i = 0; i < steps; i++, rest /= STEPS) {
            uint64_t new = stepped(view, old, level, rest % STEPS);
            check_step(view, old, new, level, rest % STEPS);
            old = new;
        }
    }
}

TEST_CASE(vm_format, each_step_of_a_leaf_changes_what_it_is_about_and_no_reserved_bit) {
    each_leaf(check_steps);
}

TEST_CASE(vm_format, write_enabled_is_writable_to_the_cpu_and_write_protected_is_not) {
    for (uint32_t i = 0; i < FORMAT_VIEWS; i++) {
        const struct format_view *view = views[i];
        uint64_t leaf = view->leaf(0x5000, 0, ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER);
        uint64_t writable = view->write_enable(view->note_accessed(leaf, false));
        CHECK(view->is_writable(writable) && cpu_writes(view, writable));
        CHECK(view->is_dirty(writable) && view->is_accessed(writable));
        uint64_t protected = view->write_protect(writable);
        CHECK(!view->is_writable(protected) && !cpu_writes(view, protected));
        CHECK(view->is_dirty(protected) && view->rights(protected) == view->rights(leaf));
        CHECK(!view->is_dirty(view->note_clean(protected)));
    }
}

TEST_CASE(vm_format, an_empty_entry_is_neither_valid_nor_a_table_nor_a_broken_one) {
    for (uint32_t i = 0; i < FORMAT_VIEWS; i++) {
        for (uint32_t level = 0; level < views[i]->levels; level++)
            CHECK(!views[i]->is_valid(0) && !views[i]->is_table(0, level));
    }
}

/* All marks of a table's entry, in both orders. */
static void check_table(const struct format_view *view, ash_paddr_t address) {
    uint64_t table = view->table(address);
    struct bits bits = bits_of(view);
    CHECK(!view->table_is_protected(table) && !view->table_has_pins(table));
    for (uint32_t marks = 0; marks < 8; marks++) {
        uint64_t entry = (marks & 1) != 0 ? view->table_note_pins(table, true) : table;
        entry = (marks & 2) != 0 ? view->table_protect(entry) : entry;
        entry = (marks & 4) != 0 ? view->table_note_pins(entry, (marks & 1) != 0) : entry;
        CHECK_EQ(view->table_has_pins(entry), (marks & 1) != 0);
        CHECK_EQ(view->table_is_protected(entry), (marks & 2) != 0);
        CHECK_EQ(view->address(entry), address);
        CHECK_EQ(entry & ~bits.table, 0);
        CHECK(view->table_protect(entry) == view->table_protect(view->table_protect(entry)));
        CHECK(view->is_valid(entry) && !view->is_table(entry, 0));
        for (uint32_t level = 1; level < view->levels; level++)
            CHECK(view->is_table(entry, level));
        uint64_t broken = view->break_(entry);
        CHECK(broken != 0 && !view->is_valid(broken) && !cpu_sees(view, broken));
        CHECK(!view->is_table(broken, 1) && view->make(broken) == entry);
        CHECK_EQ(view->address(broken), address);
        CHECK(view->table_unprotect(view->table_note_pins(entry, false)) == table);
    }
}

TEST_CASE(vm_format, a_tables_entry_has_its_marks_and_no_reserved_bit) {
    for (uint32_t i = 0; i < FORMAT_VIEWS; i++) {
        check_table(views[i], 0);
        check_table(views[i], 0x1000);
        check_table(views[i], BIT(48) - 0x1000);
    }
}

TEST_CASE(vm_format, a_protected_table_takes_write_permission_in_the_cpus_own_way) {
    CHECK_EQ(view_vmsa4k.table_protect(view_vmsa4k.table(0x1000)), BIT(62) | 0x1003);
    CHECK_EQ(view_x86_64.table_protect(view_x86_64.table(0x1000)) & 3, 1);
    CHECK_EQ(view_x86_64.table(0x1000) & 7, 7);
    CHECK(view_vmsa4k.protects_below && view_x86_64.protects_below && view_toy.protects_below);
    CHECK(!view_sv39.protects_below && !view_sv48.protects_below && !view_toy_flat.protects_below);
}

TEST_CASE(vm_format, known_leaves_are_as_the_manuals_have_them) {
    const uint32_t code = ASH_VM_READ | ASH_VM_EXECUTE | ASH_VM_USER;
    const uint32_t data = ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER;
    /* AF, nG, inner shareable, attribute 1, AP = 11, PXN; a page is 3, a block 1. */
    CHECK_EQ(view_vmsa4k.leaf(0x80000000, 0, code), BIT(53) | 0x80000000 | 0xfc7);
    CHECK_EQ(view_vmsa4k.leaf(0x80000000, 1, code), BIT(53) | 0x80000000 | 0xfc5);
    /* Also UXN, software's WRITE and DIRTY; AP = 01. */
    CHECK_EQ(view_vmsa4k.write_enable(view_vmsa4k.leaf(0x80000000, 0, data)),
             BIT(58) | BIT(55) | BIT(54) | BIT(53) | 0x80000000 | 0xf47);
    /* PPN, A, U, X, R, V. */
    CHECK_EQ(view_sv39.leaf(0x80000000, 0, code), 0x20000000 | 0x5b);
    /* D, A, U, W, R, V; RSW 1. */
    CHECK_EQ(view_sv48.write_enable(view_sv48.leaf(0x80000000, 2, data)), 0x20000000 | 0x1d7);
    CHECK_EQ(view_sv39.table(0x80000000), 0x20000000 | 1);
    /* A, U/S, P; PS in a block. */
    CHECK_EQ(view_x86_64.leaf(0x80000000, 0, code), BIT(52) | 0x80000000 | 0x25);
    CHECK_EQ(view_x86_64.leaf(0x80000000, 1, code), BIT(52) | 0x80000000 | 0xa5);
    CHECK_EQ(view_x86_64.write_enable(view_x86_64.leaf(0x80000000, 1, data)),
             BIT(63) | BIT(52) | 0x80000000 | BIT(9) | 0xe7);
}
