//! What sound devices call allocates nothing: proven by an allocator that counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::Ordering::Relaxed,
};

use cpal::{
    FromSample, InputCallbackInfo, InputStreamTimestamp, OutputCallbackInfo, OutputStreamTimestamp, Sample,
    SizedSample, StreamInstant,
};
use visavis::{
    clock::Clock,
    sound::{
        device::{capturing, playing},
        ring,
    },
};

thread_local! {
    /// Calls of the allocator by this thread. Needs no memory of its own to begin with.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: everything is the system's allocator's, called with what was given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// How often the allocator is called meanwhile, by this thread.
fn allocations(act: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    act();
    CALLS.get() - before
}

const RATE_HZ: u32 = 48_000;

/// Samples of a callback: 5 ms.
const PERIOD: usize = 240;

/// So many callbacks take a second: a ring of a quarter of it fills and overflows.
const CALLBACKS: usize = 200;

/// A device that calls for a second, at first with a stage at the other end and then without.
fn captures_without_memory<T>(channels: u16)
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let (writer, mut reader) = ring::capture(RATE_HZ);
    let counters = writer.counters();
    let mut call = capturing::<T>(writer, channels, Clock::system());
    let data = vec![T::EQUILIBRIUM; PERIOD * usize::from(channels)];
    let at = StreamInstant::new(10, 0);
    let time = InputStreamTimestamp { callback: at, capture: StreamInstant::new(9, 990_000_000) };
    let info = InputCallbackInfo::new(time);
    let mut block = [0.0; PERIOD];
    let calls = allocations(|| {
        for _ in 0..CALLBACKS {
            call(&data, &info);
            assert!(reader.read(&mut block).is_some());
        }
        for _ in 0..CALLBACKS {
            call(&data, &info);
        }
    });
    assert_eq!(calls, 0, "{} in {channels} channels", std::any::type_name::<T>());
    assert!(counters.overrun_samples.load(Relaxed) > 0, "the ring was full as well");
}

fn plays_without_memory<T>(channels: u16)
where
    T: SizedSample + Sample + FromSample<f32>,
{
    let (mut writer, reader) = ring::playback(RATE_HZ);
    let counters = reader.counters();
    let mut call = playing::<T>(reader, channels, Clock::system());
    let mut data = vec![T::EQUILIBRIUM; PERIOD * usize::from(channels)];
    let at = StreamInstant::new(10, 0);
    let time = OutputStreamTimestamp { callback: at, playback: StreamInstant::new(10, 10_000_000) };
    let info = OutputCallbackInfo::new(time);
    let calls = allocations(|| {
        for _ in 0..CALLBACKS {
            writer.write(&[0.5; PERIOD]);
            call(&mut data, &info);
        }
        for _ in 0..CALLBACKS {
            call(&mut data, &info);
        }
    });
    assert_eq!(calls, 0, "{} in {channels} channels", std::any::type_name::<T>());
    assert!(counters.underrun_samples.load(Relaxed) > 0, "the ring was empty as well");
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1_u64)))), 2);
}

#[test]
fn a_microphones_callback_allocates_nothing() {
    for channels in [1, 2, 6] {
        captures_without_memory::<f32>(channels);
        captures_without_memory::<i16>(channels);
        captures_without_memory::<i32>(channels);
        captures_without_memory::<cpal::I24>(channels);
        captures_without_memory::<u8>(channels);
    }
}

#[test]
fn a_speakers_callback_allocates_nothing() {
    for channels in [1, 2, 6] {
        plays_without_memory::<f32>(channels);
        plays_without_memory::<i16>(channels);
        plays_without_memory::<i32>(channels);
        plays_without_memory::<cpal::I24>(channels);
        plays_without_memory::<u8>(channels);
    }
}
