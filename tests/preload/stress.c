/* SPDX-License-Identifier: MIT */
/*
 * stress.c: a program that is run on libashlar-malloc.so by LD_PRELOAD: `stress CASE`. Ends with 0,
 * or says what was wrong. It knows the C library's interface alone; but for `preloaded` and the
 * sizes that it tries, every case holds for any allocator.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: %s does not hold (errno %d)\n", __FILE__, __LINE__, \
                    #condition, errno);                                                 \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* Sizes must not be seen by the compiler: it knows what malloc may do. */
static size_t hidden(size_t size) {
    __asm__ volatile("" : "+r"(size));
    return size;
}

static void *seen(void *pointer) {
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly small, each doubling up to 2 MiB as likely as the next smaller by half. */
static size_t random_size(uint64_t *state) {
    uint64_t draw = random_next(state);
    unsigned bits = (unsigned)__builtin_ctzll(draw | UINT64_C(1) << 14) + 7;
    return (size_t)(random_next(state) % (UINT64_C(1) << bits));
}

static size_t resident_bytes(void) {
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu %lu", &pages, &resident) == 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Model: blocks filled with a pattern of their own, which must be there until they are freed. */

struct block {
    unsigned char *bytes;
    size_t size;
    unsigned char pattern;
};

static void check_bytes(const unsigned char *bytes, size_t size, unsigned char pattern) {
    if (size == 0)
        return;
    CHECK(bytes[0] == pattern && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static void fill(struct block *block, size_t from, uint64_t *state) {
    if (from == 0)
        block->pattern = (unsigned char)random_next(state);
    memset(block->bytes + from, block->pattern, block->size - from);
    CHECK((uintptr_t)block->bytes % 16 == 0);
    CHECK(malloc_usable_size(block->bytes) >= block->size);
}

static void make(struct block *block, uint64_t *state) {
    size_t align = (size_t)16 << random_next(state) % 10;
    block->size = random_size(state);
    switch (random_next(state) % 4) {
    case 0:
        block->bytes = calloc(1, block->size);
        CHECK(block->bytes != NULL);
        check_bytes(block->bytes, block->size, 0);
        break;
    case 1:
        CHECK(posix_memalign((void **)&block->bytes, align, block->size) == 0);
        CHECK((uintptr_t)block->bytes % align == 0);
        break;
    default:
        block->bytes = malloc(block->size);
        CHECK(block->bytes != NULL);
    }
    fill(block, 0, state);
}

static void resize(struct block *block, uint64_t *state) {
    size_t size = random_size(state) + 1, before = block->size;
    block->bytes = realloc(block->bytes, size);
    CHECK(block->bytes != NULL);
    check_bytes(block->bytes, before < size ? before : size, block->pattern);
    block->size = size;
    if (size > before)
        fill(block, before, state);
}

static void drop(struct block *block) {
    check_bytes(block->bytes, block->size, block->pattern);
    free(block->bytes);
    block->bytes = NULL;
}

static void churn(struct block *blocks, size_t count, unsigned steps, uint64_t seed) {
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (unsigned step = 0; step < steps; step++) {
        struct block *block = &blocks[random_next(&state) % count];
        if (block->bytes == NULL)
            make(block, &state);
        else if (random_next(&state) % 3 == 0)
            resize(block, &state);
        else
            drop(block);
    }
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].bytes != NULL)
            drop(&blocks[i]);
    }
}

static void case_model(void) {
    static struct block blocks[500];
    for (uint64_t seed = 1; seed <= 5; seed++)
        churn(blocks, 500, 100000, seed);
}

/* The interface */

static void case_preloaded(void) {
    Dl_info info;
    void *names[] = {(void *)malloc,
                     (void *)free,
                     (void *)calloc,
                     (void *)realloc,
                     (void *)reallocarray,
                     (void *)posix_memalign,
                     (void *)aligned_alloc,
                     (void *)memalign,
                     (void *)valloc,
                     (void *)pvalloc,
                     (void *)malloc_usable_size,
                     (void *)malloc_trim};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(dladdr(names[i], &info) != 0 && strstr(info.dli_fname, "libashlar-malloc") != NULL);
}

static void case_edges(void) {
    void *a = malloc(hidden(0)), *b = malloc(hidden(0)), *c = calloc(hidden(0), 5);
    CHECK(a != NULL && b != NULL && c != NULL && a != b && b != c && a != c);
    free(a), free(b), free(c);
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
    a = realloc(NULL, hidden(100));
    CHECK(a != NULL && realloc(a, hidden(0)) == NULL);

    size_t too_large[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX - 15,
                          SIZE_MAX};
    for (size_t i = 0; i < 5; i++) {
        size_t size = hidden(too_large[i]);
        errno = 0;
        CHECK(malloc(size) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(1, size) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(aligned_alloc(64, size) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(pvalloc(size) == NULL && errno == ENOMEM);
        a = malloc(10);
        strcpy(a, "unchanged");
        errno = 0;
        CHECK(realloc(a, size) == NULL && errno == ENOMEM && strcmp(a, "unchanged") == 0);
        errno = 0;
        CHECK(posix_memalign(&b, 64, size) == ENOMEM && errno == 0);
        free(a);
    }
    errno = 0;
    CHECK(calloc(hidden(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(NULL, hidden(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
}

static void case_align(void) {
    void *pointer = NULL;
    CHECK(posix_memalign(&pointer, 0, 8) == EINVAL && posix_memalign(&pointer, 4, 8) == EINVAL);
    CHECK(posix_memalign(&pointer, 24, 8) == EINVAL && pointer == NULL);
    for (size_t align = 8; align <= 4 * MIB; align *= 2) {
        for (size_t size = 0; size < 9000; size += 1 + size / 3) {
            unsigned char *a = aligned_alloc(align, hidden(size));
            CHECK(a != NULL && (uintptr_t)a % align == 0 && malloc_usable_size(a) >= size);
            memset(a, 0xa5, size);
            free(a);
        }
    }
    for (size_t size = 0; size < 20000; size += 1 + size / 40) {
        unsigned char *a = malloc(size), *b = valloc(hidden(size)), *c = pvalloc(hidden(size));
        CHECK(a != NULL && b != NULL && c != NULL);
        CHECK((uintptr_t)a % 16 == 0 && (uintptr_t)b % 4096 == 0 && (uintptr_t)c % 4096 == 0);
        CHECK(size == 0 || malloc_usable_size(c) >= (size + 4095) / 4096 * 4096);
        memset(a, 1, malloc_usable_size(a)), memset(b, 2, size), memset(c, 3, size);
        check_bytes(a, size, 1), check_bytes(b, size, 2);
        free(a), free(b), free(c);
    }
    unsigned char *large = aligned_alloc(2 * GIB, hidden(5000));
    CHECK(large != NULL && (uintptr_t)large % (2 * GIB) == 0);
    memset(large, 1, 5000);
    free(large);
}

/* As glibc 2.36: rounded up to a power of two by both names, refused by posix_memalign. */
static void case_odd_align(void) {
    static const size_t aligns[] = {0, 1, 2, 3, 12, 24, 33, 96, 100, 1000, 3000, 4097, 10000};
    void *pointer = NULL;
    for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
        for (size_t size = 0; size < 9000; size += 1 + size / 3) {
            void *a = memalign(hidden(aligns[i]), size),
                 *b = aligned_alloc(hidden(aligns[i]), size);
            size_t power = 1;
            while (power < aligns[i])
                power *= 2;
            CHECK(a != NULL && (uintptr_t)a % power == 0 && malloc_usable_size(a) >= size);
            CHECK(b != NULL && (uintptr_t)b % power == 0 && malloc_usable_size(b) >= size);
            free(a), free(b);
        }
        if (aligns[i] % sizeof(void *) != 0 || aligns[i] == 0 || aligns[i] == 24)
            CHECK(posix_memalign(&pointer, hidden(aligns[i]), 8) == EINVAL && pointer == NULL);
    }
    static const size_t too_large[] = {SIZE_MAX / 2 + 2, SIZE_MAX - 4096, SIZE_MAX};
    for (size_t i = 0; i < 3; i++) {
        errno = 0;
        CHECK(memalign(hidden(too_large[i]), 8) == NULL && errno == EINVAL);
        errno = 0;
        CHECK(aligned_alloc(hidden(too_large[i]), 8) == NULL && errno == EINVAL);
    }
    static const size_t beyond[] = {SIZE_MAX / 4 + 2, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < 2; i++) {
        errno = 0;
        CHECK(memalign(hidden(beyond[i]), 8) == NULL && errno == ENOMEM);
    }
}

static void case_zero(void) {
    for (unsigned round = 0; round < 3; round++) {
        for (size_t size = 1; size <= 24 * MIB; size = size * 3 / 2 + 1) {
            unsigned char *dirty = malloc(size);
            CHECK(dirty != NULL);
            memset(dirty, 0xff, size);
            free(seen(dirty));
            unsigned char *clean = calloc(hidden(size), 1);
            CHECK(clean != NULL);
            check_bytes(clean, size, 0);
            memset(clean, 0xff, malloc_usable_size(clean));
            free(seen(clean));
        }
    }
}

/* Through every boundary: classes, pages, 1 GiB; a page is touched here and there. */
static void case_realloc(void) {
    static const size_t sizes[] = {1,        15,      16,          17,          512,
                                   513,      8 * KIB, 8 * KIB + 1, 64 * KIB,    MIB + 1,
                                   64 * MIB, GIB,     GIB + 1,     3 * GIB,     2 * GIB,
                                   GIB - 1,  5000,    16,          2 * GIB + 5, 100};
    unsigned char *block = NULL;
    size_t before = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i], step = 16 * MIB + 1;
        block = realloc(block, size);
        CHECK(block != NULL && malloc_usable_size(block) >= size);
        for (size_t at = 0; at < before && at < size; at += step)
            CHECK(block[at] == (unsigned char)(at / step + 1));
        for (size_t at = 0; at < size; at += step)
            block[at] = (unsigned char)(at / step + 1);
        before = size;
    }
    free(block);
}

static void case_huge(void) {
    unsigned char *blocks[100];
    unsigned char *block = malloc(3 * GIB);
    CHECK(block != NULL && malloc_usable_size(block) >= 3 * GIB);
    block[0] = 1, block[3 * GIB - 1] = 2;
    free(block);
    block = calloc(3, GIB);
    CHECK(block != NULL && block[0] == 0 && block[3 * GIB - 1] == 0);
    free(block);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++) {
            blocks[i] = malloc(GIB + i * MIB + 1);
            CHECK(blocks[i] != NULL);
            blocks[i][GIB + i * MIB] = (unsigned char)i;
        }
        for (size_t i = 0; i < 100; i++) {
            size_t j = i * 37 % 100;
            CHECK(blocks[j][GIB + j * MIB] == j && malloc_usable_size(blocks[j]) > GIB);
            free(blocks[j]);
        }
    }
}

/* More addresses than the machine has memory, page by page: 5 GiB, of which little is touched. */
static void case_many(void) {
    enum { BLOCKS = 80 };
    static unsigned char *blocks[BLOCKS];
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = i % 10 == 0 ? GIB / 4 * 3 : 50 * MIB;
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL);
            blocks[i][0] = blocks[i][size - 1] = (unsigned char)i;
        }
        static struct block small[200];
        churn(small, 200, 20000, round);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t j = i * 37 % BLOCKS;
            CHECK(blocks[j][0] == j);
            CHECK(blocks[j][(j % 10 == 0 ? GIB / 4 * 3 : 50 * MIB) - 1] == j);
            free(blocks[j]);
        }
    }
}

