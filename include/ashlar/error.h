/* SPDX-License-Identifier: MIT */
/*
 * error.h: what can go wrong, as small numbers with errno's meanings and Linux's values.
 *
 * Rules
 *  - A function that can fail returns int: 0, or one of these negated (-ASH_ENOMEM), and is marked
 *    ASH_MUST_CHECK. Each header lists which errors each function returns.
 *  - Running out of something is an error value. A broken contract is not: see check.h.
 */
#ifndef ASHLAR_ERROR_H
#define ASHLAR_ERROR_H

/* X(name, value, phrase) */
#define ASH_ERRORS(X)                                                \
    X(EPERM, 1, "not permitted")                                     \
    X(ENOENT, 2, "no such file or object")                           \
    X(ESRCH, 3, "no such process")                                   \
    X(EINTR, 4, "interrupted by a signal")                           \
    X(EIO, 5, "the device reported an error, or broke its protocol") \
    X(ENXIO, 6, "no such device")                                    \
    X(E2BIG, 7, "too many arguments, or one too long")               \
    X(ENOEXEC, 8, "not a program for this machine")                  \
    X(EBADF, 9, "bad file descriptor")                               \
    X(ECHILD, 10, "no such child process")                           \
    X(EAGAIN, 11, "cannot be done now; try again later")             \
    X(ENOMEM, 12, "out of memory")                                   \
    X(EACCES, 13, "permission denied")                               \
    X(EFAULT, 14, "bad address")                                     \
    X(EBUSY, 16, "in use")                                           \
    X(EEXIST, 17, "already there")                                   \
    X(ENODEV, 19, "the device is not of the kind that this needs")   \
    X(ENOTDIR, 20, "not a directory")                                \
    X(EISDIR, 21, "is a directory")                                  \
    X(EINVAL, 22, "invalid argument")                                \
    X(ENFILE, 23, "too many open files in all")                      \
    X(EMFILE, 24, "too many open files")                             \
    X(ENOTTY, 25, "not a terminal")                                  \
    X(EFBIG, 27, "too large")                                        \
    X(ENOSPC, 28, "no space left")                                   \
    X(ESPIPE, 29, "not seekable")                                    \
    X(EROFS, 30, "read-only")                                        \
    X(EPIPE, 32, "the other end is closed")                          \
    X(ERANGE, 34, "out of range")                                    \
    X(ENAMETOOLONG, 36, "name too long")                             \
    X(ENOSYS, 38, "not implemented by this device or platform")      \
    X(ELOOP, 40, "too many levels of symbolic links")                \
    X(EBADMSG, 74, "malformed data")                                 \
    X(EOVERFLOW, 75, "a size or count does not fit its type")        \
    X(ENOTSUP, 95, "not supported")                                  \
    X(ETIMEDOUT, 110, "timed out")

enum ash_error {
#define ASH_ERROR_ENUM(name, value, phrase) ASH_##name = value,
    ASH_ERRORS(ASH_ERROR_ENUM)
#undef ASH_ERROR_ENUM
};

/* The phrase for an error, given as its positive or negative number; never NULL. */
static inline const char *ash_strerror(int error) {
    switch (error > 0 ? -error : error) { /* INT_MIN has no positive */
    case 0:
        return "success";
#define ASH_ERROR_CASE(name, value, phrase) \
    case -(value):                          \
        return phrase;
        ASH_ERRORS(ASH_ERROR_CASE)
#undef ASH_ERROR_CASE
    default:
        return "unknown error";
    }
}

#endif
