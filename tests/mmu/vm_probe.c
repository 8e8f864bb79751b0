/* SPDX-License-Identifier: MIT */
/* vm_probe.c: see vm_rig.h. What the CPU does, what the tables say, what is in memory. */
#include "mmu/vm_rig.h"

#include "mmu/machine.h"
#include "mmu/walk.h"

/* What is asked about a page. */
struct question {
    enum mmu_operation operation;
    uint32_t page, value, ticket;
};

enum { KINDS = 10, QUESTIONS_MAX = RIG_HOT * KINDS };

static uint32_t access_of(enum mmu_operation operation) {
    switch (operation) {
    case MMU_AT_USER_READ:
    case MMU_USER_LOAD:
        return ASH_VM_READ | ASH_VM_USER;
    case MMU_AT_USER_WRITE:
    case MMU_USER_STORE:
        return ASH_VM_WRITE | ASH_VM_USER;
    case MMU_USER_FETCH:
        return ASH_VM_EXECUTE | ASH_VM_USER;
    case MMU_AT_KERNEL_READ:
    case MMU_KERNEL_LOAD:
        return ASH_VM_READ;
    case MMU_AT_KERNEL_WRITE:
    case MMU_KERNEL_STORE:
        return ASH_VM_WRITE;
    default:
        return ASH_VM_EXECUTE;
    }
}

static bool is_at(enum mmu_operation operation) {
    return operation >= MMU_AT_USER_READ && operation <= MMU_AT_KERNEL_WRITE;
}

/* The kernel executes nothing of a program's. */
static bool is_allowed(uint32_t rights, uint32_t access) {
    if ((access & ASH_VM_USER) == 0 && (access & ASH_VM_EXECUTE) != 0 &&
        (rights & ASH_VM_USER) != 0)
        return false;
    return rights != 0 && (access & ~rights) == 0;
}

uint32_t *rig_value(struct rig *rig, struct rig_page *page) {
    return (page->rights & ASH_VM_SHARED) != 0 ? &rig->shared_values[rig_frame_index(page->frame)]
                                               : &page->value;
}

uint32_t rig_new_value(struct rig *rig) {
    do
        rig->next_value = (rig->next_value + 1) & 0xffff;
    while (rig->next_value == 0 || rig->next_value == RIG_POISON);
    return rig->next_value;
}

/* One answer. */

static bool has_succeeded(const struct question *question, const struct mmu_answer *answer) {
    if (is_at(question->operation))
        return (answer->value & 1) == 0;
    if (question->operation == MMU_USER_FETCH || question->operation == MMU_KERNEL_FETCH)
        return ESR_CLASS(answer->syndrome) == ESR_UNKNOWN;
    return answer->syndrome == 0;
}

static uint32_t fault_status(const struct question *question, const struct mmu_answer *answer) {
    return is_at(question->operation) ? (uint32_t)(answer->value >> 1 & 63)
                                      : ESR_FAULT_STATUS(answer->syndrome);
}

/* The kind of fault that a page as the model has it can give. */
static bool is_plausible_fault(const struct rig *rig, const struct rig_page *page,
                               uint32_t status) {
    uint32_t class = status & ~3u;
    if (page->rights == 0)
        return class == WALK_FAULT_TRANSLATION;
    return class == WALK_FAULT_PERMISSION || (rig->has_aged && class == WALK_FAULT_ACCESS_FLAG);
}

static bool check_success(struct rig *rig, struct rig_page *page, const struct question *question,
                          const struct mmu_answer *answer) {
    const struct rig_space *space = rig->installed;
    ash_vaddr_t va = rig_address(rig, question->page);
    if (is_at(question->operation)) {
        ash_paddr_t physical = 0;
        int result = ash_vm_translate(&space->space, va, ASH_VM_READ, &physical);
        return rig_is_right(rig,
                            result == 0 && (answer->value & UINT64_C(0xfffffffff000)) == physical,
                            "0x%llx: the MMU translates it (PAR 0x%llx), the library says %d, "
                            "0x%llx",
                            (unsigned long long)va, (unsigned long long)answer->value, result,
                            (unsigned long long)physical);
    }
    if (question->operation == MMU_USER_STORE || question->operation == MMU_KERNEL_STORE)
        *rig_value(rig, page) = question->value;
    if (question->operation != MMU_USER_LOAD && question->operation != MMU_KERNEL_LOAD)
        return true;
    return rig_is_right(rig, answer->value == *rig_value(rig, page),
                        "0x%llx: the CPU reads 0x%llx, the model has 0x%x (rights 0x%x)",
                        (unsigned long long)va, (unsigned long long)answer->value,
                        *rig_value(rig, page), page->rights);
}