/* Memory goes back */

static void burst(size_t size, size_t total) {
    size_t count = total / size, quiet = resident_bytes();
    void **objects = malloc(count * sizeof(*objects));
    CHECK(objects != NULL);
    for (size_t i = 0; i < count; i++) {
        objects[i] = malloc(size);
        CHECK(objects[i] != NULL);
        memset(objects[i], 1, size);
    }
    size_t full = resident_bytes();
    CHECK(full >= total);
    for (size_t i = 0; i < count; i++)
        free(objects[i]);
    free(objects);
    size_t after = resident_bytes();
    printf("%zu bytes a piece: quiet %zu MiB, full %zu, after %zu\n", size, quiet / MIB, full / MIB,
           after / MIB);
    CHECK(after <= quiet + total / 4);
}

/* Up to the last page of the first GiB, and all of it given back, before there is a second. */
/* Linux drops no page that is locked: what was in it must not be taken for zeros. */
static void case_locked(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        printf("memory cannot be locked here\n");
        return;
    }
    for (size_t size = 2 * MIB; size <= 64 * MIB; size *= 2) {
        static unsigned char *blocks[32];
        size_t count = 64 * MIB / size;
        for (size_t i = 0; i < count; i++) {
            CHECK((blocks[i] = malloc(hidden(size))) != NULL);
            memset(blocks[i], 0xff, size);
        }
        for (size_t i = 0; i < count; i++)
            free(seen(blocks[i]));
        malloc_trim(0);
        for (size_t i = 0; i < count; i++) {
            CHECK((blocks[i] = calloc(1, hidden(size))) != NULL);
            check_bytes(blocks[i], size, 0);
        }
        for (size_t i = 0; i < count; i++)
            free(seen(blocks[i]));
    }
}

