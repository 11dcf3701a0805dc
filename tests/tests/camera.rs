//! The camera's whole path against a driver with every fault: `v4l`'s (and nokhwa's) own code runs in the real helper,
//! above a library that pretends to be V4L2.

#![cfg(target_os = "linux")]

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use visavis::{
    capture::{
        camera::{self, Choice, Control, Status, mode::Wish, state::State},
        video::{Captured, Outlet, Pool, Source as _},
    },
    chan::latest::{self, latest},
    clock::Clock,
    pipeline::control::SendControl,
    stats,
};
use visavis_proto::units::Bitrate;
use visavis_tests::{
    cameras::{Machine, is_placeholder, number},
    real::PATIENCE,
};

const SMALL: &str = "mode = YUYV 320x240 1/30";

/// A call on a machine, with the first camera.
fn watch(machine: &Machine) -> Call {
    watch_as(machine, Choice::new(None, Wish::default()))
}

fn watch_as(machine: &Machine, choice: Choice) -> Call {
    let (source, control) = camera::source_by(machine.program(), Some(choice));
    let (writer, pictures) = latest();
    let pool = Pool::default();
    // Nobody asks what became of these pictures.
    let (stats, _) = stats::channel();
    let sending = SendControl::new(Bitrate::from_kbps(100));
    let out = Outlet::new(writer, pool.clone(), Clock::system(), sending, stats, None);
    let status = control.status();
    Call { control, status, pictures, pool, _running: tokio::spawn(Box::new(source).run(out)) }
}

/// What a call sees of the camera.
struct Call {
    control: Control,
    status: watch::Receiver<Status>,
    pictures: latest::Reader<Captured>,
    pool: Pool,
    _running: JoinHandle<()>,
}

impl Call {
    async fn state(&mut self, wanted: State) {
        let reached = timeout(PATIENCE, self.status.wait_for(|status| status.state == wanted)).await;
        let reached = reached.map(|status| status.is_ok());
        assert_eq!(reached, Ok(true), "waiting for {wanted:?}, it is {:?}", *self.status.borrow());
    }

    async fn picture(&mut self) -> Captured {
        timeout(PATIENCE, self.pictures.take()).await.expect("a picture in time").expect("the source runs")
    }

    /// Waits for pictures from the camera, and checks that they move and have the right colours.
    async fn alive(&mut self) -> (u32, u32) {
        self.state(State::Live).await;
        let mut last = None;
        loop {
            let captured = self.picture().await;
            let Some(number) = number(&captured.picture) else { continue };
            let size = (captured.picture.width, captured.picture.height);
            self.pool.put(captured.picture);
            if last.replace(number).is_some_and(|last| last < number) {
                return size;
            }
        }
    }

    async fn placeholder(&mut self) {
        while !is_placeholder(&self.picture().await.picture) {}
    }
}

/// A camera that breaks while it runs: the state is told, the placeholder shown, and the picture comes back.
async fn breaks(mode: &str, fault: &str, state: State) -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, mode)?;
    let mut call = watch(&machine);
    call.alive().await;
    machine.plug(0, &format!("{mode}\nfault = {fault}"))?;
    call.state(state).await;
    call.placeholder().await;
    machine.plug(0, mode)?;
    call.alive().await;
    Ok(())
}

/// A camera that is broken from the start.
async fn begins_with(fault: &str, state: State) -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, &format!("{SMALL}\nfault = {fault}"))?;
    let mut call = watch(&machine);
    call.state(state).await;
    call.placeholder().await;
    machine.plug(0, SMALL)?;
    call.alive().await;
    Ok(())
}

/// A camera with a peculiarity that nobody should notice; answers the size of its pictures.
async fn shows(description: &str) -> anyhow::Result<(u32, u32)> {
    let machine = Machine::new()?;
    machine.plug(0, description)?;
    Ok(watch(&machine).alive().await)
}

async fn works(description: &str) -> anyhow::Result<()> {
    shows(description).await.map(drop)
}

macro_rules! cases {
    ($($name:ident: $case:expr;)*) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            $case.await
        }
    )*};
}

