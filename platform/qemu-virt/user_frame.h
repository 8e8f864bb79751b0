/* SPDX-License-Identifier: MIT */
/* user_frame.h: what user.S, vectors.S and user.c know together: offsets of struct platform_user
 * and of the frame below a program. */
#ifndef QEMU_VIRT_USER_FRAME_H
#define QEMU_VIRT_USER_FRAME_H

#define USER_X30    240
#define USER_SP     248
#define USER_PC     256
#define USER_PSTATE 264
#define USER_TLS    272
#define USER_FPCR   280
#define USER_FPSR   288
#define USER_V      304

/* The frame that user_enter pushes. */
#define USER_FRAME_USER    96
#define USER_FRAME_SCRATCH 112
#define USER_FRAME_BYTES   128

/* What left EL0: vectors.S, user.c. */
#define USER_SYNC   0
#define USER_IRQ    1
#define USER_FIQ    2
#define USER_SERROR 3

/* CPACR_EL1.FPEN: FP/SIMD registers without traps; SVE and SME stay shut. */
#define CPACR_FP_OPEN (3 << 20)

#endif
