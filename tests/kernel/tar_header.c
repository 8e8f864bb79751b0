/* SPDX-License-Identifier: MIT */
/* Cases of kernel/tar_header.h. */
#include "kernel/fixture.h"

static bool number(const char *bytes, size_t len, uint64_t *value) {
    uint8_t field[12];
    memcpy(field, bytes, len);
    return tar_number_parse(field, len, value);
}

TEST_CASE(tar_header, reads_octal_between_blanks) {
    uint64_t value = 9;
    CHECK(number("00000000644\0", 12, &value));
    CHECK_EQ(value, 0644);
    CHECK(number("   17 \0\0", 8, &value));
    CHECK_EQ(value, 017);
    CHECK(number("77777777777\0", 12, &value));
    CHECK_EQ(value, UINT64_C(077777777777));
    CHECK(number("777777777777", 12, &value)); /* no end: the field's */
    CHECK_EQ(value, UINT64_C(0777777777777));
    CHECK(number("\0\0\0\0\0\0\0\0\0\0\0\0", 12, &value));
    CHECK_EQ(value, 0);
}

TEST_CASE(tar_header, refuses_what_is_not_octal) {
    uint64_t value;
    CHECK(!number("00000000649\0", 12, &value));
    CHECK(!number("garbage!!!!!", 12, &value));
    CHECK(!number("12 34\0\0\0", 8, &value));
    CHECK(!number("-0000000001\0", 12, &value));
    CHECK(!number("0x000000010\0", 12, &value));
    CHECK(!number("0000000001\0z", 12, &value));
}

TEST_CASE(tar_header, reads_base_256) {
    uint64_t value = 9;
    CHECK(number("\x80\0\0\0\0\0\0\x02\x54\x0b\xe4\0", 12, &value));
    CHECK_EQ(value, UINT64_C(10000000000));
    CHECK(number("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, &value));
    CHECK_EQ(value, INT64_MAX);
    CHECK(!number("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, &value));
    CHECK(!number("\x81\0\0\0\0\0\0\0\0\0\0\0", 12, &value));
}

TEST_CASE(tar_header, refuses_negative_base_256) {
    uint64_t value;
    CHECK(!number("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, &value));
    CHECK(!number("\xc0\0\0\0\0\0\0\0\0\0\0\x01", 12, &value));
}

static const char *parse(struct tar_header *header, const uint8_t *block) {
    const char *why = tar_header_parse(block, header);
    return why == NULL ? "" : why;
}

TEST_CASE(tar_header, takes_name_prefix_and_target_without_their_nul) {
    struct image image = image_new(4096);
    struct tar_header header;
    uint8_t *block = image_header(&image, '2', "", 0);
    memset(block, 'n', 100);
    memset(block + 157, 't', 100);
    memset(block + 345, 'p', 155);
    image_seal(block);
    CHECK_STR_EQ(parse(&header, block), "");
    CHECK_EQ(strlen(header.name), 256);
    CHECK_EQ(header.name[154], 'p');
    CHECK_EQ(header.name[155], '/');
    CHECK_EQ(header.name[156], 'n');
    CHECK_EQ(strlen(header.target), 100);
    CHECK_EQ(header.kind, TAR_SYMLINK);
}

TEST_CASE(tar_header, has_no_prefix_in_gnus_format) {
    struct image image = image_new(4096);
    struct tar_header header;
    uint8_t *block = image_header(&image, '0', "name", 5);
    memcpy(block + 257, "ustar  ", 8);
    memcpy(block + 345, "12345670123", 11); /* there it is a time */
    image_seal(block);
    CHECK_STR_EQ(parse(&header, block), "");
    CHECK_STR_EQ(header.name, "name");
    CHECK_EQ(header.size_bytes, 5);
}

TEST_CASE(tar_header, takes_the_signed_checksum_of_old_tars) {
    struct image image = image_new(4096);
    struct tar_header header;
    uint8_t *block = image_header(&image, '0', "\xe9t\xe9", 0);
    int32_t sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (int8_t)block[i];
    image_octal(block + 148, 7, (uint64_t)sum);
    CHECK_STR_EQ(parse(&header, block), "");
    block[0] ^= 1;
    CHECK_STR_EQ(parse(&header, block), "the header's checksum is wrong");
}

TEST_CASE(tar_header, knows_every_bit_of_a_block_by_its_checksum) {
    struct image image = image_new(4096);
    struct tar_header header;
    uint8_t *block = image_header(&image, '0', "name", 77);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        if (i >= 148 && i < 156)
            continue;
        block[i] ^= 0x20;
        CHECK_STR_EQ(parse(&header, block), "the header's checksum is wrong");
        block[i] ^= 0x20;
    }
    CHECK_STR_EQ(parse(&header, block), "");
}

TEST_CASE(tar_header, gives_links_and_devices_no_data) {
    struct image image = image_new(8192);
    struct tar_header header;
    for (const char *letter = "123456"; *letter != '\0'; letter++) {
        CHECK_STR_EQ(parse(&header, image_header(&image, *letter, "x", 1000)), "");
        CHECK_EQ(header.size_bytes, 0);
    }
}

/* pax */

static bool record(const char *text, struct pax_record *result, size_t *used) {
    const char *cursor = text;
    bool good = pax_record_parse(&cursor, text + strlen(text), result);
    *used = (size_t)(cursor - text);
    return good;
}

TEST_CASE(tar_header, reads_a_pax_record) {
    struct pax_record result;
    size_t used;
    CHECK(record("12 path=a=b\n9 x=y", &result, &used));
    CHECK_EQ(used, 12);
    CHECK(pax_key_is(&result, "path"));
    CHECK(!pax_key_is(&result, "pat"));
    CHECK_EQ(result.value_len, 3);
    CHECK(memcmp(result.value, "a=b", 3) == 0);
}

TEST_CASE(tar_header, refuses_malformed_pax_records) {
    static const char *const bad[] = {"",
                                      "path=a\n",
                                      "12path=a=b\n",
                                      "13 path=a=b\n",
                                      "11 path=a=b\n",
                                      "0 =\n",
                                      "4 =\n",
                                      "99999999999999999999 a=b\n",
                                      "-7 a=b\n",
                                      "7 patha\n",
                                      "2 a=b\n",
                                      " 6 a=b\n",
                                      "6 a=b",
                                      "8 =abcd\n"};
    struct pax_record result;
    size_t used;
    for (size_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        if (record(bad[i], &result, &used))
            test_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
        CHECK_EQ(used, 0);
    }
}

TEST_CASE(tar_header, pax_record_ends_where_its_header_does) {
    static const char text[] = "13 path=a=b\n\n"; /* the last byte is not the header's */
    const char *cursor = text;
    struct pax_record result;
    CHECK(!pax_record_parse(&cursor, text + 12, &result));
    CHECK(pax_record_parse(&cursor, text + 13, &result));
}

TEST_CASE(tar_header, reads_pax_sizes_up_to_63_bits) {
    struct pax_record result;
    uint64_t value = 0;
    size_t used;
    CHECK(record("20 size=10000000000\n", &result, &used));
    CHECK(pax_number_parse(&result, &value));
    CHECK_EQ(value, UINT64_C(10000000000));
    CHECK(record("29 size=99999999999999999999\n", &result, &used));
    CHECK(!pax_number_parse(&result, &value));
    CHECK(record("11 size=-1\n", &result, &used));
    CHECK(!pax_number_parse(&result, &value));
}