/* AT against the walk of the architecture, whatever the model says. */
static bool check_walk(struct rig *rig, const struct question *question,
                       const struct mmu_answer *answer) {
    uint64_t root = rig->installed->space.root;
    uint64_t va = rig_address(rig, question->page);
    struct walk way = walk(root, root, va, machine_mailbox()->pa_bits, machine_memory);
    uint32_t access = access_of(question->operation);
    uint32_t who = (access & ASH_VM_USER) != 0 ? WALK_USER : WALK_KERNEL;
    bool may = (access & ASH_VM_WRITE) != 0 ? way.may_write[who] : way.may_read[who];
    uint32_t fault = way.fault != WALK_FAULT_NONE ? way.fault : WALK_FAULT_PERMISSION;
    bool agrees =
        way.fault == WALK_FAULT_NONE && may
            ? (answer->value & UINT64_C(0xfffffffff001)) == (way.physical & ~4095ull)
            : (answer->value & 1) == 1 && (answer->value >> 1 & 63) == (uint32_t)fault + way.level;
    return rig_is_right(rig, agrees, "0x%llx: operation %d: PAR 0x%llx, by the walk 0x%x, 0x%llx",
                        (unsigned long long)va, (int)question->operation,
                        (unsigned long long)answer->value, fault + way.level,
                        (unsigned long long)way.physical);
}

/* Returns false when broken; *again: the library has to answer a fault first. */
static bool judge(struct rig *rig, const struct question *question, struct mmu_answer answer,
                  bool *again) {
    struct rig_page *page = &rig->installed->pages[question->page];
    bool allowed = is_allowed(page->rights, access_of(question->operation));
    *again = false;
    if (is_at(question->operation) && !check_walk(rig, question, &answer))
        return false;
    if (has_succeeded(question, &answer))
        return rig_is_right(rig, allowed,
                            "0x%llx: operation %d succeeds, the model has rights 0x%x (value "
                            "0x%llx)",
                            (unsigned long long)rig_address(rig, question->page),
                            (int)question->operation, page->rights,
                            (unsigned long long)answer.value) &&
               check_success(rig, page, question, &answer);
    *again = allowed;
    return rig_is_right(rig, is_plausible_fault(rig, page, fault_status(question, &answer)),
                        "0x%llx: operation %d faults with status 0x%x, the model has rights 0x%x",
                        (unsigned long long)rig_address(rig, question->page),
                        (int)question->operation, fault_status(question, &answer), page->rights);
}

/* A fault on what is allowed: the library answers it, and then the access succeeds. */
static bool answer_fault(struct rig *rig, const struct question *question) {
    ash_vaddr_t va = rig_address(rig, question->page);
    struct rig_space *space = rig->installed;
    enum ash_vm_verdict verdict = ash_vm_fault(&space->space, va, access_of(question->operation));
    bool again;
    rig->faults_answered++;
    if (verdict == ASH_VM_NOMEM)
        return rig_is_right(rig, rig->fail_percent != 0, "a fault found no memory");
    if (!rig_is_right(rig, verdict != ASH_VM_SEGV,
                      "0x%llx: the library refuses operation %d, the model has rights 0x%x",
                      (unsigned long long)va, (int)question->operation,
                      space->pages[question->page].rights))
        return false;
    rig->probes++;
    return judge(rig, question, machine_tell(question->operation, va, question->value), &again) &&
           rig_is_right(rig, !again, "0x%llx: operation %d faults again after verdict %d",
                        (unsigned long long)va, (int)question->operation, (int)verdict);
}

/* A fault on what is not allowed. */
static bool refuse_fault(struct rig *rig, const struct question *question) {
    ash_vaddr_t va = rig_address(rig, question->page);
    enum ash_vm_verdict verdict =
        ash_vm_fault(&rig->installed->space, va, access_of(question->operation));
    return rig_is_right(rig, verdict == ASH_VM_SEGV,
                        "0x%llx: the library answers operation %d by verdict %d, the model has "
                        "rights 0x%x",
                        (unsigned long long)va, (int)question->operation, (int)verdict,
                        rig->installed->pages[question->page].rights);
}

/* What the library says, without the CPU. */
static bool check_translate(struct rig *rig, const struct question *question) {
    const struct rig_space *space = rig->installed;
    const struct rig_page *page = &space->pages[question->page];
    uint32_t access = access_of(question->operation);
    ash_vaddr_t va = rig_address(rig, question->page);
    ash_paddr_t physical;
    int result = ash_vm_translate(&space->space, va, access, &physical);
    int expected = page->rights == 0                  ? -ASH_EFAULT
                   : is_allowed(page->rights, access) ? 0
                                                      : -ASH_EACCES;
    return rig_is_right(rig, result == expected,
                        "0x%llx: the library translates access 0x%x with %d, the model has rights "
                        "0x%x",
                        (unsigned long long)va, access, result, page->rights);
}