cases! {
    a_busy_device_is_told: begins_with("busy-open", State::Busy);
    a_format_that_is_busy_is_told: begins_with("busy-format", State::Busy);
    a_stream_that_is_busy_is_told: begins_with("busy-stream", State::Busy);
    a_refused_device_is_told: begins_with("refused", State::Refused);
    an_open_that_hangs_is_ended: begins_with("hang-open", State::Stuck);
    a_format_that_hangs_is_ended: begins_with("hang-format", State::Stuck);
    a_bus_without_any_room_is_told: begins_with("no-bandwidth", State::Crowded);
    a_driver_that_breaks_its_library_is_survived: begins_with("strange-colours", State::Crashed);
    frames_that_stop_are_noticed: breaks(SMALL, "hang-frames", State::Stuck);
    a_fetch_that_hangs_is_ended: breaks(SMALL, "hang-dequeue", State::Stuck);
    a_crash_is_survived: breaks(SMALL, "crash", State::Crashed);
    black_is_told: breaks(SMALL, "black", State::Black);
    a_frozen_picture_is_told: breaks(SMALL, "frozen", State::Frozen);
    corrupt_jpegs_are_told: breaks("mode = MJPG 320x240 1/30", "corrupt", State::Damaged);
    truncated_jpegs_are_told: breaks("mode = MJPG 320x240 1/30", "truncated", State::Damaged);
    truncated_samples_are_told: breaks(SMALL, "truncated", State::Damaged);
    jpegs_without_tables_work: works("mode = MJPG 320x240 1/30\nfault = no-tables");
    every_second_frame_damaged_works: works("mode = MJPG 320x240 1/30\nfault = flagged");
    a_stop_that_fails_works: works("mode = YUYV 320x240 1/30\nfault = stop-fails");
    a_name_that_is_no_text_works: works("mode = YUYV 320x240 1/30\nfault = strange-name");
    frames_without_a_time_work: works("mode = YUYV 320x240 1/30\nfault = no-timestamps");
    padded_rows_work: works("padding = 64\nmode = YUYV 320x240 1/30");
    padded_planes_work: works("padding = 64\nmode = NV12 320x240 1/30");
    yu12_alone_works_as_droidcam_has_it: works("padding = 32\nmode = YU12 640x480 1/30");
    rgb_works: works("padding = 3\nmode = RGB3 320x240 1/30");
    jpeg_works: works("mode = MJPG 322x242 1/30");
    odd_intervals_work: works("mode = YUYV 320x240 1001/30000");
    slow_odd_intervals_work: works("mode = YUYV 320x240 2/15");
    odd_sizes_work: works("mode = YU12 353x289 1/30");
}

#[tokio::test]
async fn an_unplugged_camera_is_told_by_its_name_and_comes_back() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    let mut call = watch(&machine);
    call.state(State::Vanished).await;
    assert_eq!(call.status.borrow().camera, None);
    machine.plug(0, SMALL)?;
    call.alive().await;
    machine.unplug(0)?;
    call.state(State::Vanished).await;
    assert_eq!(call.status.borrow().camera.as_deref(), Some("Camera 0"));
    call.placeholder().await;
    machine.plug(0, SMALL)?;
    call.alive().await;
    Ok(())
}

#[tokio::test]
async fn grey_is_shown_without_colour() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, "mode = GREY 320x240 1/30")?;
    let mut call = watch(&machine);
    call.state(State::Live).await;
    let picture = call.picture().await.picture;
    assert!(picture.u.iter().chain(&picture.v).all(|chroma| *chroma == 128));
    Ok(())
}

#[tokio::test]
async fn a_camera_with_colour_is_taken_before_one_for_the_lock() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, "mode = GREY 640x480 1/30")?;
    machine.plug(2, SMALL)?;
    assert_eq!(watch(&machine).alive().await, (320, 240));
    Ok(())
}

#[tokio::test]
async fn a_bus_without_room_gets_jpeg() -> anyhow::Result<()> {
    let modes = "mode = YUYV 640x480 1/30\nmode = MJPG 320x240 1/30\nfault = no-bandwidth";
    assert_eq!(shows(modes).await?, (320, 240));
    Ok(())
}

#[tokio::test]
async fn a_range_of_sizes_is_taken_at_the_wish() -> anyhow::Result<()> {
    assert_eq!(shows("mode = YUYV 160x120-1920x1080/16x8 1/30").await?, (1_280, 720));
    Ok(())
}

