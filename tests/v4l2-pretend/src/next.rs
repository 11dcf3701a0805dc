//! The functions that this library hides: found once by `dlsym`, without a lock, since locks call `syscall`.

use std::{
    ffi::{c_char, c_int, c_long, c_ulong, c_void},
    mem::transmute,
    sync::atomic::{AtomicPtr, Ordering},
};

macro_rules! next {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty;)*) => {$(
        pub fn $name() -> unsafe extern "C" fn($($argument),*) -> $result {
            static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
            let mut found = FOUND.load(Ordering::Acquire);
            if found.is_null() {
                let name = concat!(stringify!($name), "\0");
                // SAFETY: a C string, and a handle that the dynamic linker defines.
                found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) };
                if found.is_null() {
                    // Nothing can be said without the C library.
                    std::process::abort();
                }
                FOUND.store(found, Ordering::Release);
            }
            // SAFETY: the C library's function of this name has this type.
            unsafe { transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> $result>(found) }
        }
    )*};
}

next! {
    open: fn(*const c_char, c_int, libc::mode_t) -> c_int;
    open64: fn(*const c_char, c_int, libc::mode_t) -> c_int;
    openat: fn(c_int, *const c_char, c_int, libc::mode_t) -> c_int;
    openat64: fn(c_int, *const c_char, c_int, libc::mode_t) -> c_int;
    close: fn(c_int) -> c_int;
    read: fn(c_int, *mut c_void, usize) -> isize;
    poll: fn(*mut libc::pollfd, libc::nfds_t, c_int) -> c_int;
    ioctl: fn(c_int, c_ulong, *mut c_void) -> c_int;
    syscall: fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;
    opendir: fn(*const c_char) -> *mut c_void;
    stat: fn(*const c_char, *mut c_void) -> c_int;
    stat64: fn(*const c_char, *mut c_void) -> c_int;
    lstat: fn(*const c_char, *mut c_void) -> c_int;
    lstat64: fn(*const c_char, *mut c_void) -> c_int;
    access: fn(*const c_char, c_int) -> c_int;
    readlink: fn(*const c_char, *mut c_char, usize) -> isize;
    statx: fn(c_int, *const c_char, c_int, u32, *mut c_void) -> c_int;
}
