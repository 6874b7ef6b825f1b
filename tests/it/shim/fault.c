/* Counts the calls that a program makes below a folder, writes them down, and breaks some. Loaded with LD_PRELOAD.
 *
 * There are three counters: `changes` are the calls that change the disk, `reads` those that read bytes of a file, `looks` those
 * that open a file or folder for reading and those that list one. Each numbers its calls from 1.
 *
 *   FAULT_ROOT         only calls on paths below this folder (absolute, without links) count
 *   FAULT_READ_ROOT    the same for reads and looks, where it is another folder
 *   FAULT_LOG          a file to which each counted call is appended before it is made, as
 *                      `counter TAB number TAB call TAB path [TAB new path] LF`
 *   FAULT_CHANGES      which changes are broken, and how: faults with commas between them
 *   FAULT_READS        the same for reads
 *   FAULT_LOOKS        the same for looks
 *   FAULT_SLOW_LISTS   set: opening a folder below the root to list it takes a minute
 *   FAULT_NO_FLOCK     set: locking fails with ENOLCK, as on file systems without locks
 *   FAULT_NO_TMPFILE   set: files without names cannot be made, as on file systems without them
 *   FAULT_NO_EXCHANGE  set: exchanging two paths fails with EINVAL, as on file systems that cannot
 *
 * A fault is `NUMBER:KIND`, or `NUMBER/STEP:KIND` for call NUMBER and every STEP-th after it. The kinds:
 *
 *   kill       SIGKILL instead of the call (a write gets half of its bytes to the file first)
 *   fail=E     the call fails with errno E
 *   interrupt  SIGINT, a moment for the program to see it, then the call
 *   short      a read or a write does half of what it is asked for
 *   flip       a read gives back one bit that is not as it was written
 *
 * The calls themselves are made as system calls in their newest form, so the symbols of libc are hardly needed. A process that dies
 * keeps what the system has cached, so syncs are counted and not made: waiting for the disk would show nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif
#define MOST_FAULTS 32
/* Files that are written past the page cache are written in whole blocks. */
#define BLOCK 4096

enum kind { PASS, FAIL, KILL, INTERRUPT, SHORT, FLIP };

struct fault {
    long first, step;
    enum kind kind;
    int error;
};

struct counter {
    const char *name, *root;
    atomic_long calls;
    int faults;
    struct fault fault[MOST_FAULTS];
};

static struct counter changes = {.name = "changes"}, reads = {.name = "reads"}, looks = {.name = "looks"};
static int log_fd = -1, no_exchange, no_flock, no_tmpfile, slow_lists;

/* A test that asks for what there is not must not pass. */
__attribute__((noreturn)) static void refuse(const char *faults) {
    fprintf(stderr, "the shim does not know these faults: %s\n", faults);
    _exit(99);
}

static void parse(struct counter *counter, const char *faults) {
    for (const char *rest = faults; rest && *rest;) {
        struct fault fault = {0};
        int length = 0;
        char kind[16] = "";
        if (sscanf(rest, "%ld/%ld:%n", &fault.first, &fault.step, &length) < 2 || length == 0) {
            fault.step = length = 0;
            if (sscanf(rest, "%ld:%n", &fault.first, &length) < 1 || length == 0) refuse(faults);
        }
        rest += length;
        if (sscanf(rest, "%15[a-z]%n", kind, &length) < 1) refuse(faults);
        rest += length;
        if (strcmp(kind, "fail") == 0) {
            fault.kind = FAIL;
            if (sscanf(rest, "=%d%n", &fault.error, &length) < 1) refuse(faults);
            rest += length;
        } else if (strcmp(kind, "kill") == 0) fault.kind = KILL;
        else if (strcmp(kind, "interrupt") == 0) fault.kind = INTERRUPT;
        else if (strcmp(kind, "short") == 0) fault.kind = SHORT;
        else if (strcmp(kind, "flip") == 0) fault.kind = FLIP;
        else refuse(faults);
        if (*rest == ',') rest++;
        else if (*rest) refuse(faults);
        if (counter->faults == MOST_FAULTS) refuse(faults);
        counter->fault[counter->faults++] = fault;
    }
}

