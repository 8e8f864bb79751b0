/* SPDX-License-Identifier: MIT */
#include "vhost/daemon.h"

#include "harness/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "qemu-storage-daemon"

enum { START_PAUSE_MS = 2, START_PAUSES_MAX = 5000 };

static bool is_installed(void) {
    const char *path = getenv("PATH");
    for (path = path == NULL ? "" : path; *path != '\0';) {
        char file[1024];
        size_t len = strcspn(path, ":");
        snprintf(file, sizeof(file), "%.*s/" PROGRAM, (int)len, path);
        if (access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static struct daemon the_daemon;

static void end_at_exit(void) {
    daemon_end(&the_daemon);
}

static struct daemon *prepare(uint32_t queues) {
    static bool is_registered;
    struct daemon *daemon = &the_daemon;
    if (!is_installed())
        test_skip("no " PROGRAM " here (Debian: apt-get install qemu-system-common)");
    daemon_end(daemon);
    if (!is_registered)
        CHECK_EQ(atexit(end_at_exit), 0);
    is_registered = true;
    daemon->queues = queues;
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(daemon->folder, sizeof(daemon->folder), "%s/ashlar-vhost-XXXXXX", place);
    CHECK(mkdtemp(daemon->folder) != NULL);
    snprintf(daemon->socket, sizeof(daemon->socket), "%.48s/socket", daemon->folder);
    snprintf(daemon->file, sizeof(daemon->file), "%.48s/disk", daemon->folder);
    return daemon;
}

static void run(const struct daemon *daemon, const char *export) {
    char *const words[] = {PROGRAM,
                           "--blockdev",
                           (char *)(uintptr_t)daemon->blockdev,
                           "--export",
                           (char *)(uintptr_t) export,
                           NULL};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execvp(PROGRAM, words);
    _exit(127);
}

static bool is_listening(const struct daemon *daemon) {
    /* The name alone is there before anybody listens; a connection would be somebody's. */
    char line[512];
    bool found = false;
    FILE *sockets = fopen("/proc/net/unix", "r");
    CHECK(sockets != NULL);
    while (!found && fgets(line, sizeof(line), sockets) != NULL) {
        unsigned flags;
        found = strstr(line, daemon->socket) != NULL &&
                sscanf(line, "%*s %*s %*s %x", &flags) == 1 && (flags & 0x10000) != 0;
    }
    fclose(sockets);
    return found;
}

void daemon_restart(struct daemon *daemon) {
    char export[2 * DAEMON_PATH_BYTES];
    snprintf(export, sizeof(export),
             "type=vhost-user-blk,id=e0,node-name=n0,addr.type=unix,addr.path=%s,writable=on,"
             "num-queues=%u",
             daemon->socket, daemon->queues);
    (void)unlink(daemon->socket);
    daemon->pid = fork();
    CHECK(daemon->pid >= 0);
    if (daemon->pid == 0)
        run(daemon, export);
    for (uint32_t pauses = 0; !is_listening(daemon); pauses++) {
        CHECK(pauses < START_PAUSES_MAX);
        CHECK_EQ(waitpid(daemon->pid, NULL, WNOHANG), 0);
        poll(NULL, 0, START_PAUSE_MS);
    }
}

struct daemon *daemon_start_null(uint64_t size_bytes, uint64_t latency_ns, uint32_t queues) {
    struct daemon *daemon = prepare(queues);
    snprintf(daemon->blockdev, sizeof(daemon->blockdev),
             "driver=null-co,node-name=n0,size=%llu,latency-ns=%llu,read-zeroes=on",
             (unsigned long long)size_bytes, (unsigned long long)latency_ns);
    daemon_restart(daemon);
    return daemon;
}

static void write_file(const struct daemon *daemon, uint32_t sectors) {
    FILE *file = fopen(daemon->file, "wb");
    CHECK(file != NULL);
    for (uint64_t sector = 0; sector < sectors; sector++) {
        uint64_t words[64];
        for (uint32_t i = 0; i < 64; i++)
            words[i] = sector;
        CHECK_EQ(fwrite(words, sizeof(words), 1, file), 1);
    }
    CHECK_EQ(fclose(file), 0);
}

struct daemon *daemon_start_file(uint32_t sectors, uint32_t queues) {
    struct daemon *daemon = prepare(queues);
    write_file(daemon, sectors);
    snprintf(daemon->blockdev, sizeof(daemon->blockdev),
             "driver=file,node-name=n0,aio=threads,filename=%s", daemon->file);
    daemon_restart(daemon);
    return daemon;
}

void daemon_kill(struct daemon *daemon) {
    pid_t pid = daemon->pid;
    kill(pid, SIGKILL);
    daemon->pid = 0;
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

void daemon_freeze(struct daemon *daemon) {
    int status;
    kill(daemon->pid, SIGSTOP);
    CHECK_EQ(waitpid(daemon->pid, &status, WUNTRACED), daemon->pid);
    CHECK(WIFSTOPPED(status));
}

void daemon_thaw(struct daemon *daemon) {
    kill(daemon->pid, SIGCONT);
}

bool daemon_has_memory(const struct daemon *daemon) {
    char path[64], line[512];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)daemon->pid);
    FILE *maps = fopen(path, "r");
    CHECK(maps != NULL);
    while (!found && fgets(line, sizeof(line), maps) != NULL)
        found = strstr(line, "/memfd:virtio") != NULL;
    fclose(maps);
    return found;
}

void daemon_end(struct daemon *daemon) {
    if (daemon->folder[0] == '\0')
        return;
    if (daemon->pid != 0)
        daemon_kill(daemon);
    (void)unlink(daemon->socket);
    (void)unlink(daemon->file);
    (void)rmdir(daemon->folder);
    daemon->folder[0] = '\0';
}
