/* SPDX-License-Identifier: MIT */
/*
 * copy.h: between the kernel and a program's memory, through the direct map, with the program's
 * rights: page by page, each looked up, made writable where it is written to, and used before
 * anything else can happen to it, as the caller holds the space's lock. Nothing is looked up a
 * second time with less asked for (CVE-2016-5195 did).
 *
 * Of a DEVICE's memory the direct map has nothing; and what is there is not a program's to have the
 * kernel touch.
 */

/* Where [va, *bytes) is, as far as one leaf goes: *bytes becomes less. */
static int copy_span(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access, size_t *bytes,
                     void **at) {
    struct fault fault = {.own = {.space = space}, .va = va, .access = access | ASH_VM_USER};
    if (!space_has(space, va))
        return -ASH_EFAULT;
    fault_walk(&fault);
    if (fault_leaf(&fault) == 0 || (format_rights(fault_leaf(&fault)) & ASH_VM_DEVICE) != 0)
        return -ASH_EFAULT;
    enum ash_vm_verdict verdict = fault_verdict(&fault);
    if (verdict != ASH_VM_SPURIOUS && verdict != ASH_VM_SEGV) {
        verdict = fault_answer(&fault, NULL);
        /* A read of what could not be noted as accessed is a read all the same. */
        if (verdict == ASH_VM_NOMEM && (access & ASH_VM_WRITE) != 0)
            return -ASH_ENOMEM;
        fault_walk(&fault);
    }
    if (verdict == ASH_VM_SEGV)
        return -ASH_EFAULT;
    uint64_t offset = va & (level_bytes(fault.level) - 1);
    *bytes = (size_t)ash_min_u64(*bytes, level_bytes(fault.level) - offset);
    *at = (char *)table_at(space->vm, format_address(fault_leaf(&fault))) + offset;
    return 0;
}

static int format_copy_in(struct ash_vm_space *space, void *to, ash_vaddr_t va, size_t bytes,
                          size_t *done) {
    for (*done = 0; *done < bytes;) {
        size_t span = bytes - *done;
        void *at;
        /* Past the last address there is nothing: it does not begin anew at 0. */
        if (va + *done < va)
            return -ASH_EFAULT;
        int error = copy_span(space, va + *done, ASH_VM_READ, &span, &at);
        if (error != 0)
            return error;
        __builtin_memcpy((char *)to + *done, at, span);
        *done += span;
    }
    return 0;
}

static int format_copy_out(struct ash_vm_space *space, ash_vaddr_t va, const void *from,
                           size_t bytes, size_t *done) {
    for (*done = 0; *done < bytes;) {
        size_t span = bytes - *done;
        void *at;
        if (va + *done < va)
            return -ASH_EFAULT;
        int error = copy_span(space, va + *done, ASH_VM_WRITE, &span, &at);
        if (error != 0)
            return error;
        __builtin_memcpy(at, (const char *)from + *done, span);
        *done += span;
    }
    return 0;
}

/* The bytes before a NUL in the first `bytes`, or `bytes`: eight at a time where they are aligned,
 * which never goes beyond a page. */
static size_t string_span(const char *at, size_t bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    size_t i = 0;
    while (i < bytes) {
        uint64_t word;
        if (bytes - i >= sizeof(word)) {
            __builtin_memcpy(&word, at + i, sizeof(word));
            if (((word - ones) & ~word & highs) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        if (at[i] == 0)
            break;
        i++;
    }
    return i;
}

static int format_copy_string(struct ash_vm_space *space, char *to, ash_vaddr_t va, size_t bytes,
                              size_t *length) {
    for (*length = 0; *length < bytes;) {
        size_t span = bytes - *length;
        void *at;
        if (va + *length < va)
            return -ASH_EFAULT;
        int error = copy_span(space, va + *length, ASH_VM_READ, &span, &at);
        if (error != 0)
            return error;
        /* Found in the copy: another CPU of the program's may write to the original. */
        __builtin_memcpy(to + *length, at, span);
        size_t found = string_span(to + *length, span);
        *length += found;
        if (found < span)
            return 0;
    }
    return -ASH_ENAMETOOLONG;
}