static void case_last_page(void) {
    static unsigned char *blocks[512];
    for (size_t count = 500; count <= 512; count++) {
        for (size_t i = 0; i < count; i++)
            CHECK((blocks[i] = malloc(2 * MIB)) != NULL);
        for (size_t i = 0; i < count; i++)
            free(blocks[i]);
        malloc_trim(0);
    }
}

static void case_burst(void) {
    burst(64, 256 * MIB);
    burst(3000, 256 * MIB);
    burst(100 * KIB, 256 * MIB);
    burst(16 * MIB, 256 * MIB);
    malloc_trim(0);
    size_t trimmed = resident_bytes();
    printf("trimmed: %zu MiB\n", trimmed / MIB);
    CHECK(trimmed <= 48 * MIB);
}

/* Threads */

static void *churn_thread(void *argument) {
    struct block *blocks = calloc(100, sizeof(*blocks));
    CHECK(blocks != NULL);
    churn(blocks, 100, 30000, (uint64_t)(uintptr_t)argument);
    free(blocks);
    return NULL;
}

static void run_threads(size_t count, void *(*body)(void *argument)) {
    pthread_t *threads = malloc(count * sizeof(*threads));
    CHECK(threads != NULL);
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    free(threads);
}

static void case_threads(void) {
    run_threads(8, churn_thread);
    run_threads(4, churn_thread);
}

