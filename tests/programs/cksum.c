/* SPDX-License-Identifier: MIT */
/* cksum [FILE]...: POSIX's checksum of each, by a C library's buffered reading. */
#include <stdint.h>
#include <stdio.h>

static uint32_t add(uint32_t crc, uint32_t byte) {
    crc ^= byte << 24;
    for (int bit = 0; bit < 8; bit++)
        crc = (crc & 0x80000000u) != 0 ? crc << 1 ^ 0x04c11db7u : crc << 1;
    return crc;
}

static void say(FILE *file, const char *name) {
    uint64_t bytes = 0;
    uint32_t crc = 0;
    int byte;
    for (; (byte = getc(file)) != EOF; bytes++)
        crc = add(crc, (uint32_t)byte);
    for (uint64_t left = bytes; left != 0; left >>= 8)
        crc = add(crc, (uint32_t)(left & 255));
    printf("%lu %llu%s%s\n", (unsigned long)(~crc & 0xffffffffu), (unsigned long long)bytes,
           name[0] != '\0' ? " " : "", name);
}

int main(int argc, char **argv) {
    if (argc < 2)
        say(stdin, "");
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        say(file, argv[i]);
        fclose(file);
    }
    return 0;
}
