/* SPDX-License-Identifier: MIT */
/* Cases of kernel/shell.h and its commands, by a script over an archive in memory. */
#include "kernel/fixture.h"

#include <ashlar/error.h>
#include <stdio.h>

static struct mounted *small_archive(void) {
    struct image image = image_new(64 << 10);
    uint8_t bytes[100];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    image_text(&image, "gpl", "hello\n");
    image_text(&image, "empty", "");
    image_file(&image, "bytes", bytes, sizeof(bytes));
    image_text(&image, "dir/one", "1");
    image_text(&image, "dir/on two", "2\n");
    image_link(&image, '2', "link", "dir");
    image_link(&image, '2', "broken", "nowhere");
    image_header(&image, '3', "device", 0);
    image_end(&image);
    return mount_image(&image);
}

/* What a pipe gets for these lines; the status is checked too. */
static const char *output_of(const char *lines, int status) {
    struct script *script = script_new(small_archive(), false);
    CHECK_EQ(script_run(script, lines), status);
    return script->output;
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

/* Lines and statuses */

TEST_CASE(shell, runs_lines_in_order_without_a_prompt) {
    CHECK_STR_EQ(output_of("echo one\necho two three\n\necho 'a  b'\n", 0),
                 "one\ntwo three\na  b\n");
}

TEST_CASE(shell, runs_a_last_line_without_its_end) {
    CHECK_STR_EQ(output_of("echo one\necho two", 0), "one\ntwo\n");
}

TEST_CASE(shell, runs_several_commands_of_a_line) {
    CHECK_STR_EQ(output_of("echo a; echo b;;echo c\n", 0), "a\nb\nc\n");
}

TEST_CASE(shell, ends_with_the_last_status_at_the_end_of_input) {
    CHECK_STR_EQ(output_of("cat nosuch\n", 1), "cat: nosuch: no such file or object\n");
    CHECK_STR_EQ(output_of("cat nosuch\necho\n", 0), "cat: nosuch: no such file or object\n\n");
    CHECK_STR_EQ(output_of("", 0), "");
}

TEST_CASE(shell, poweroff_ends_at_once_with_its_status) {
    CHECK_STR_EQ(output_of("poweroff 7; echo no\necho no\n", 7), "");
    CHECK_STR_EQ(output_of("cat nosuch; poweroff\n", 0), "cat: nosuch: no such file or object\n");
    CHECK_STR_EQ(output_of("poweroff 125\n", 125), "");
    check_contains(output_of("poweroff 126\n", 2), "STATUS is a number from 0 to 125");
    check_contains(output_of("poweroff -1; poweroff x; poweroff 1 2\n", 2), "usage: poweroff");
}

TEST_CASE(shell, says_the_nearest_name_of_an_unknown_command) {
    CHECK_STR_EQ(output_of("hlep\n", 127), "hlep: no such command; did you mean help?\n");
    CHECK_STR_EQ(output_of("cksm\n", 127), "cksm: no such command; did you mean cksum?\n");
    CHECK_STR_EQ(output_of("frobnicate\n", 127), "frobnicate: no such command; help lists all\n");
    CHECK_STR_EQ(output_of("''\n", 127), "'': no such command; help lists all\n");
}

TEST_CASE(shell, runs_nothing_of_a_line_with_an_open_quote) {
    CHECK_STR_EQ(output_of("echo a; echo 'b\necho c\n", 0),
                 "shell: a quote is not closed; nothing was run\nc\n");
    CHECK_STR_EQ(output_of("echo \"b\n", 2), "shell: a quote is not closed; nothing was run\n");
}

TEST_CASE(shell, drops_a_line_of_ten_thousand_characters_with_one_message) {
    char *lines = test_alloc(10100, 1);
    memset(lines, 'a', 10000);
    memcpy(lines + 10000, "\necho next\n", 12);
    CHECK_STR_EQ(output_of(lines, 0),
                 "shell: a line of more than 4096 bytes; it was dropped, nothing was run\nnext\n");
    lines[10000] = '\0';
    CHECK_STR_EQ(output_of(lines, 2),
                 "shell: a line of more than 4096 bytes; it was dropped, nothing was run\n");
}

TEST_CASE(shell, refuses_too_many_words) {
    char *line = test_alloc(1200, 1);
    for (size_t i = 0; i < 300; i++)
        memcpy(line + 2 * i, "x ", 2);
    memcpy(line + 600, "\necho next\n", 12);
    CHECK_STR_EQ(output_of(line, 0),
                 "shell: the line has more than 256 words; nothing was run\nnext\n");
}

TEST_CASE(shell, drops_a_line_with_a_nul_byte) {
    struct script *script = script_new(NULL, false);
    CHECK_EQ(script_type(script, "echo a\0b\necho c\n", 16), 0);
    CHECK_STR_EQ(script->output, "shell: a line with a NUL byte; it was dropped\nc\n");
}

/* Commands about files */

TEST_CASE(shell, ls_lists_names_sorted_with_slashes) {
    CHECK_STR_EQ(output_of("ls\n", 0), "broken\nbytes\ndevice\ndir/\nempty\ngpl\nlink\n");
    CHECK_STR_EQ(output_of("ls dir\n", 0), "on two\none\n");
    CHECK_STR_EQ(output_of("ls link/\n", 0), "on two\none\n");
    CHECK_STR_EQ(output_of("ls gpl broken\n", 0), "gpl\nbroken\n");
    CHECK_STR_EQ(output_of("ls dir /dir/.\n", 0), "dir:\non two\none\n/dir/.:\non two\none\n");
    CHECK_STR_EQ(output_of("ls nosuch\n", 1), "ls: nosuch: no such file or object\n");
    CHECK_STR_EQ(output_of("ls gpl/x\n", 1), "ls: gpl/x: not a directory\n");
    check_contains(output_of("ls -z\n", 2), "ls: unknown option");
}

TEST_CASE(shell, ls_long_shows_types_sizes_and_targets) {
    CHECK_STR_EQ(output_of("ls -l\n", 0), "l            0 broken -> nowhere\n"
                                          "-          100 bytes\n"
                                          "!            0 device  a device or a FIFO\n"
                                          "d            0 dir/\n"
                                          "-            0 empty\n"
                                          "-            6 gpl\n"
                                          "l            0 link -> dir\n");
}

TEST_CASE(shell, cat_writes_the_bytes_of_all_files) {
    CHECK_STR_EQ(output_of("cat gpl empty dir/one 'dir/on two'\n", 0), "hello\n12\n");
    CHECK_STR_EQ(output_of("cat nosuch gpl dir device broken\n", 1),
                 "cat: nosuch: no such file or object\nhello\ncat: dir: is a directory\n"
                 "cat: device: a device or a FIFO\ncat: broken: no such file or object\n");
    check_contains(output_of("cat\n", 2), "usage: cat FILE...");
}

TEST_CASE(shell, cat_loses_no_byte) {
    struct script *script = script_new(small_archive(), false);
    CHECK_EQ(script_run(script, "cat bytes\n"), 0);
    CHECK_EQ(script->output_len, 100);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ((uint8_t)script->output[i], i);
}

TEST_CASE(shell, cksum_prints_the_hosts_line) {
    CHECK_STR_EQ(output_of("cksum gpl empty /gpl\n", 0),
                 "3015617425 6 gpl\n4294967295 0 empty\n3015617425 6 /gpl\n");
    CHECK_STR_EQ(output_of("cksum dir\n", 1), "cksum: dir: is a directory\n");
}

TEST_CASE(shell, hexdump_prints_what_the_hosts_does) {
    CHECK_STR_EQ(output_of("hexdump gpl\n", 0),
                 "00000000  68 65 6c 6c 6f 0a                                 |hello.|\n"
                 "00000006\n");
    CHECK_STR_EQ(output_of("hexdump empty\n", 0), "");
    CHECK_STR_EQ(output_of("hexdump -n 17 -s 0x2f bytes\n", 0),
                 "0000002f  2f 30 31 32 33 34 35 36  37 38 39 3a 3b 3c 3d 3e  |/0123456789:;<=>|\n"
                 "0000003f  3f                                                |?|\n"
                 "00000040\n");
    CHECK_STR_EQ(output_of("hexdump -s 100 bytes; hexdump -s 1k bytes; hexdump -n0 bytes\n", 0),
                 "00000064\n00000064\n");
    CHECK_STR_EQ(output_of("hexdump -s 0144 -n 5 bytes; hexdump -- nosuch\n", 1),
                 "00000064\nhexdump: nosuch: no such file or object\n");
    check_contains(output_of("hexdump -n x bytes\n", 2), "take a number");
    check_contains(output_of("hexdump -s 08 bytes\n", 2), "take a number");
    check_contains(output_of("hexdump -n 99999999999999999999 bytes\n", 2), "take a number");
    check_contains(output_of("hexdump -n\n", 2), "take a number");
    check_contains(output_of("hexdump a b\n", 2), "give one file");
}

TEST_CASE(shell, hexdump_squeezes_rows_that_repeat) {
    static const char row[] =
        "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n";
    struct image image = image_new(8192);
    uint8_t bytes[100] = {0};
    char expected[1024];
    bytes[96] = 1;
    image_file(&image, "z", bytes, 100);
    image_end(&image);
    struct script *script = script_new(mount_image(&image), false);
    CHECK_EQ(script_run(script, "hexdump z\n"), 0);
    snprintf(expected, sizeof(expected),
             "00000000  %s*\n00000060  01 00 00 00                                       |....|\n"
             "00000064\n",
             row);
    CHECK_STR_EQ(script->output, expected);
    CHECK_EQ(script_run(script, "hexdump -n 40 z\n"), 0);
    snprintf(
        expected, sizeof(expected),
        "00000000  %s*\n00000020  00 00 00 00 00 00 00 00                           |........|\n"
        "00000028\n",
        row);
    CHECK_STR_EQ(script->output, expected);
    CHECK_EQ(script_run(script, "hexdump -v -n 32 z\n"), 0);
    snprintf(expected, sizeof(expected), "00000000  %s00000010  %s00000020\n", row, row);
    CHECK_STR_EQ(script->output, expected);
}

TEST_CASE(shell, two_dashes_end_the_options) {
    struct image image = image_new(8192);
    image_text(&image, "-l", "dash\n");
    image_text(&image, "--", "two\n");
    image_end(&image);
    struct script *script = script_new(mount_image(&image), false);
    CHECK_EQ(script_run(script, "ls -- -l; ls --; ls -l -- -l; cat -- -l; cat -- --; cksum -- --;"
                                "hexdump -n 1 -- -l; hexdump -C -- --\n"),
             0);
    CHECK_STR_EQ(script->output,
                 "-l\n--\n-l\n-            5 -l\ndash\ntwo\n4132719841 4 --\n"
                 "00000000  64                                                |d|\n00000001\n"
                 "00000000  74 77 6f 0a                                       |two.|\n"
                 "00000004\n");
    check_contains(output_of("ls -l -z -- gpl\n", 2), "ls: unknown option");
    check_contains(output_of("hexdump -z -- gpl\n", 2), "hexdump: unknown option");
    check_contains(output_of("cat --\n", 2), "cat: no file given");
    check_contains(output_of("ls -- nosuch -l\n", 1), "ls: -l: no such file");
}

TEST_CASE(shell, says_that_there_is_no_file_system) {
    struct script *script = script_new(NULL, false);
    CHECK_EQ(script_run(script, "ls; cat x; cksum x; hexdump x\n"), 1);
    CHECK_STR_EQ(script->output, "ls: no file system: this test has none\n"
                                 "cat: no file system: this test has none\n"
                                 "cksum: no file system: this test has none\n"
                                 "hexdump: no file system: this test has none\n");
}

TEST_CASE(shell, says_that_a_missing_file_may_be_the_damage) {
    struct image image = image_new(8192);
    image_text(&image, "a", "x");
    struct script *script = script_new(mount_image(&image), false);
    CHECK_EQ(script_run(script, "cat b\n"), 1);
    check_contains(script->output, "cat: b: no such file or object\n");
    check_contains(script->output, "the archive is damaged");
}

TEST_CASE(shell, reports_a_disk_that_fails_in_a_file) {
    struct mounted *mounted = small_archive();
    struct script *script = script_new(mounted, false);
    mounted->fail_read_at = mounted->reads + 1;
    CHECK_EQ(script_run(script, "cat gpl; cat gpl\n"), 0);
    CHECK_STR_EQ(script->output,
                 "cat: gpl: the device reported an error, or broke its protocol\nhello\n");
    mounted->fail_read_at = mounted->reads + 2; /* the second piece */
    CHECK_EQ(script_run(script, "cksum bytes\n"), 1);
    check_contains(script->output, "cksum: bytes: the device reported an error");
}

static int short_read(struct file_system *fs, struct file_node *node, uint64_t offset, void *buffer,
                      size_t len, size_t *got) {
    (void)fs, (void)node, (void)offset, (void)buffer;
    *got = len / 2;
    return 0;
}

TEST_CASE(shell, reports_a_file_that_ends_before_its_size) {
    struct mounted *mounted = small_archive();
    struct script *script = script_new(mounted, false);
    mounted->fs.interface.read = short_read;
    CHECK_EQ(script_run(script, "cksum gpl\n"), 1);
    check_contains(script->output, "cksum: gpl: the device reported an error");
}

/* Other commands */

TEST_CASE(shell, help_lists_every_command_and_explains_each) {
    check_contains(output_of("help\n", 0), "cksum     Prints the POSIX CRC");
    CHECK_STR_EQ(output_of("help echo\n", 0),
                 "usage: echo [WORD...]\nPrints the words, with one space between them.\n");
    CHECK_STR_EQ(output_of("help nosuch\n", 1), "help: nosuch: no such command; help lists all\n");
    const struct shell_command *command = NULL, *previous = NULL;
    while ((command = shell_next(command)) != NULL) {
        CHECK(previous == NULL || strcmp(previous->name, command->name) < 0);
        CHECK(shell_find(command->name) == command);
        /* Its first line stands alone in the list. */
        size_t len = strcspn(command->help, "\n");
        char line[64];
        snprintf(line, sizeof(line), "help %s\n", command->name);
        check_contains(output_of(line, 0), command->help); /* all of it, however long */
        if (len < 2 || command->help[len - 1] != '.')
            test_fail(__FILE__, __LINE__, "%s: the help's first line is no whole sentence",
                      command->name);
        previous = command;
    }
}

TEST_CASE(shell, commands_about_the_machine_say_that_there_is_none) {
    struct script *script = script_new(NULL, false);
    CHECK_EQ(script_run(script, "mem\nslab\ncheck\nbench\nblk\n"), 1);
    CHECK_STR_EQ(script->output, "mem: this shell has no machine below it\n"
                                 "slab: this shell has no machine below it\n"
                                 "check: this shell has no machine below it\n"
                                 "bench: this shell has no machine below it\n"
                                 "blk: this shell has no machine below it\n");
}

TEST_CASE(shell, panic_panics) {
    struct script *script = script_new(NULL, false);
    CHECK_PANICS((void)script_run(script, "panic now\n"), "asked for at the shell: now");
}

/* On a terminal */

/* The output without what the line editor shows to edit; for lines that are typed straight. */
static struct script *terminal(void) {
    return script_new(small_archive(), true);
}

TEST_CASE(shell, prompts_and_echoes_on_a_terminal) {
    struct script *script = terminal();
    CHECK_EQ(script_run(script, "echo hi\r\x04"), 0);
    CHECK_STR_EQ(script->output, "ashlar> echo hi\r\nhi\nashlar> \r\n");
}

TEST_CASE(shell, control_c_drops_the_line) {
    struct script *script = terminal();
    CHECK_EQ(script_run(script, "poweroff 9\x03"
                                "echo hi\r\x04"),
             0);
    CHECK_STR_EQ(script->output, "ashlar> poweroff 9^C\r\nashlar> echo hi\r\nhi\nashlar> \r\n");
}

TEST_CASE(shell, recalls_and_lists_history) {
    struct script *script = terminal();
    CHECK_EQ(script_run(script, "echo a\recho b\r\x1b[A\x1b[A\x1b[A\x1b[Bx\rhistory\r"), 0);
    check_contains(script->output, "\nbx\n");
    check_contains(script->output,
                   "    1  echo a\n    2  echo b\n    3  echo bx\n    4  history\n");
}

/* What runs after the keys: the line is completed inside of echo, so that it shows. */
static void check_completion(const char *keys, const char *line) {
    struct script *script = terminal();
    (void)script_run(script, keys);
    check_contains(script->output, line);
}

TEST_CASE(shell, completes_commands) {
    check_completion("ec\thi\r", "\r\nhi\n");
    check_completion("cks\tgpl\r", "\r\n3015617425 6 gpl\n");
    check_completion("echo a; ec\tb\r", "\r\na\nb\n");
    check_completion("xyz\t\r", "xyz: no such command");
}

TEST_CASE(shell, completes_paths) {
    check_completion("echo gp\tx\r", "\r\ngpl x\n");
    check_completion("echo di\tx\r", "\r\ndir/x\n");
    check_completion("echo dir/one\tx\r", "\r\ndir/one x\n");
    check_completion("echo lin\tone\tx\r", "\r\nlink/one x\n"); /* a link to a directory */
    check_completion("echo /gp\tx\r", "\r\n/gpl x\n");
    check_completion("echo nosuch/\tx\r", "\r\nnosuch/x\n");
}

TEST_CASE(shell, completes_the_common_part_then_lists) {
    struct script *script = terminal();
    (void)script_run(script, "echo dir/o\tX\r");
    check_contains(script->output, "\r\ndir/onX\n");
    (void)script_run(script, "echo dir/on\t\x15\r");
    check_contains(script->output, "\non two\none\n");
    (void)script_run(script, "echo b\t\x15\r");
    check_contains(script->output, "\nbroken\nbytes\n");
}

TEST_CASE(shell, quotes_what_it_completes) {
    check_completion("cat dir/on\\ \t\r", "\r\n2\n");
    check_completion("cat 'dir/on \t\r", "\r\n2\n");
    check_completion("cat \"dir/on \t\r", "\r\n2\n");
}

TEST_CASE(shell, hides_control_characters_of_names_on_a_terminal) {
    struct image image = image_new(8192);
    image_text(&image, "\x1b[2Jx", "");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    struct script *script = script_new(mounted, true);
    (void)script_run(script, "ls\r");
    check_contains(script->output, "\n?[2Jx\n");
    script = script_new(mounted, false);
    (void)script_run(script, "ls\n");
    CHECK_STR_EQ(script->output, "\x1b[2Jx\n");
}

/* What a name on the disk could make of the prompt's line: nothing but question marks. */
TEST_CASE(shell, hides_control_characters_of_names_that_tab_completes) {
    struct image image = image_new(8192);
    image_text(&image,
               "a\x1b[2J\xc2\x9b"
               "5n\xc3\xa9\xff",
               "data\n");
    image_end(&image);
    struct script *script = script_new(mount_image(&image), true);
    (void)script_run(script, "cat a\t\r");
    check_contains(script->output, "a?[2J?5n\xc3\xa9? ");
    check_contains(script->output, "\ndata\n");
    CHECK(strstr(script->output, "\x1b[2J") == NULL);
    CHECK(strstr(script->output, "\xc2\x9b") == NULL);
    (void)script_run(script, "ls\r");
    check_contains(script->output, "\na?[2J??5n\xc3\xa9?\n");
}

/* Ctrl-C while a command runs: poll finds it. */
static int poll_control_c(void *context) {
    struct script *script = context;
    return script->output_len > 100 && script->input_at != script->input_len
               ? (uint8_t)script->input[script->input_at++]
               : -ASH_EAGAIN;
}

TEST_CASE(shell, control_c_stops_a_running_command_and_keeps_what_was_typed) {
    struct image image = image_new(64 << 10);
    uint8_t *bytes = test_alloc(40000, 1);
    memset(bytes, 'x', 40000);
    image_file(&image, "big", bytes, 40000);
    image_end(&image);
    struct script *script = script_new(mount_image(&image), true);
    script->console.poll = poll_control_c;
    CHECK_EQ(script_run(script, "cat big big; echo no\rab\x03"
                                "echo yes\r"),
             0);
    CHECK(script->output_len < 1000);
    check_contains(script->output, "^C\n");
    check_contains(script->output, "\r\nyes\n");
    CHECK(strstr(script->output, "\nno\n") == NULL);
    CHECK_EQ(script_run(script, "cat big\recho a"), 0);
    check_contains(script->output, "\r\na\n");
}
