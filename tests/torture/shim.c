/* What a process does to the files below one folder, counted, and attacked at a call that was chosen: preloaded (LD_PRELOAD).

   TORTURE_UNDER=/folder            only calls on files below it count; without it, nothing here does anything
   TORTURE_KILL=rename:2:before:9   at the second rename, before it is done, this process gets signal 9; the call may be
                                    `any`. TORTURE_SAID=FILE says where
   TORTURE_FAIL=pwrite:5:28:3       the fifth pwrite and the two after it fail with errno 28; a 0 at the end: all after it
   TORTURE_SHORT=1                  a write takes half of what it is given, at least a byte
   TORTURE_LOG=FILE                 every call that succeeded, with its data: see tests/torture/power.py
   TORTURE_CLOCK=-86400             the time of day is so many seconds off

   The variables are read at the first call for which TORTURE_UNDER is set, so that a process which has none of them can
   fork others that have. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(result, name, ...) static result (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)

struct spec { char op[16]; int at, how, last; };
static char under[PATH_MAX];
static struct spec kills, fails;
static int is_after, is_short, logged = -1;
static const char *said;
static atomic_int ready, seen_kill, seen_fail;

static int armed(void) {
    if (ready) return 1;
    const char *folder = getenv("TORTURE_UNDER");
    if (!folder || !*folder) return 0;
    snprintf(under, sizeof under, "%s/", folder);
    const char *text = getenv("TORTURE_KILL");
    char when[16] = "";
    if (text) sscanf(text, "%15[^:]:%d:%15[^:]:%d", kills.op, &kills.at, when, &kills.how);
    is_after = !strcmp(when, "after");
    if ((text = getenv("TORTURE_FAIL"))) sscanf(text, "%15[^:]:%d:%d:%d", fails.op, &fails.at, &fails.how, &fails.last);
    is_short = getenv("TORTURE_SHORT") != NULL;
    said = getenv("TORTURE_SAID");
    ready = 1;
    if ((text = getenv("TORTURE_LOG")))
        logged = syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return 1;
}

static int of_fd(int fd, char *path) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int is_below(const char *path) { return !strncmp(path, under, strlen(under)); }

static int of_name(int folder, const char *name, char *path) {
    char place[PATH_MAX];
    if (name[0] == '/') { snprintf(path, PATH_MAX, "%s", name); return is_below(path); }
    if (folder == AT_FDCWD) { if (!getcwd(place, sizeof place)) return 0; }
    else if (!of_fd(folder, place)) return 0;
    if (!strncmp(name, "./", 2)) name += 2;
    int length = snprintf(path, PATH_MAX, "%s/%s", place, name);
    return length < PATH_MAX && is_below(path);
}

static void say(const char *when, const char *op, const char *path) {
    if (said) {
        char text[PATH_MAX + 64];
        int length = snprintf(text, sizeof text, "%s %s %s\n", when, op, path);
        int fd = syscall(SYS_openat, AT_FDCWD, said, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0) { syscall(SYS_write, fd, text, length); syscall(SYS_close, fd); }
    }
}

static void attack(const char *op, const char *path) {
    say(is_after ? "after" : "before", op, path);
    kill(getpid(), kills.how);
}

/* Counts a call. Returns an errno to fail with, or 0; *hit says that the signal follows it. */
static int before(const char *op, const char *path, int *hit) {
    *hit = 0;
    if (kills.at && (!strcmp(kills.op, "any") || !strcmp(kills.op, op)) && atomic_fetch_add(&seen_kill, 1) + 1 == kills.at) {
        if (is_after) *hit = 1; else attack(op, path);
    }
    if (fails.at && (!strcmp(fails.op, "any") || !strcmp(fails.op, op))) {
        int n = atomic_fetch_add(&seen_fail, 1) + 1;
        if (n >= fails.at && (!fails.last || n < fails.at + fails.last)) { say("at", op, path); return fails.how; }
    }
    return 0;
}

struct head { char op[16]; uint64_t inode; int64_t offset; uint64_t length; uint32_t first, second; };