/* One makes, another frees, through a ring of slots that either waits at. */
#define RING 1024
static _Atomic(unsigned char *) ring[RING];

static void *consumer(void *argument) {
    for (size_t i = 0; i < 200000; i++) {
        unsigned char *bytes;
        while ((bytes = atomic_exchange(&ring[i % RING], NULL)) == NULL)
            sched_yield();
        CHECK(bytes[0] == (unsigned char)i);
        free(bytes);
    }
    return argument;
}

static void case_producer(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, consumer, NULL) == 0);
    for (size_t i = 0; i < 200000; i++) {
        unsigned char *bytes = malloc(i % 600 + 1), *empty = NULL;
        CHECK(bytes != NULL);
        bytes[0] = (unsigned char)i;
        while (!atomic_compare_exchange_weak(&ring[i % RING], &empty, bytes)) {
            empty = NULL;
            sched_yield();
        }
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

#define CROWD 2000
static pthread_barrier_t crowd_barrier;
static void *crowd_blocks[CROWD];

/* All alive at once, each with memory; what one made, another frees. */
static void *one_of_crowd(void *argument) {
    size_t self = (size_t)(uintptr_t)argument - 1;
    struct block blocks[20] = {{NULL, 0, 0}};
    crowd_blocks[self] = malloc(100 + self);
    CHECK(crowd_blocks[self] != NULL);
    memset(crowd_blocks[self], (int)(self & 0xff), 100 + self);
    pthread_barrier_wait(&crowd_barrier);
    churn(blocks, 20, 100, self);
    size_t other = (self + 777) % CROWD;
    check_bytes(crowd_blocks[other], 100 + other, (unsigned char)other);
    free(crowd_blocks[other]);
    return NULL;
}

static void case_crowd(void) {
    pthread_attr_t attributes;
    static pthread_t threads[CROWD];
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * KIB);
    pthread_barrier_init(&crowd_barrier, NULL, CROWD);
    for (size_t i = 0; i < CROWD; i++)
        CHECK(pthread_create(&threads[i], &attributes, one_of_crowd, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < CROWD; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Threads come and go; what each leaves behind in its slot must not add up. */
static void *passer(void *argument) {
    void *objects[300];
    for (size_t i = 0; i < 300; i++) {
        objects[i] = malloc(4000);
        CHECK(objects[i] != NULL);
        memset(objects[i], 1, 4000);
    }
    for (size_t i = 0; i < 300; i++)
        free(objects[i]);
    return argument;
}

static void case_passers(void) {
    run_threads(20, passer);
    size_t before = resident_bytes();
    for (unsigned i = 0; i < 100; i++)
        run_threads(20, passer);
    size_t after = resident_bytes();
    printf("before %zu KiB, after %zu\n", before / KIB, after / KIB);
    CHECK(after < before + 48 * MIB);
}

/* A destructor of the program's own, which runs after the allocator's was registered. */
static pthread_key_t program_key;

static void program_destructor(void *object) {
    void *more = malloc(100);
    CHECK(more != NULL);
    free(more);
    free(object);
}

static void *keyed(void *argument) {
    CHECK(pthread_setspecific(program_key, malloc(50)) == 0);
    return argument;
}

static void case_destructors(void) {
    CHECK(pthread_key_create(&program_key, program_destructor) == 0);
    for (unsigned i = 0; i < 100; i++)
        run_threads(10, keyed);
}

/* Fork */

static atomic_bool storm_over;

/* More at once than any cache of free objects holds: so locks are taken all the time. */
static void batches(unsigned rounds) {
    static const size_t sizes[] = {16, 200, 3000, 8000, 9000, 70000};
    void *objects[300];
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = sizes[round % (sizeof(sizes) / sizeof(sizes[0]))];
        for (size_t i = 0; i < 300; i++)
            CHECK((objects[i] = malloc(size)) != NULL);
        for (size_t i = 0; i < 300; i++)
            free(objects[i]);
    }
}

static void *storm(void *argument) {
    struct block blocks[50] = {{NULL, 0, 0}};
    for (uint64_t seed = (uint64_t)(uintptr_t)argument; !atomic_load(&storm_over); seed += 100) {
        churn(blocks, 50, 200, seed);
        batches(12);
        usleep(1000); /* else a crowd leaves the child no processor */
    }
    return NULL;
}

/* It ends with 0 and within seconds. */
static void check_child(pid_t pid) {
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
}

static void grandchild(void) {
    churn_thread((void *)1);
    _exit(0);
}

static void child(uint64_t seed) {
    static struct block blocks[100];
    alarm(20);
    churn(blocks, 100, 2000, seed);
    batches(12);
    if (seed % 8 == 0)
        run_threads(4, churn_thread);
    if (seed % 8 == 1) {
        pid_t pid = fork();
        if (pid == 0)
            grandchild();
        check_child(pid);
    }
    _exit(0);
}

static void storm_and_forks(size_t threads, unsigned forks) {
    pthread_t *storms = malloc(threads * sizeof(*storms));
    CHECK(storms != NULL);
    atomic_store(&storm_over, false);
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_create(&storms[i], NULL, storm, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < forks; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(i);
        check_child(pid);
    }
    atomic_store(&storm_over, true);
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_join(storms[i], NULL) == 0);
    free(storms);
}

static void case_fork(void) {
    storm_and_forks(4, 60);
}

/* More threads than there are slots: some of them are inside a shared one. */
static void case_fork_crowd(void) {
    storm_and_forks(80, 10);
}

/* Threads that end without their destructors: nobody gives their slots back. */
static void *lost(void *argument) {
    free(seen(malloc(1000)));
    syscall(SYS_exit, 0);
    return argument;
}

static void case_lost(void) {
    for (unsigned round = 0; round < 3; round++) {
        run_threads(100, lost);
        run_threads(4, churn_thread);
        storm_and_forks(4, 4);
    }
}

/* Run with a small RLIMIT_AS: everything that fits, then ENOMEM, then everything again. */
static size_t fill_memory(size_t size) {
    struct node {
        struct node *next;
    } *first = NULL, *node;
    size_t bytes = 0;
    errno = 0;
    for (; (node = malloc(size)) != NULL; bytes += size) {
        memset(node, 1, size);
        node->next = first;
        first = node;
    }
    CHECK(errno == ENOMEM);
    errno = 0;
    CHECK(malloc(size) == NULL && errno == ENOMEM);
    while (first != NULL) {
        node = first;
        first = node->next;
        free(node);
    }
    return bytes;
}

static void case_limit(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY);
    static const size_t sizes[] = {16, 100, 5000, 8192, 100000, MIB, 20 * MIB, 16};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t bytes = fill_memory(sizes[i]);
        printf("%zu bytes a piece: %zu MiB of %zu\n", sizes[i], bytes / MIB,
               (size_t)limit.rlim_cur / MIB);
        CHECK(bytes >= limit.rlim_cur / 8 && bytes <= limit.rlim_cur);
    }
}

