/* Counts the calls that change the disk below one folder, and breaks one of them. Loaded with LD_PRELOAD.
 *
 *   FAULT_ROOT         only calls on paths below this folder (absolute, without links) count
 *   FAULT_LOG          a file to which each counted call is appended, as `call TAB path [TAB new path] LF`, before it is made
 *   FAULT_AT           the number of the call to break, from 1; without it none is
 *   FAULT_MODE         kill: SIGKILL instead of the call (a write gets half of its bytes to the file first)
 *                      fail: the call fails with FAULT_ERRNO (a number)
 *                      interrupt: SIGINT, a moment for the program to see it, then the call
 *   FAULT_FLIP         the number of the read at a place in a file below the root, from 1, of which one bit comes back changed
 *   FAULT_SLOW_LISTS   set: opening a folder below the root to list it takes a minute
 *   FAULT_NO_FLOCK     set: locking fails with ENOLCK, as on file systems without locks
 *   FAULT_NO_TMPFILE   set: files without names cannot be made, as on file systems without them
 *   FAULT_NO_EXCHANGE  set: exchanging two paths fails with EINVAL, as on file systems that cannot
 *
 * The calls themselves are made as system calls in their newest form, so the symbols of libc are hardly needed.
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

enum verdict { PASS, FAIL, KILL };

static const char *root, *mode;
static long break_at, flip_at;
static int fail_errno, log_fd = -1, no_exchange, no_flock, no_tmpfile, slow_lists;
static atomic_long calls, reads;

__attribute__((constructor)) static void set_up(void) {
    const char *at = getenv("FAULT_AT"), *flip = getenv("FAULT_FLIP"), *error = getenv("FAULT_ERRNO"), *log = getenv("FAULT_LOG");
    root = getenv("FAULT_ROOT");
    mode = getenv("FAULT_MODE");
    if (mode == NULL) mode = "";
    break_at = at ? atol(at) : 0;
    flip_at = flip ? atol(flip) : 0;
    fail_errno = error ? atoi(error) : EIO;
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

static int below_root(const char *path) {
    size_t length = root ? strlen(root) : 0;
    return length > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* Counts one call, and says what is to become of it. */
static enum verdict judge(const char *call, const char *path, const char *new_path) {
    int saved = errno;
    enum verdict verdict = PASS;
    if (below_root(path) || (new_path && below_root(new_path))) {
        long number = atomic_fetch_add(&calls, 1) + 1;
        if (log_fd >= 0) {
            char line[2 * PATH_MAX + 64];
            int length = snprintf(line, sizeof line, "%s\t%s%s%s\n", call, path, new_path ? "\t" : "", new_path ? new_path : "");
            syscall(SYS_write, log_fd, line, (size_t)length);
        }
        if (number == break_at) {
            if (strcmp(mode, "kill") == 0) verdict = KILL;
            if (strcmp(mode, "fail") == 0) verdict = FAIL;
            if (strcmp(mode, "interrupt") == 0) {
                syscall(SYS_kill, getpid(), SIGINT);
                usleep(100000);
            }
        }
    }
    errno = verdict == FAIL ? fail_errno : saved;
    return verdict;
}

static enum verdict judge_at(const char *call, int folder, const char *path) {
    char full[PATH_MAX];
    int saved = errno;
    resolve(folder, path, full);
    errno = saved;
    return judge(call, full, NULL);
}

static enum verdict judge_fd(const char *call, int fd) { return judge_at(call, fd, ""); }

#define MAKE(judgement, failed, made)              \
    do {                                           \
        enum verdict given = (judgement);          \
        if (given == KILL) die();                  \
        return given == FAIL ? (failed) : (made);  \
    } while (0)

static int open_at(const char *call, int folder, const char *path, int flags, mode_t permissions) {
    int changes = (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    enum verdict verdict = changes ? judge_at(call, folder, path) : PASS;
    MAKE(verdict, -1, (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, permissions));
}

#define PERMISSIONS(after)                                                       \
    mode_t permissions = 0;                                                      \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                 \
        va_list arguments;                                                       \
        va_start(arguments, after);                                              \
        permissions = va_arg(arguments, mode_t);                                 \
        va_end(arguments);                                                       \
    }