static void after(const char *op, int fd, off_t offset, const void *data, size_t length, const char *path, const char *other, int hit) {
    int kept = errno;
    if (logged >= 0) {
        struct head head = {0};
        struct stat status = {0};
        strncpy(head.op, op, sizeof head.op - 1);
        if (fd >= 0) syscall(SYS_fstat, fd, &status);
        head.inode = status.st_ino, head.offset = offset, head.length = length;
        head.first = strlen(path), head.second = other ? strlen(other) : 0;
        struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.first}, {(void *)other, head.second}, {(void *)data, length}};
        syscall(SYS_writev, logged, parts, 4);
    }
    if (hit) attack(op, path);
    errno = kept;
}

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int counts = armed() && flags & (O_CREAT | O_TRUNC) && of_name(folder, name, path), hit = 0, wrong = 0;
    struct stat status;
    int is_new = counts && syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0);
    counts = counts && (is_new || flags & O_TRUNC);
    const char *op = is_new ? "create" : "empty";
    if (counts && (wrong = before(op, path, &hit))) { errno = wrong; return -1; }
    int fd = syscall(SYS_openat, folder, name, flags, mode);
    if (counts && fd >= 0) after(op, fd, 0, NULL, 0, path, NULL, hit);
    return fd;
}

#define OPEN(function, ...) \
    int function(__VA_ARGS__, int flags, ...) { \
        va_list rest; va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);
OPEN(open, const char *name) return opened(AT_FDCWD, name, flags, mode); }
OPEN(open64, const char *name) return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
OPEN(openat, int folder, const char *name) return opened(folder, name, flags, mode); }
OPEN(openat64, int folder, const char *name) return opened(folder, name, flags | O_LARGEFILE, mode); }

/* Streams of the C and C++ libraries are opened by these; what they write comes by write or writev only from C++. */
static FILE *streamed(const char *name, const char *mode, FILE *(*real)(const char *, const char *)) {
    char path[PATH_MAX];
    int hit = 0, wrong;
    struct stat status;
    if (!armed() || mode[0] == 'r' || !of_name(AT_FDCWD, name, path)) return real(name, mode);
    int is_new = syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0);
    if (!is_new && mode[0] != 'w') return real(name, mode);
    const char *op = is_new ? "create" : "empty";
    if ((wrong = before(op, path, &hit))) { errno = wrong; return NULL; }
    FILE *file = real(name, mode);
    if (file) after(op, fileno(file), 0, NULL, 0, path, NULL, hit);
    return file;
}
FILE *fopen(const char *name, const char *mode) {
    REAL(FILE *, "fopen", const char *, const char *);
    return streamed(name, mode, real);
}
FILE *fopen64(const char *name, const char *mode) {
    REAL(FILE *, "fopen64", const char *, const char *);
    return streamed(name, mode, real);
}

static ssize_t wrote(const char *op, int fd, const void *data, size_t size, off_t offset) {
    char path[PATH_MAX];
    int counts = armed() && of_fd(fd, path) && is_below(path), hit = 0, wrong;
    if (counts) {
        if ((wrong = before(op, path, &hit))) { errno = wrong; return -1; }
        if (is_short && size > 1) size = (size + 1) / 2;
        if (offset < 0 && logged >= 0) {
            struct stat status = {0};
            syscall(SYS_fstat, fd, &status);
            int flags = syscall(SYS_fcntl, fd, F_GETFL);
            off_t at = flags & O_APPEND ? status.st_size : lseek(fd, 0, SEEK_CUR);
            ssize_t done = syscall(SYS_write, fd, data, size);
            if (done >= 0) after(op, fd, at, data, done, path, NULL, hit);
            return done;
        }
    }
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, offset);
    if (counts && done >= 0) after(op, fd, offset, data, done, path, NULL, hit);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return wrote("write", fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return wrote("pwrite", fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return wrote("pwrite", fd, data, size, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!armed() || !of_fd(fd, path) || !is_below(path)) return real(fd, parts, count);
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        if (!parts[i].iov_len) continue;
        ssize_t done = wrote("write", fd, parts[i].iov_base, parts[i].iov_len, -1);
        if (done < 0) return sum ? sum : -1;
        sum += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return sum;
}

/* Told by their data, read from where they were written. */
static void copied(int fd, off_t offset, ssize_t size, const char *path, int hit) {
    char link[32], *data = malloc(size);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    ssize_t got = again < 0 || !data ? 0 : syscall(SYS_pread64, again, data, size, offset);
    after("write", fd, offset, data, got < 0 ? 0 : got, path, NULL, hit);
    if (again >= 0) syscall(SYS_close, again);
    free(data);
}

static ssize_t sent(int out, int in, off64_t *from, size_t size) {
    char path[PATH_MAX];
    int hit, wrong;
    if (!armed() || !of_fd(out, path) || !is_below(path)) return syscall(SYS_sendfile, out, in, from, size);
    if ((wrong = before("write", path, &hit))) { errno = wrong; return -1; }
    off_t at = lseek(out, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_sendfile, out, in, from, size);
    if (done > 0) copied(out, at, done, path, hit);
    return done;
}
ssize_t sendfile(int out, int in, off_t *from, size_t size) { return sent(out, in, from, size); }
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) { return sent(out, in, from, size); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    char path[PATH_MAX];
    if (armed() && of_fd(out, path) && is_below(path)) { errno = ENOSYS; return -1; } /* its callers then write */
    return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}

