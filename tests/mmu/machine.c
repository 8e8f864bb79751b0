/* SPDX-License-Identifier: MIT */
/* machine.c: see machine.h. */
#include "mmu/machine.h"

#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QEMU "qemu-system-aarch64"

enum { CONSOLE_BYTES = 4096, LOOKS_BETWEEN_CHECKS = 512 };

static struct {
    const char *cpu, *stub;
    pid_t process; /* 0: none */
    int console;   /* read end of QEMU's output and errors */
    char said[CONSOLE_BYTES];
    size_t said_bytes;
    char *memory; /* NULL: none */
    struct mmu_mailbox *mailbox;
    uint32_t submitted;
} machine = {.console = -1};

void machine_configure(const char *cpu, const char *stub) {
    machine.cpu = cpu;
    machine.stub = stub;
}

const char *machine_missing(void) {
    static const char name[] = "/" QEMU;
    const char *path = getenv("PATH");
    for (const char *at = path == NULL ? "" : path; *at != '\0';) {
        size_t len = strcspn(at, ":");
        char file[4096];
        if (len + sizeof(name) <= sizeof(file)) {
            memcpy(file, at, len);
            memcpy(file + len, name, sizeof(name));
            if (access(file, X_OK) == 0)
                return NULL;
        }
        at += len + (at[len] == ':');
    }
    return QEMU " is not installed (Debian: apt-get install qemu-system-arm)";
}

/* Start and end. */

/* In the child: becomes QEMU, or ends. The memory is a file without a name: nothing of it stays
 * behind, however this program ends. */
static void become_qemu(int memory, int output) {
    char backend[128], size[32];
    snprintf(backend, sizeof(backend),
             "memory-backend-file,id=ram,size=%u,mem-path=/proc/self/fd/%d,share=on", MMU_RAM_BYTES,
             memory);
    snprintf(size, sizeof(size), "%uM", MMU_RAM_BYTES >> 20);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execlp(QEMU, QEMU, "-M", "virt,gic-version=2,memory-backend=ram", "-accel", "tcg", "-cpu",
           machine.cpu, "-smp", "1", "-m", size, "-object", backend, "-nodefaults", "-no-reboot",
           "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", machine.stub,
           (char *)NULL);
    fprintf(stderr, QEMU ": %s\n", strerror(errno));
    _exit(127);
}

