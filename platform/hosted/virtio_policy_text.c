/* SPDX-License-Identifier: MIT */
/* virtio_policy_text.c: names and numbers of a lie. */
#include "hosted/virtio_policy_text.h"

#include <ashlar/error.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A number up to max, base as strtoull has it, from *text on, which moves behind it. */
static bool take_number(const char **text, int base, uint64_t max, uint64_t *number) {
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &end, base);
    *text = end;
    return errno == 0 && *number <= max;
}

int fake_virtio_fault_parse(const char *text, struct fake_virtio_fault *fault) {
    static const char prefix[] = "device.";
    uint64_t first = 0, count = 1, value = 0;
    uint32_t kind = 0;
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
        return -ASH_EINVAL;
    text += sizeof(prefix) - 1;
    size_t len = strcspn(text, "@");
    while (kind < FAKE_VIRTIO_FAULT_KINDS && (strlen(fake_virtio_fault_name(kind)) != len ||
                                              memcmp(fake_virtio_fault_name(kind), text, len) != 0))
        kind++;
    if (kind == FAKE_VIRTIO_FAULT_KINDS)
        return -ASH_ENOENT;
    text += len;
    bool good = *text == '@' && take_number((text++, &text), 10, UINT32_MAX, &first);
    if (good && strncmp(text, "x*", 2) == 0) {
        text += 2;
        count = FAKE_VIRTIO_FOREVER;
    } else if (good && *text == 'x') {
        good = take_number((text++, &text), 10, UINT32_MAX, &count) && count != 0;
    }
    if (good && *text == '=')
        good = take_number((text++, &text), 0, UINT64_MAX, &value);
    if (!good || *text != '\0')
        return -ASH_EINVAL;
    *fault = (struct fake_virtio_fault){(enum fake_virtio_fault_kind)kind, (uint32_t)first,
                                        (uint32_t)count, value};
    return 0;
}
