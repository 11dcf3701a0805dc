//! Cameras that are not there: preloaded into a program, this library answers for `/dev/videoN`.
//!
//! The folder named by `VISAVIS_PRETEND` stands in for the machine. Its files `dev/videoN` *are* the devices: each
//! describes one camera (see `device`) and is read again whenever the program asks, so a test unplugs a camera by
//! deleting its file, plugs it in by writing it, and breaks or heals it by renaming another description over it.
//!
//! ```text
//! opendir("/dev"), stat("/sys/class/video4linux/…") -> the same below the folder
//! open("/dev/video0") -> memfd of the buffers, so mmap needs no help
//! ioctl, syscall(SYS_ioctl), poll, read, close of such a file -> camera::Camera
//! everything else -> libc, untouched
//! ```
//!
//! `v4l` issues its ioctls through `syscall`, to get around their differing types; hence that one too. Not pretended:
//! `select` and `epoll` (nothing here uses them on a camera), inotify (who watches for plugs names a folder), controls, multi-planar formats, user pointers.
//!
//! Runs on whichever thread of the program called. All of it is unsafe by nature: it *is* the C library to its host.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a driver: it makes the time that programs wait for")]

mod camera;
mod device;
mod jpeg;
mod next;
mod scene;

use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr, c_char, c_int, c_long, c_ulong, c_void},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use camera::{Camera, Readiness};

/// The folder that stands in for the machine; without it nothing is pretended.
static ROOT: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("VISAVIS_PRETEND").map(PathBuf::from));

/// One bit a descriptor below 1,024 that is a camera, so that every other call passes without taking a lock.
static PRETENDED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

static CAMERAS: LazyLock<Mutex<HashMap<c_int, Arc<Mutex<Camera>>>>> = LazyLock::new(Mutex::default);

fn is_pretended(fd: c_int) -> bool {
    usize::try_from(fd).is_ok_and(|fd| fd < 1_024 && PRETENDED[fd / 64].load(Ordering::Acquire) & 1 << (fd % 64) != 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn camera(fd: c_int) -> Option<Arc<Mutex<Camera>>> {
    if is_pretended(fd) { lock(&CAMERAS).get(&fd).cloned() } else { None }
}

/// Where `path` lies below the folder, if it is one of the places where cameras are looked for.
fn redirected(path: &CStr) -> Option<PathBuf> {
    let bytes = path.to_bytes();
    let place = bytes == b"/dev"
        || bytes == b"/dev/"
        || bytes.starts_with(b"/dev/video")
        || bytes.starts_with(b"/dev/v4l")
        || bytes.starts_with(b"/sys/class/video4linux");
    place.then(|| ROOT.as_ref().map(|root| root.join(OsStr::from_bytes(&bytes[1..])))).flatten()
}

fn redirected_text(path: &CStr) -> Option<CString> {
    redirected(path).and_then(|path| CString::new(path.into_os_string().into_vec()).ok())
}

/// What the kernel's system call would answer: a value, or -1 with `errno` set.
fn answer(result: Result<c_int, c_int>) -> c_int {
    result.unwrap_or_else(|errno| {
        // SAFETY: the C library's own errno of this thread, always valid.
        unsafe { *libc::__errno_location() = errno };
        -1
    })
}

/// A file name that a C caller passed, if it is one.
///
/// # Safety
///
/// `path` is null or a C string, as for `open`.
unsafe fn text<'a>(path: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise, and not null.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}

/// Opens `path` as a camera if it is one.
///
/// # Safety
///
/// As for `open`.
unsafe fn open_camera(path: *const c_char, flags: c_int) -> Option<c_int> {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path) }?;
    let is_device =
        path.to_bytes().strip_prefix(b"/dev/video").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    if !is_device {
        return None;
    }
    let file = redirected(path)?;
    Some(answer(Camera::open(file, flags & libc::O_NONBLOCK != 0).map(|(fd, camera)| {
        let index = usize::try_from(fd).unwrap_or(usize::MAX);
        assert!(index < 1_024, "a program under test with this many open files is not foreseen");
        lock(&CAMERAS).insert(fd, Arc::new(Mutex::new(camera)));
        PRETENDED[index / 64].fetch_or(1 << (index % 64), Ordering::Release);
        fd
    })))
}

/// The camera's answer to a request, or `None` for another kind of file.
///
/// # Safety
///
/// `argument` points to what `request` wants, as for `ioctl`.
unsafe fn control_camera(fd: c_int, request: c_ulong, argument: *mut c_void) -> Option<c_int> {
    let camera = camera(fd)?;
    // SAFETY: the caller's promise.
    let result = unsafe { lock(&camera).control(request, argument) };
    Some(answer(result.map(|()| 0)))
}