/* Must not survive */

static void case_double_free(void) {
    void *pointer = malloc(50);
    free(pointer);
    free(seen(pointer));
    malloc_trim(0);
    /* What a magazine has taken is seen when it comes to its slab, at the latest here. */
    for (unsigned i = 0; i < 100000; i++)
        free(seen(malloc(50)));
    malloc_trim(0);
}

static void case_foreign_free(void) {
    static char array[64];
    free(seen(array + 16));
}

static void case_inner_free(void) {
    char *pointer = malloc(100000);
    free(seen(pointer + 4096));
}

static void case_unmapped_free(void) {
    free(seen((void *)0x123456789000));
}

/* For the profiles. No function of this program is seen through: reports name who called. */

__attribute__((noinline)) static void *take(size_t size) {
    return seen(malloc(size));
}

__attribute__((noinline)) static void give(void *pointer) {
    free(seen(pointer));
}

/* Nothing else happens to the object that was freed twice: the free itself must see it. */
static void case_double_free_at_once(void) {
    void *pointer = take(50);
    give(pointer);
    give(pointer);
    _exit(0);
}

static void case_inner_free_at_once(void) {
    char *pointer = take(200);
    give(pointer + 32);
    _exit(0);
}

static void case_overflow(void) {
    char *pointer = take(64);
    ((char *)seen(pointer))[64] = 1;
    give(pointer);
    _exit(0);
}