__attribute__((constructor)) static void set_up(void) {
    const char *log = getenv("FAULT_LOG"), *read_root = getenv("FAULT_READ_ROOT");
    changes.root = getenv("FAULT_ROOT");
    reads.root = looks.root = read_root ? read_root : changes.root;
    parse(&changes, getenv("FAULT_CHANGES"));
    parse(&reads, getenv("FAULT_READS"));
    parse(&looks, getenv("FAULT_LOOKS"));
    no_exchange = getenv("FAULT_NO_EXCHANGE") != NULL;
    slow_lists = getenv("FAULT_SLOW_LISTS") != NULL;
    no_flock = getenv("FAULT_NO_FLOCK") != NULL;
    no_tmpfile = getenv("FAULT_NO_TMPFILE") != NULL;
    if (log) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

__attribute__((noreturn)) static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Where a path given to an *at call leads; empty when it cannot be told. */
static void resolve(int folder, const char *path, char out[PATH_MAX]) {
    char base[PATH_MAX], link[64];
    out[0] = 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return;
    base[length] = 0;
    if (strlen(base) + strlen(path) + 2 > PATH_MAX) return;
    strcpy(out, base);
    if (path[0]) {
        strcat(out, "/");
        strcat(out, path);
    }
}

static int below(const char *root, const char *path) {
    size_t length = root ? strlen(root) : 0;
    return length > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* Counts one call, and says what is to become of it. */
static enum kind judge(struct counter *counter, const char *call, const char *path, const char *new_path) {
    int saved = errno;
    enum kind kind = PASS;
    if (below(counter->root, path) || (new_path && below(counter->root, new_path))) {
        long number = atomic_fetch_add(&counter->calls, 1) + 1;
        if (log_fd >= 0) {
            char line[2 * PATH_MAX + 64];
            int length = snprintf(line, sizeof line, "%s\t%ld\t%s\t%s%s%s\n", counter->name, number, call, path, new_path ? "\t" : "",
                                  new_path ? new_path : "");
            syscall(SYS_write, log_fd, line, (size_t)length);
        }
        for (int i = 0; i < counter->faults; i++) {
            const struct fault *fault = &counter->fault[i];
            long after = number - fault->first;
            if (after != 0 && (after < 0 || fault->step == 0 || after % fault->step != 0)) continue;
            kind = fault->kind;
            if (kind == FAIL) saved = fault->error;
            if (kind == INTERRUPT) {
                syscall(SYS_kill, getpid(), SIGINT);
                usleep(100000);
            }
            break;
        }
    }
    errno = saved;
    return kind;
}

static enum kind judge_at(struct counter *counter, const char *call, int folder, const char *path) {
    char full[PATH_MAX];
    int saved = errno;
    resolve(folder, path, full);
    errno = saved;
    return judge(counter, call, full, NULL);
}

static enum kind judge_fd(struct counter *counter, const char *call, int fd) { return judge_at(counter, call, fd, ""); }

#define MAKE(judgement, failed, made)             \
    do {                                          \
        enum kind given = (judgement);            \
        if (given == KILL) die();                 \
        return given == FAIL ? (failed) : (made); \
    } while (0)

static int open_at(int folder, const char *path, int flags, mode_t permissions) {
    int without_name = (flags & O_TMPFILE) == O_TMPFILE;
    int is_change = (flags & (O_CREAT | O_TRUNC)) || without_name;
    if (no_tmpfile && without_name) {
        errno = EOPNOTSUPP;
        return -1;
    }
    MAKE(judge_at(is_change ? &changes : &looks, "open", folder, path), -1,
         (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, permissions));
}

#define PERMISSIONS(after)                                       \
    mode_t permissions = 0;                                      \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list arguments;                                       \
        va_start(arguments, after);                              \
        permissions = va_arg(arguments, mode_t);                 \
        va_end(arguments);                                       \
    }

int open(const char *path, int flags, ...) { PERMISSIONS(flags) return open_at(AT_FDCWD, path, flags, permissions); }
int open64(const char *path, int flags, ...) { PERMISSIONS(flags) return open_at(AT_FDCWD, path, flags, permissions); }
int openat(int folder, const char *path, int flags, ...) { PERMISSIONS(flags) return open_at(folder, path, flags, permissions); }
int openat64(int folder, const char *path, int flags, ...) { PERMISSIONS(flags) return open_at(folder, path, flags, permissions); }
int creat(const char *path, mode_t permissions) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, permissions); }
int creat64(const char *path, mode_t permissions) { return creat(path, permissions); }

static int is_direct(int fd) { return (fcntl(fd, F_GETFL) & O_DIRECT) != 0; }

/* Half of a length, as much as the system would take of it. */
static size_t half(int fd, size_t length) {
    size_t half = length / 2;
    return is_direct(fd) ? half / BLOCK * BLOCK : half;
}

/* What a write to a file does; `made(LENGTH)` writes so many bytes. A short one is not made so short that nothing is written. */
#define WRITE(made)                                                                       \
    do {                                                                                  \
        enum kind given = judge_fd(&changes, is_direct(fd) ? "direct" : "write", fd);     \
        if (given == KILL) {                                                              \
            made(half(fd, length));                                                       \
            die();                                                                        \
        }                                                                                 \
        if (given == FAIL) return -1;                                                     \
        return made(given == SHORT && half(fd, length) > 0 ? half(fd, length) : length); \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t length) {
#define MADE(LENGTH) syscall(SYS_write, fd, bytes, LENGTH)
    WRITE(MADE);
#undef MADE
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
#define MADE(LENGTH) syscall(SYS_pwrite64, fd, bytes, LENGTH, offset)
    WRITE(MADE);
#undef MADE
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }

/* Of several parts, the first may be all that is written. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (count == 1) return write(fd, parts->iov_base, parts->iov_len);
    size_t length = (size_t)count;
#define MADE(LENGTH) syscall(SYS_writev, fd, parts, LENGTH)
    WRITE(MADE);
#undef MADE
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (count == 1) return pwrite(fd, parts->iov_base, parts->iov_len, offset);
    size_t length = (size_t)count;
#define MADE(LENGTH) syscall(SYS_pwritev, fd, parts, LENGTH, offset, 0)
    WRITE(MADE);
#undef MADE
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

ssize_t copy_file_range(int from, off64_t *from_offset, int fd, off64_t *offset, size_t length, unsigned flags) {
#define MADE(LENGTH) syscall(SYS_copy_file_range, from, from_offset, fd, offset, LENGTH, flags)
    WRITE(MADE);
#undef MADE
}

/* What a read of a file gives; `made(LENGTH)` reads so many bytes. */
#define READ(made)                                                                           \
    do {                                                                                     \
        enum kind given = judge_fd(&reads, "read", fd);                                      \
        if (given == KILL) die();                                                            \
        if (given == FAIL) return -1;                                                        \
        ssize_t read = made(given == SHORT && half(fd, length) > 0 ? half(fd, length) : length); \
        if (given == FLIP && read > 0) ((unsigned char *)bytes)[read * 7 / 11] ^= 1 << (read % 8); \
        return read;                                                                         \
    } while (0)

ssize_t read(int fd, void *bytes, size_t length) {
#define MADE(LENGTH) syscall(SYS_read, fd, bytes, LENGTH)
    READ(MADE);
#undef MADE
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) {
#define MADE(LENGTH) syscall(SYS_pread64, fd, bytes, LENGTH, offset)
    READ(MADE);
#undef MADE
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) { return pread(fd, bytes, length, offset); }

DIR *opendir(const char *path) {
    DIR *(*next)(const char *) = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
    /* A signal ends a sleep, and must not end this. */
    if (slow_lists && below(changes.root, path))
        for (unsigned left = 60; left > 0;) left = sleep(left);
    MAKE(judge_at(&looks, "open", AT_FDCWD, path), NULL, next(path));
}

struct dirent64 *readdir64(DIR *folder) {
    struct dirent64 *(*next)(DIR *) = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    MAKE(judge_fd(&looks, "list", dirfd(folder)), NULL, next(folder));
}
struct dirent *readdir(DIR *folder) { return (struct dirent *)readdir64(folder); }

int flock(int fd, int how) {
    if (no_flock) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, how);
}

static int sync_file(int fd, long call) {
    char path[PATH_MAX];
    resolve(fd, "", path);
    return below(changes.root, path) ? 0 : (int)syscall(call, fd);
}
int fsync(int fd) { MAKE(judge_fd(&changes, "fsync", fd), -1, sync_file(fd, SYS_fsync)); }
int fdatasync(int fd) { MAKE(judge_fd(&changes, "fsync", fd), -1, sync_file(fd, SYS_fdatasync)); }
int ftruncate(int fd, off_t length) { MAKE(judge_fd(&changes, "ftruncate", fd), -1, (int)syscall(SYS_ftruncate, fd, length)); }
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fallocate(int fd, int how, off_t offset, off_t length) {
    MAKE(judge_fd(&changes, "fallocate", fd), -1, (int)syscall(SYS_fallocate, fd, how, offset, length));
}
int fallocate64(int fd, int how, off64_t offset, off64_t length) { return fallocate(fd, how, offset, length); }
/* These return the error instead of setting it. */
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

int mkdirat(int folder, const char *path, mode_t permissions) {
    MAKE(judge_at(&changes, "mkdir", folder, path), -1, (int)syscall(SYS_mkdirat, folder, path, permissions));
}
int mkdir(const char *path, mode_t permissions) { return mkdirat(AT_FDCWD, path, permissions); }

int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    int saved = errno;
    resolve(old_folder, old_path, from);
    resolve(new_folder, new_path, to);
    errno = saved;
    enum kind kind = judge(&changes, flags & RENAME_EXCHANGE ? "exchange" : "rename", from, to);
    if (kind == PASS && no_exchange && (flags & RENAME_EXCHANGE) && below(changes.root, to)) {
        errno = EINVAL;
        return -1;
    }
    MAKE(kind, -1, (int)syscall(SYS_renameat2, old_folder, old_path, new_folder, new_path, flags));
}
int renameat(int old_folder, const char *old_path, int new_folder, const char *new_path) {
    return renameat2(old_folder, old_path, new_folder, new_path, 0);
}
int rename(const char *old_path, const char *new_path) { return renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, 0); }

int unlinkat(int folder, const char *path, int flags) {
    MAKE(judge_at(&changes, "unlink", folder, path), -1, (int)syscall(SYS_unlinkat, folder, path, flags));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