int open(const char *path, int flags, ...) { PERMISSIONS(flags) return open_at("open", AT_FDCWD, path, flags, permissions); }
int open64(const char *path, int flags, ...) { PERMISSIONS(flags) return open_at("open", AT_FDCWD, path, flags, permissions); }
int openat(int folder, const char *path, int flags, ...) { PERMISSIONS(flags) return open_at("open", folder, path, flags, permissions); }
int openat64(int folder, const char *path, int flags, ...) { PERMISSIONS(flags) return open_at("open", folder, path, flags, permissions); }
int creat(const char *path, mode_t permissions) { return open_at("open", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, permissions); }
int creat64(const char *path, mode_t permissions) { return open_at("open", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, permissions); }

ssize_t write(int fd, const void *bytes, size_t length) {
    enum verdict verdict = judge_fd("write", fd);
    if (verdict == KILL) syscall(SYS_write, fd, bytes, length / 2);
    MAKE(verdict, -1, syscall(SYS_write, fd, bytes, length));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    enum verdict verdict = judge_fd("write", fd);
    if (verdict == KILL) syscall(SYS_pwrite64, fd, bytes, length / 2, offset);
    MAKE(verdict, -1, syscall(SYS_pwrite64, fd, bytes, length, offset));
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    enum verdict verdict = judge_fd("write", fd);
    if (verdict == KILL) syscall(SYS_writev, fd, parts, count / 2);
    MAKE(verdict, -1, syscall(SYS_writev, fd, parts, count));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    enum verdict verdict = judge_fd("write", fd);
    if (verdict == KILL) syscall(SYS_pwritev, fd, parts, count / 2, offset, 0);
    MAKE(verdict, -1, syscall(SYS_pwritev, fd, parts, count, offset, 0));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

DIR *opendir(const char *path) {
    DIR *(*next)(const char *) = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
    /* A signal ends a sleep, and must not end this. */
    if (slow_lists && below_root(path))
        for (unsigned left = 60; left > 0;) left = sleep(left);
    return next(path);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) {
    ssize_t read = syscall(SYS_pread64, fd, bytes, length, offset);
    if (read > 0 && flip_at > 0) {
        char path[PATH_MAX];
        int saved = errno;
        resolve(fd, "", path);
        errno = saved;
        long number = below_root(path) ? atomic_fetch_add(&reads, 1) + 1 : 0;
        if (number == flip_at) ((unsigned char *)bytes)[(read * 7 / 11)] ^= 1 << (number % 8);
    }
    return read;
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) { return pread(fd, bytes, length, offset); }

int flock(int fd, int how) {
    if (no_flock) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, how);
}

int fsync(int fd) { MAKE(judge_fd("fsync", fd), -1, (int)syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { MAKE(judge_fd("fsync", fd), -1, (int)syscall(SYS_fdatasync, fd)); }
int ftruncate(int fd, off_t length) { MAKE(judge_fd("ftruncate", fd), -1, (int)syscall(SYS_ftruncate, fd, length)); }
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fallocate(int fd, int how, off_t offset, off_t length) {
    MAKE(judge_fd("fallocate", fd), -1, (int)syscall(SYS_fallocate, fd, how, offset, length));
}
int fallocate64(int fd, int how, off64_t offset, off64_t length) { return fallocate(fd, how, offset, length); }
/* These return the error instead of setting it. */
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

int mkdirat(int folder, const char *path, mode_t permissions) {
    MAKE(judge_at("mkdir", folder, path), -1, (int)syscall(SYS_mkdirat, folder, path, permissions));
}
int mkdir(const char *path, mode_t permissions) { return mkdirat(AT_FDCWD, path, permissions); }

int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    int saved = errno;
    resolve(old_folder, old_path, from);
    resolve(new_folder, new_path, to);
    errno = saved;
    enum verdict verdict = judge(flags & RENAME_EXCHANGE ? "exchange" : "rename", from, to);
    if (verdict == PASS && no_exchange && (flags & RENAME_EXCHANGE) && below_root(to)) {
        errno = EINVAL;
        return -1;
    }
    MAKE(verdict, -1, (int)syscall(SYS_renameat2, old_folder, old_path, new_folder, new_path, flags));
}
int renameat(int old_folder, const char *old_path, int new_folder, const char *new_path) {
    return renameat2(old_folder, old_path, new_folder, new_path, 0);
}
int rename(const char *old_path, const char *new_path) { return renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, 0); }

int unlinkat(int folder, const char *path, int flags) {
    MAKE(judge_at("unlink", folder, path), -1, (int)syscall(SYS_unlinkat, folder, path, flags));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