static void case_use_after_free(void) {
    char *pointer = take(300);
    give(pointer);
    ((char *)seen(pointer))[5] = 1;
    for (unsigned i = 0; i < 10000; i++)
        give(take(300));
    malloc_trim(0);
    _exit(0);
}

static const struct {
    const char *name;
    void (*body)(void);
} cases[] = {
    {"preloaded", case_preloaded},
    {"edges", case_edges},
    {"align", case_align},
    {"odd_align", case_odd_align},
    {"zero", case_zero},
    {"realloc", case_realloc},
    {"huge", case_huge},
    {"many", case_many},
    {"model", case_model},
    {"burst", case_burst},
    {"locked", case_locked},
    {"last_page", case_last_page},
    {"threads", case_threads},
    {"producer", case_producer},
    {"crowd", case_crowd},
    {"passers", case_passers},
    {"destructors", case_destructors},
    {"fork", case_fork},
    {"fork_crowd", case_fork_crowd},
    {"limit", case_limit},
    {"lost", case_lost},
    {"double_free", case_double_free},
    {"foreign_free", case_foreign_free},
    {"inner_free", case_inner_free},
    {"unmapped_free", case_unmapped_free},
    {"double_free_at_once", case_double_free_at_once},
    {"inner_free_at_once", case_inner_free_at_once},
    {"overflow", case_overflow},
    {"use_after_free", case_use_after_free},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].body();
            return 0;
        }
    }
    fprintf(stderr, "usage: stress CASE\n");
    return 2;
}