static enum mmu_operation chosen_operation(struct rig *rig, uint32_t kind) {
    bool store = kind == MMU_USER_STORE || kind == MMU_KERNEL_STORE;
    if (store && !test_random_chance(&rig->random, 20)) /* else nothing would stay shared */
        return MMU_USER_LOAD;
    return (enum mmu_operation)kind;
}

bool rig_probe(struct rig *rig) {
    struct question questions[QUESTIONS_MAX];
    bool again[QUESTIONS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < rig->hot_count; i++) {
        for (uint32_t kind = MMU_AT_USER_READ; kind < MMU_OPERATIONS; kind++) {
            struct question *question = &questions[count++];
            *question = (struct question){.operation = chosen_operation(rig, kind),
                                          .page = rig->hot[i],
                                          .value = rig_new_value(rig)};
            question->ticket =
                machine_ask(question->operation, rig_address(rig, question->page), question->value);
        }
    }
    machine_wait();
    rig->probes += count;
    for (uint32_t i = 0; i < count; i++) {
        if (!check_translate(rig, &questions[i]) ||
            !judge(rig, &questions[i], machine_answer(questions[i].ticket), &again[i]))
            return false;
    }
    /* Answers change tables, so all that was asked has been looked at before. Reads come first:
     * a write is answered seldom, so that pages stay shared. */
    for (uint32_t i = 0; i < count; i++) {
        bool write = (access_of(questions[i].operation) & ASH_VM_WRITE) != 0;
        if (again[i] && (!write || test_random_chance(&rig->random, 15)) &&
            !answer_fault(rig, &questions[i]))
            return false;
        bool allowed = is_allowed(rig->installed->pages[questions[i].page].rights,
                                  access_of(questions[i].operation));
        if (!allowed && test_random_chance(&rig->random, 10) && !refuse_fault(rig, &questions[i]))
            return false;
    }
    return true;
}

/* Memory. */

bool rig_check_content(struct rig *rig, struct rig_space *space, uint32_t index) {
    struct rig_page *page = &space->pages[index];
    ash_paddr_t physical = 0;
    int result = ash_vm_translate(&space->space, rig_address(rig, index), ASH_VM_READ, &physical);
    if (!rig_is_right(rig, result == (page->rights == 0 ? -ASH_EFAULT : 0),
                      "space %d, 0x%llx: the library translates with %d, the model has rights 0x%x",
                      (int)(space - rig->spaces), (unsigned long long)rig_address(rig, index),
                      result, page->rights))
        return false;
    if (page->rights == 0)
        return true;
    uint32_t value = *(const uint32_t *)machine_memory(physical);
    return rig_is_right(rig, value == *rig_value(rig, page),
                        "space %d, 0x%llx: its frame 0x%llx holds 0x%x, the model has 0x%x",
                        (int)(space - rig->spaces), (unsigned long long)rig_address(rig, index),
                        (unsigned long long)physical, value, *rig_value(rig, page));
}

bool rig_check_contents(struct rig *rig) {
    enum { STRIDE = 16 };
    uint32_t begin = (uint32_t)test_random_below(&rig->random, STRIDE);
    for (uint32_t i = 0; i < RIG_SPACES; i++) {
        struct rig_space *space = &rig->spaces[i];
        if (!space->is_used)
            continue;
        for (uint32_t page = 0; page < RIG_SMALL_PAGES; page++) {
            if (!rig_check_content(rig, space, page))
                return false;
        }
        for (uint32_t page = RIG_SMALL_PAGES + begin; page < RIG_PAGES; page += STRIDE) {
            if (!rig_check_content(rig, space, page))
                return false;
        }
    }
    return true;
}

bool rig_check_counts(struct rig *rig) {
    const struct ash_vm_space *spaces[RIG_SPACES];
    uint32_t count = 0;
    if (rig->base != 0) /* the audit has to see the root without what was lent to it */
        rig_install(rig, NULL);
    for (uint32_t i = 0; i < RIG_SPACES; i++) {
        if (!rig->spaces[i].is_used)
            continue;
        const char *broken = ash_vm_check(&rig->spaces[i].space);
        if (!rig_is_right(rig, broken == NULL, "space %u: ash_vm_check: %s", i, broken))
            return false;
        spaces[count++] = &rig->spaces[i].space;
    }
    memset(rig->scratch, 0, RIG_FRAMES * sizeof(*rig->scratch));
    for (uint32_t i = 0; i < RIG_PINS; i++) {
        if (rig->pins[i].is_used)
            rig->scratch[rig_frame_index(rig->pins[i].address >> 12)]++;
    }
    const char *broken = ash_vm_recount(&rig->vm, spaces, count, rig->scratch);
    return rig_is_right(rig, broken == NULL, "ash_vm_recount: %s", broken);
}