/// `poll` where at least one file is a camera: the others are asked in short turns.
fn poll_cameras(files: &mut [libc::pollfd], timeout_ms: c_int) -> c_int {
    let deadline = u64::try_from(timeout_ms).ok().map(|wait| Instant::now() + Duration::from_millis(wait));
    loop {
        let mut ready = 0;
        let mut wait = TURN;
        for file in files.iter_mut() {
            file.revents = 0;
            let Some(camera) = camera(file.fd) else { continue };
            match lock(&camera).readiness() {
                Readiness::Frame => file.revents = (libc::POLLIN | libc::POLLRDNORM) & file.events,
                Readiness::Error => file.revents = libc::POLLERR,
                Readiness::In(time) => wait = wait.min(time),
            }
            ready += c_int::from(file.revents != 0);
        }
        let mut others: Vec<libc::pollfd> = files
            .iter()
            .map(|file| libc::pollfd { fd: if is_pretended(file.fd) { -1 } else { file.fd }, ..*file })
            .collect();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = if ready > 0 { Duration::ZERO } else { left.map_or(wait, |left| left.min(wait)) };
        // Nanoseconds, so that a frame is ready when it is due and not up to a millisecond later.
        let turn = libc::timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        // SAFETY: a slice of this length; no signal mask.
        let count = unsafe {
            libc::ppoll(others.as_mut_ptr(), others.len() as libc::nfds_t, &raw const turn, std::ptr::null())
        };
        for (file, other) in files.iter_mut().zip(&others) {
            if other.fd >= 0 {
                file.revents = other.revents;
            }
        }
        if count < 0 {
            return -1;
        }
        if ready + count > 0 || left.is_some_and(|left| left.is_zero()) {
            return ready + count;
        }
    }
}

/// How long a change of the description may go unseen by a waiting program.
const TURN: Duration = Duration::from_millis(5);

/// Interposes functions whose first path may lie below the folder.
macro_rules! redirect {
    ($($(#[$doc:meta])* fn $name:ident($path:ident $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As for the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($path: *const c_char $(, $argument: $type)*) -> $result {
            // SAFETY: the caller's promise; the redirected path lives until the call has returned.
            unsafe {
                let elsewhere = text($path).and_then(redirected_text);
                next::$name()(elsewhere.as_ref().map_or($path, |path| path.as_ptr()) $(, $argument)*)
            }
        }
    )*};
}

redirect! {
    /// Lists a folder.
    fn opendir(path) -> *mut c_void;
    /// Asks about a file.
    fn stat(path, out: *mut c_void) -> c_int;
    /// Asks about a file.
    fn stat64(path, out: *mut c_void) -> c_int;
    /// Asks about a file or link.
    fn lstat(path, out: *mut c_void) -> c_int;
    /// Asks about a file or link.
    fn lstat64(path, out: *mut c_void) -> c_int;
    /// Asks whether a file may be used.
    fn access(path, mode: c_int) -> c_int;
    /// Reads a link.
    fn readlink(path, out: *mut c_char, bytes: usize) -> isize;
}

/// Asks about a file.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mask: u32,
    out: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let elsewhere = text(path).and_then(redirected_text);
        next::statx()(folder, elsewhere.as_ref().map_or(path, |path| path.as_ptr()), flags, mask, out)
    }
}

/// Interposes the two `open`. Both are variadic in C; their optional mode travels like a third argument.
macro_rules! interpose_open {
    ($($name:ident, $at:ident;)*) => {$(
        /// Opens a file, or a camera.
        ///
        /// # Safety
        ///
        /// As for the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
            // SAFETY: the caller's promise.
            unsafe {
                if let Some(answer) = open_camera(path, flags) {
                    return answer;
                }
                let elsewhere = text(path).and_then(redirected_text);
                next::$name()(elsewhere.as_ref().map_or(path, |path| path.as_ptr()), flags, mode)
            }
        }

        /// Opens a file, or a camera, from a folder.
        ///
        /// # Safety
        ///
        /// As for the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $at(folder: c_int, path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
            // SAFETY: the caller's promise. An absolute path does not look at the folder.
            unsafe {
                if let Some(answer) = open_camera(path, flags) {
                    return answer;
                }
                let elsewhere = text(path).and_then(redirected_text);
                next::$at()(folder, elsewhere.as_ref().map_or(path, |path| path.as_ptr()), flags, mode)
            }
        }
    )*};
}

interpose_open! {
    open, openat;
    open64, openat64;
}

/// Closes a file, or a camera.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    if is_pretended(fd) {
        let index = fd as usize;
        PRETENDED[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
        lock(&CAMERAS).remove(&fd);
    }
    // SAFETY: the caller's promise.
    unsafe { next::close()(fd) }
}

/// Controls a file, or a camera.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { control_camera(fd, request, argument).unwrap_or_else(|| next::ioctl()(fd, request, argument)) }
}

/// Any system call; `ioctl` is what is looked for. Takes as many arguments as any has, as the C library does.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // SAFETY: the caller's promise. This library's own locks end up here as well (futex), and pass.
    unsafe {
        if number == libc::SYS_ioctl
            && let Some(answer) = control_camera(a as c_int, b as c_ulong, c as *mut c_void)
        {
            return c_long::from(answer);
        }
        next::syscall()(number, a, b, c, d, e, f)
    }
}

/// Waits for files, cameras among them.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(files: *mut libc::pollfd, count: libc::nfds_t, timeout_ms: c_int) -> c_int {
    // SAFETY: the caller's promise: `count` entries.
    unsafe {
        if count == 0 || files.is_null() {
            return next::poll()(files, count, timeout_ms);
        }
        let list = std::slice::from_raw_parts_mut(files, count as usize);
        if list.iter().any(|file| is_pretended(file.fd)) {
            return poll_cameras(list, timeout_ms);
        }
        next::poll()(files, count, timeout_ms)
    }
}

/// Reads a file. These cameras only stream, as webcams do.
///
/// # Safety
///
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, out: *mut c_void, bytes: usize) -> isize {
    if is_pretended(fd) {
        return answer(Err(libc::EINVAL)) as isize;
    }
    // SAFETY: the caller's promise.
    unsafe { next::read()(fd, out, bytes) }
}
