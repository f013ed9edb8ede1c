"""Programs that try the kernel's rarer doors, and the files behind which it shows itself."""

from __future__ import annotations

from tests.evals.sandbox.hostile.base import DENIED, DONE, ENDED, Hostile, c, case, done, solve


def call(x86: int, arm: int, arguments: str = "0, 0, 0, 0, 0, 0") -> Hostile:
    """A system call by its numbers; it counts as done when the kernel does not refuse it."""
    return case(c(f"libc.syscall(nr({x86}, {arm}), {arguments})"), DENIED, DONE)


def ioctl(descriptor: str, request: int) -> Hostile:
    return case(done(f"import fcntl\nfcntl.ioctl({descriptor}, {request:#x}, bytes(64))"), DENIED, DONE)


def fcntl(command: str, argument: str = "0") -> Hostile:
    return case(done(f"import fcntl\nfcntl.fcntl(os.open(os.__file__, 0), {command}, {argument})"), DENIED, DONE)


def reads(path: str) -> Hostile:
    return case(done(f"os.read(os.open(f'{path}', os.O_RDONLY), 1)"), DENIED, DONE)


CALLS = {
    "io_uring, entered": call(426, 426),
    "io_uring, registered": call(427, 427),
    "memory that is secret": call(447, 447),
    "execveat": call(322, 281, "-100, b'/bin/true', 0, 0, 0"),
    "execve of a descriptor": case(done("os.execve(os.open(sys.executable, 0), ['x'], {})"), DENIED | ENDED, DONE),
    "a pidfd of its own": call(434, 434, "os.getpid(), 0"),
    "a descriptor out of another process": call(438, 438, "0, 0, 0"),
    "a signal through a descriptor": call(424, 424, "0, 9, 0, 0"),
    "a process with its parent's memory": call(56, 220, "0x4111, 0, 0, 0, 0"),
    "a key added": call(248, 217, "b'user', b'x', b'x', 1, -3"),
    "a key requested": call(249, 218, "b'user', b'x', 0, -3"),
    "files watched": call(294, 26),
    "all files watched": call(300, 262),
    "landlock rules of its own": call(444, 444, "0, 0, 1"),
    "two processes compared": call(312, 272, "os.getppid(), os.getpid(), 0, 3, 3"),
    "another's memory advised": call(440, 440),
    "another's memory released": call(448, 448),
    "pages moved": call(279, 239, "os.getppid(), 0, 0, 0, 0, 0"),
    "memory without randomness": call(135, 92, "0x0040000"),
    "segments of its own": call(158, 92, "0x1002, 0"),
    "a message queue by name": call(240, 180, "b'x', 0o102, 0o600, 0"),
    "a timer that signals": call(222, 107),
    "a signal with a value": call(297, 240, "os.getppid(), os.getppid(), 9, 0"),
    "a queue for its writes": call(206, 0, "1, 0"),
    "splice to the wire": call(275, 76, "0, 0, 3, 0, 1, 0"),
    "pages given to a pipe": call(278, 75, "1, 0, 0, 0"),
    "a file sent to the wire": call(40, 71, "3, 0, 0, 1"),
    "a file copied": call(326, 285, "0, 0, 1, 0, 1, 0"),
    "a write at a place": call(18, 68, "1, b'x', 1, 0"),
    "many writes at a place": call(296, 70, "1, 0, 0, 0"),
    "a group of its own": call(109, 154, "0, 0"),
    "a deadline for the processor": call(314, 274),
    "a priority for the disk": call(251, 30, "1, 0, 0"),
    "the host's name": call(170, 161, "b'x', 1"),
    "the kernel's log": call(103, 116, "3, 0, 0"),
    "swap": call(167, 224, "b'x', 0"),
    "a module for the kernel": call(313, 273),
    "a mount's file system": call(430, 430, "b'tmpfs', 0"),
    "a tree of mounts opened": call(428, 428, "-100, b'/', 1"),
    "the wire shut down": call(48, 210, "3, 2"),
    "the wire's other end": call(55, 209, "3, 1, 17, 0, 0"),
    "the wire's peer": call(52, 205, "3, 0, 0"),
}
SOCKETS = {
    f"a socket of the family {family}": case(
        done(f"import socket\nsocket.socket({number}, {kind})"), DENIED, DONE
    )
    for family, number, kind in (
        ("vsock", 40, 1), ("netlink", 16, 3), ("packet", 17, 3), ("alg", 38, 5), ("bluetooth", 31, 3), ("xdp", 44, 3),
    )
}  # fmt: skip
OPTIONS = {
    f"prctl {name}": case(c(f"libc.prctl({option}, {value}, 0, 0, 0)"), DENIED, DONE)
    for name, option, value in (
        ("a signal at the parent's end", 1, 9), ("without a filter", 22, 0), ("adopts orphans", 36, 1),
        ("changes its map", 35, 1), ("lets others trace it", 0x59616D61, -1), ("shares a core", 62, 1),
        ("keeps capabilities", 8, 1), ("ambient capabilities", 47, 2),
    )
}  # fmt: skip
DESCRIPTORS = {
    "a lock on the library": fcntl("fcntl.F_SETLK", "bytes(32)"),
    "a lease on the library": fcntl("1024", "0"),
    "a notice of changes": fcntl("1026", "1"),
    "a larger pipe": fcntl("1031", "1 << 20"),
    "another signal": fcntl("10", "9"),
    "a library without flags": ioctl("os.open(os.__file__, 0)", 0x40086602),
    "the network's interfaces": ioctl("3", 0x8912),
    "a wire that does not block": ioctl("3", 0x5421),
    "signals told to the wire": case(
        done("os.set_blocking(3, False)\nsignal.set_wakeup_fd(3)"), DENIED, DONE
    ),
    "the library mapped to be written": case(
        done("import mmap\nmmap.mmap(os.open(os.__file__, 0), 4096, mmap.MAP_SHARED, mmap.PROT_WRITE)"), DENIED, DONE
    ),
    "the library made writable": case(
        solve(
            "libc = ctypes.CDLL(None, use_errno=True)\nlibc.mmap.restype = ctypes.c_void_p\n"
            "at = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, os.open(os.__file__, 0), ctypes.c_long(0))\n"
            "if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 3): raise PermissionError\nreturn 'done'"
        ),
        DENIED,
        DONE,
    ),
}  # fmt: skip
FILES = {
    f"reads {path}": reads(path)
    for path in (
        "/proc/self/mem", "/proc/self/maps", "/proc/self/fd/3", "/proc/self/exe", "/proc/self{os.sep}root/etc/passwd",
        "/proc/self/task/{os.getpid()}/mem", "/proc/{os.getppid()}/cmdline", "/proc/{os.getppid()}/fd/3",
        "/proc/1/environ", "/proc/kcore", "/proc/keys", "/proc/net/tcp", "/proc/sys/kernel/core_pattern",
        "/dev/userfaultfd", "/dev/mem", "/dev/kmsg", "/dev/tty", "/dev/fd/3", "/dev/random", "/dev/vsock", "/dev/kvm",
        "/sys/kernel/debug", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/bpf", "/run/docker.sock",
        "{os.sep}root{os.sep}.ssh/id_rsa", "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/etc/shadow", "/etc/hostname",
    )
}  # fmt: skip
SIGNALS = {
    "signals its group by its number": case(done("os.kill(-os.getpid(), 9)"), DENIED, DONE),
    "signals the group of its parent": case(done("os.killpg(os.getpgid(os.getppid()), 9)"), DENIED, DONE),
    "signals process 1": case(done("os.kill(1, 0)"), DENIED, DONE),
    "a timer of the processor": case(
        solve("signal.setitimer(signal.ITIMER_PROF, 0.01)\nwhile True: pass"), ENDED
    ),
    "an alarm": case(solve("signal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(9)"), ENDED),
}  # fmt: skip

KERNEL = {**CALLS, **SOCKETS, **OPTIONS, **DESCRIPTORS, **FILES, **SIGNALS}
