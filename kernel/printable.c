/* SPDX-License-Identifier: MIT */
/* printable.c: see printable.h. Well-formed UTF-8: The Unicode Standard, table 3-7. */
#include "printable.h"

size_t printable_len(const char *text, size_t len) {
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; /* by the number of bytes */
    const uint8_t *bytes = (const uint8_t *)text;
    if (len == 0 || bytes[0] < 0x20 || bytes[0] == 0x7f)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    size_t size = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc0 || bytes[0] >= 0xf8 || len < size)
        return 0;
    uint32_t code = bytes[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[size] || surrogate || code > 0x10ffff ? 0 : size;
}
