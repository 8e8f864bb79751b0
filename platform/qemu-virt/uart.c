/* SPDX-License-Identifier: MIT */
/* uart.c: see uart.h. Register names are the PL011 manual's, chapter 3. */
#include "uart.h"

#include <ashlar/port.h>

#include "direct_map.h"
#include "gic.h"
#include "mmio.h"

enum {
    UARTDR = 0x00,
    UARTFR = 0x18,
    UARTLCR_H = 0x2c,
    UARTCR = 0x30,
    UARTIMSC = 0x38,
    UARTICR = 0x44,
    DR_FE = 1 << 8,   /* framing error */
    DR_PE = 1 << 9,   /* parity error */
    DR_BE = 1 << 10,  /* break */
    FR_RXFE = 1 << 4, /* receive FIFO empty */
    FR_TXFF = 1 << 5, /* transmit FIFO full */
    LCR_8_BITS = 3 << 5,
    CR_UARTEN = 1 << 0,
    CR_TXE = 1 << 8,
    CR_RXE = 1 << 9,
    INT_RX = 1 << 4,
    INT_RX_TIMEOUT = 1 << 6,
    RING_BYTES = 1024,
};

static struct {
    uint64_t base;
    struct ash_spinlock write_lock;
    bool is_unlocked;
    struct ash_spinlock ring_lock; /* guards what follows, and UARTIMSC */
    uint32_t head, tail;           /* free-running: bytes put, bytes taken */
    uint8_t ring[RING_BYTES];
} uart = {.base = DIRECT_MAP_BASE | UART_EARLY_BASE};

void uart_init(uint64_t base) {
    base = direct_map(base);
    uart.base = base;
    mmio_write32(base + UARTIMSC, 0);
    mmio_write32(base + UARTICR, 0x7ff);
    /* The receive FIFO stays off: switching it on empties it (3.3.7), and what a pipe feeds QEMU
     * arrives before the kernel does. */
    mmio_write32(base + UARTLCR_H, LCR_8_BITS);
    mmio_write32(base + UARTCR, CR_UARTEN | CR_TXE | CR_RXE);
}

static void write_unlocked(const char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        while ((mmio_read32(uart.base + UARTFR) & FR_TXFF) != 0)
            ash_port_relax();
        mmio_write32(uart.base + UARTDR, (uint8_t)bytes[i]);
    }
}

void uart_write_without_lock(void) {
    uart.is_unlocked = true;
}

void uart_write(const char *bytes, size_t len) {
    if (uart.is_unlocked) {
        write_unlocked(bytes, len);
        return;
    }
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&uart.write_lock);
    write_unlocked(bytes, len);
    ash_spin_unlock(&uart.write_lock);
    ash_port_irq_restore(state);
}

/* From the UART to the ring as far as there is room; masks the interrupt when there is none. */
static void fill_ring(void) {
    while ((mmio_read32(uart.base + UARTFR) & FR_RXFE) == 0) {
        if (uart.head - uart.tail == RING_BYTES) {
            mmio_write32(uart.base + UARTIMSC, 0);
            return;
        }
        uint32_t data = mmio_read32(uart.base + UARTDR);
        /* 3.3.1 UARTDR: these speak of this very byte, which is then not what was sent. The fourth
         * error bit, overrun, says that another was lost after it. */
        if ((data & (DR_FE | DR_PE | DR_BE)) == 0)
            uart.ring[uart.head++ % RING_BYTES] = (uint8_t)data;
    }
    mmio_write32(uart.base + UARTIMSC, INT_RX | INT_RX_TIMEOUT);
}

static void on_receive(void *context) {
    (void)context;
    ash_spin_lock(&uart.ring_lock);
    mmio_write32(uart.base + UARTICR, INT_RX | INT_RX_TIMEOUT);
    fill_ring();
    ash_spin_unlock(&uart.ring_lock);
}

void uart_enable_receive(uint32_t intid) {
    gic_connect(intid, false, on_receive, NULL);
    ash_irq_t state = ash_port_irq_save();
    on_receive(NULL); /* what came before */
    ash_port_irq_restore(state);
}

int uart_read(void) {
    int byte = -1;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&uart.ring_lock);
    if (uart.head == uart.tail)
        fill_ring(); /* it was full once, and its interrupt is masked; or there is none yet */
    if (uart.head != uart.tail)
        byte = uart.ring[uart.tail++ % RING_BYTES];
    ash_spin_unlock(&uart.ring_lock);
    ash_port_irq_restore(state);
    return byte;
}