#define ON_FD(function, op, ...) { \
    char path[PATH_MAX]; int hit = 0, wrong; \
    int counts = armed() && of_fd(fd, path) && is_below(path); \
    if (!counts && armed() && of_fd(fd, path)) { size_t n = strlen(path); counts = n + 1 == strlen(under) && !strncmp(path, under, n); } \
    if (counts && (wrong = before(op, path, &hit))) { errno = wrong; return -1; } \
    int done = function; \
    if (counts && !done) after(op, fd, __VA_ARGS__, NULL, 0, path, NULL, hit); \
    return done; }
int fsync(int fd) ON_FD(syscall(SYS_fsync, fd), "fsync", 0)
int fdatasync(int fd) ON_FD(syscall(SYS_fdatasync, fd), "fsync", 0)
int ftruncate(int fd, off_t size) ON_FD(syscall(SYS_ftruncate, fd, size), "truncate", size)
int ftruncate64(int fd, off64_t size) ON_FD(syscall(SYS_ftruncate, fd, size), "truncate", size)

static int named(const char *op, int folder, const char *name, int other, const char *to, long call, int flags) {
    char path[PATH_MAX], second[PATH_MAX] = "";
    int counts = armed() && of_name(folder, name, path), hit = 0, wrong;
    if (to && armed()) counts |= of_name(other, to, second);
    if (counts && (wrong = before(op, path, &hit))) { errno = wrong; return -1; }
    int done = to ? syscall(call, folder, name, other, to, flags) : syscall(call, folder, name, flags);
    if (counts && !done) after(op, -1, 0, NULL, 0, path, to ? second : NULL, hit);
    return done;
}
int rename(const char *name, const char *to) { return named("rename", AT_FDCWD, name, AT_FDCWD, to, SYS_renameat2, 0); }
int renameat(int folder, const char *name, int other, const char *to) { return named("rename", folder, name, other, to, SYS_renameat2, 0); }
int unlink(const char *name) { return named("unlink", AT_FDCWD, name, 0, NULL, SYS_unlinkat, 0); }
int remove(const char *name) { int done = unlink(name); return done && errno == EISDIR ? rmdir(name) : done; }
int rmdir(const char *name) { return named("rmdir", AT_FDCWD, name, 0, NULL, SYS_unlinkat, AT_REMOVEDIR); }
int unlinkat(int folder, const char *name, int flags) {
    return named(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, name, 0, NULL, SYS_unlinkat, flags);
}
int mkdir(const char *name, mode_t mode) { return named("mkdir", AT_FDCWD, name, 0, NULL, SYS_mkdirat, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return named("mkdir", folder, name, 0, NULL, SYS_mkdirat, mode); }
int truncate(const char *name, off_t size) {
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int done = ftruncate(fd, size), kept = errno;
    syscall(SYS_close, fd);
    errno = kept;
    return done;
}
int truncate64(const char *name, off64_t size) { return truncate(name, size); }

int clock_gettime(clockid_t which, struct timespec *time) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int done = real(which, time);
    const char *off = which == CLOCK_REALTIME ? getenv("TORTURE_CLOCK") : NULL;
    if (off && !done) time->tv_sec += atol(off);
    return done;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
