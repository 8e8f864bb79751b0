/* SPDX-License-Identifier: MIT */
/* mmio.h: device registers, one access each, in program order against each other (Device-nGnRE). */
#ifndef QEMU_VIRT_MMIO_H
#define QEMU_VIRT_MMIO_H

#include <ashlar/base.h>

/* By hand, in one instruction without write-back: what a hypervisor can decode (ESR.ISV). */
static inline uint32_t mmio_read32(uint64_t address) {
    uint32_t value;
    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline uint32_t mmio_read16(uint64_t address) {
    uint32_t value;
    __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline uint32_t mmio_read8(uint64_t address) {
    uint32_t value;
    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline uint64_t mmio_read64(uint64_t address) {
    uint64_t value;
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void mmio_write32(uint64_t address, uint32_t value) {
    __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void mmio_write16(uint64_t address, uint32_t value) {
    __asm__ volatile("strh %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void mmio_write8(uint64_t address, uint32_t value) {
    __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void mmio_write64(uint64_t address, uint64_t value) {
    __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(address) : "memory");
}

#endif