void machine_start(const struct mmu_figures *figures) {
    int pipes[2];
    machine_end();
    int memory = memfd_create("mmu", 0);
    CHECK(memory >= 0);
    CHECK_EQ(ftruncate(memory, MMU_RAM_BYTES), 0);
    machine.memory = mmap(NULL, MMU_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    CHECK(machine.memory != MAP_FAILED);
    machine.mailbox = machine_memory(MMU_MAILBOX_BASE);
    machine.mailbox->host = *figures;
    machine.submitted = 0;
    machine.said_bytes = 0;
    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    machine.process = fork();
    CHECK(machine.process >= 0);
    if (machine.process == 0)
        become_qemu(memory, pipes[1]);
    close(memory);
    close(pipes[1]);
    machine.console = pipes[0];
    fcntl(machine.console, F_SETFL, O_NONBLOCK);
}

void machine_end(void) {
    if (machine.process > 0) {
        kill(machine.process, SIGKILL);
        waitpid(machine.process, NULL, 0);
    }
    if (machine.console >= 0)
        close(machine.console);
    if (machine.memory != NULL)
        munmap(machine.memory, MMU_RAM_BYTES);
    machine.process = 0;
    machine.console = -1;
    machine.memory = NULL;
}

const char *machine_console(void) {
    for (;;) {
        ssize_t got = read(machine.console, machine.said + machine.said_bytes,
                           sizeof(machine.said) - 1 - machine.said_bytes);
        if (got <= 0)
            break;
        machine.said_bytes += (size_t)got;
    }
    machine.said[machine.said_bytes] = '\0';
    return machine.said;
}

/* Waiting. */

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Until *counter is at or past `wanted`: NULL; or what became of the machine. */
static const char *await(const uint32_t *counter, uint32_t wanted, double patience_s) {
    uint32_t last = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
    double since = 0;
    for (uint32_t looks = 1; (int32_t)(last - wanted) < 0; looks++) {
        uint32_t value = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
        if (value != last)
            since = 0;
        last = value;
        if (looks % LOOKS_BETWEEN_CHECKS != 0)
            continue;
        if (waitpid(machine.process, NULL, WNOHANG) != 0) {
            machine.process = 0;
            return "ended by itself";
        }
        if (since == 0)
            since = now_s();
        if (now_s() - since > patience_s)
            return "makes no progress and was killed";
        sched_yield();
    }
    return NULL;
}

/* Ends the machine and says what is known of its end. */
static void report_end(const char *what, char *report, size_t report_bytes) {
    uint32_t completed = __atomic_load_n(&machine.mailbox->completed, __ATOMIC_ACQUIRE);
    struct mmu_request next = machine.mailbox->requests[completed % MMU_CAPACITY];
    const char *said = machine_console();
    snprintf(report, report_bytes,
             "the machine %s; %u of %u requests are answered, the next is operation %llu at "
             "0x%llx; its console: %s",
             what, completed, machine.submitted, (unsigned long long)next.operation,
             (unsigned long long)next.address, said[0] == '\0' ? "(nothing)" : said);
    machine_end();
}

static void await_or_fail(const uint32_t *counter, uint32_t wanted) {
    char report[CONSOLE_BYTES];
    const char *trouble = await(counter, wanted, MACHINE_PATIENCE_S);
    if (trouble == NULL)
        return;
    report_end(trouble, report, sizeof(report));
    test_fail(__FILE__, __LINE__, "%s", report);
}

bool machine_try_wait(double patience_s, char *report, size_t report_bytes) {
    const char *trouble = await(&machine.mailbox->completed, machine.submitted, patience_s);
    if (trouble != NULL)
        report_end(trouble, report, report_bytes);
    return trouble == NULL;
}

void machine_begin(void) {
    const struct mmu_figures figures = MMU_FIGURES;
    if (machine.memory == NULL || machine.process == 0 || machine.mailbox->ready != MMU_MAGIC) {
        machine_start(&figures);
        await_or_fail(&machine.mailbox->ready, MMU_MAGIC);
        CHECK_MEM_EQ(&machine.mailbox->stub, &figures, sizeof(figures));
    }
    machine_tell(MMU_INSTALL_HIGH, machine.mailbox->stub_root, 0);
    memset(machine_memory(MMU_TEST_BASE), 0, 4096);
    machine_tell(MMU_INSTALL_LOW, MMU_TEST_BASE, 0);
    machine_tell(MMU_TLBI_ALL, 0, 0);
}

/* Questions. */

void *machine_memory(uint64_t physical) {
    CHECK(physical >= MMU_RAM_BASE && physical - MMU_RAM_BASE < MMU_RAM_BYTES);
    return machine.memory + (physical - MMU_RAM_BASE);
}

const struct mmu_mailbox *machine_mailbox(void) {
    return machine.mailbox;
}

uint32_t machine_ask(enum mmu_operation operation, uint64_t address, uint64_t value) {
    uint32_t ticket = machine.submitted;
    await_or_fail(&machine.mailbox->completed, ticket - MMU_CAPACITY + 1);
    machine.mailbox->requests[ticket % MMU_CAPACITY] =
        (struct mmu_request){operation, address, value};
    machine.submitted = ticket + 1;
    __atomic_store_n(&machine.mailbox->submitted, machine.submitted, __ATOMIC_RELEASE);
    return ticket;
}

void machine_wait_for(uint32_t ticket) {
    await_or_fail(&machine.mailbox->completed, ticket + 1);
}

void machine_wait(void) {
    await_or_fail(&machine.mailbox->completed, machine.submitted);
}

struct mmu_answer machine_answer(uint32_t ticket) {
    return machine.mailbox->answers[ticket % MMU_CAPACITY];
}

struct mmu_answer machine_tell(enum mmu_operation operation, uint64_t address, uint64_t value) {
    uint32_t ticket = machine_ask(operation, address, value);
    machine_wait_for(ticket);
    return machine_answer(ticket);
}