#[tokio::test]
async fn pictures_that_are_too_large_or_too_many_are_made_less() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, "mode = YU12 640x480 1/60")?;
    let mut call = watch_as(&machine, Choice::new(None, Wish { size: (640, 240), frames_per_second: 15.0 }));
    call.state(State::Live).await;
    let mut captures = Vec::new();
    while captures.len() < 12 {
        let captured = call.picture().await;
        assert_eq!((captured.picture.width, captured.picture.height), (320, 240));
        // What a busy machine replaces is not seen here, but counted.
        captures.push((captured.number, captured.at));
        call.pool.put(captured.picture);
    }
    let ((first, from), (last, to)) = (captures[1], captures[captures.len() - 1]);
    let rate = f64::from(last - first) / to.since(from).as_secs_f64();
    // A busy machine gives fewer.
    assert!((2.0..17.0).contains(&rate), "{rate} pictures a second");
    Ok(())
}

#[tokio::test]
async fn cameras_are_listed_with_what_they_offer_and_switched_during_a_call() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, SMALL)?;
    machine.plug(2, "mode = MJPG 160x120 1/30")?;
    let cameras = camera::list(&machine.program()).await?;
    let told: Vec<_> = cameras.iter().map(|camera| (&*camera.name, &*camera.offers[0].format)).collect();
    assert_eq!(told, [("Camera 0", "YUYV"), ("Camera 2", "MJPG")]);
    let mut call = watch(&machine);
    assert_eq!(call.alive().await, (320, 240));
    call.control.choose(Some(Choice::new(Some(cameras[1].id.clone()), Wish::default())));
    while call.alive().await != (160, 120) {}
    // By its name, as a person types it.
    call.control.choose(Some(Choice::new(Some("camera 0".to_owned()), Wish::default())));
    while call.alive().await != (320, 240) {}
    Ok(())
}

#[tokio::test]
async fn a_camera_that_is_no_longer_chosen_is_closed() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, SMALL)?;
    let mut call = watch(&machine);
    call.alive().await;
    call.control.choose(None);
    call.state(State::Off).await;
    // One program at a time may stream.
    watch(&machine).alive().await;
    call.control.choose(Some(Choice::new(None, Wish::default())));
    call.alive().await;
    Ok(())
}

#[tokio::test]
async fn the_list_follows_what_is_plugged() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    let (tell, mut listed) = watch::channel(Vec::new());
    let (program, nodes) = (machine.program(), machine.nodes());
    let following = tokio::spawn(async move { camera::follow(&program, &nodes, &Notify::new(), tell).await });
    let mut becomes = async |names: &[&str]| {
        let named = |cameras: &Vec<camera::serve::Listed>| {
            cameras.iter().map(|camera| &*camera.name).eq(names.iter().copied())
        };
        timeout(PATIENCE, listed.wait_for(named)).await.expect("in time").map(drop)
    };
    becomes(&[]).await?;
    machine.plug(0, SMALL)?;
    becomes(&["Camera 0"]).await?;
    machine.plug(1, SMALL)?;
    becomes(&["Camera 0", "Camera 1"]).await?;
    machine.unplug(0)?;
    becomes(&["Camera 1"]).await?;
    drop(listed);
    Ok(following.await??)
}

#[tokio::test]
async fn a_device_that_hangs_is_listed_and_hides_no_other() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, &format!("{SMALL}\nfault = hang-open"))?;
    machine.plug(1, SMALL)?;
    let listed = camera::list(&machine.program()).await?;
    assert_eq!(listed.iter().map(|camera| &*camera.name).collect::<Vec<_>>(), ["Camera 0", "Camera 1"]);
    Ok(())
}

#[cfg(feature = "nokhwa")]
#[tokio::test]
async fn nokhwa_works_with_what_it_understands() -> anyhow::Result<()> {
    for mode in ["YUYV", "MJPG", "NV12", "RGB3"] {
        let machine = Machine::new()?;
        machine.plug(0, &format!("mode = {mode} 320x240 1/30"))?;
        let through = camera::serve::Through::Nokhwa;
        let choice = Choice { through, ..Choice::new(None, Wish::default()) };
        assert_eq!(watch_as(&machine, choice).alive().await, (320, 240), "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn helpers_end_with_their_call() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    machine.plug(0, SMALL)?;
    let mut call = watch(&machine);
    call.alive().await;
    // The helper holds the device; once it is free, another may have it.
    drop(call);
    watch(&machine).alive().await;
    Ok(())
}
