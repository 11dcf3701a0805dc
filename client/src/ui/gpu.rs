//! The window's surface, and one drawing of it. Main thread.
//!
//! Everything that is seen is drawn by one pass: egui's, with [`super::video`] within it.
//!
//! # Why not pixels
//!
//! DESIGN names pixels for the picture. Its surface was tried first, with a buffer of a single pixel and everything
//! drawn in its render pass, and given up, for what its source (0.17) does:
//!
//! - a surface that became too old while the window changes its size is configured anew, with the size that pixels was
//!   told last, in a loop without an end. While a corner is dragged that size is old at every turn, and under Debian 12's
//!   lavapipe the program hung in `vkCreateSwapchainKHR` for good. A call must not hang on a dragged corner;
//! - `desired_maximum_frame_latency` is 2 whatever the present mode, which without Mailbox is a picture of delay more;
//! - its own picture is an RGBA buffer in memory that the processor fills and that is uploaded at every drawing, new or
//!   not: 3.7 MB at 720p, where the three planes of a YUV picture are 1.4 MB and the colours cost the processor nothing.
//!
//! So the surface is wgpu's own, of the release that egui uses. `Gpu::acquire` tries twice, not for ever.
//!
//! Order matters: the driver may make [`Gpu::draw`] wait for a free image, so the newest picture is asked for after
//! that wait, not before it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use egui_wgpu::{Renderer, RendererOptions, ScreenDescriptor, wgpu};
use winit::{dpi::PhysicalSize, event_loop::OwnedDisplayHandle, window::Window};

use visavis_codec::Picture;

use super::video::{Screens, Slot};

/// egui blends gamma-encoded colours, and pictures come gamma-encoded, so the surface must not convert. Every driver
/// offers one of these.
const FORMATS: [wgpu::TextureFormat; 2] = [wgpu::TextureFormat::Bgra8Unorm, wgpu::TextureFormat::Rgba8Unorm];

/// How pictures wait for the screen, best first, with the number of frames that wgpu may have under way (under Vulkan
/// that is the number of images less one). Without a queue, a newer picture replaces the one that waits, which takes a
/// third image. With a queue, it is kept as short as it gets.
const MODES: [(wgpu::PresentMode, u32); 2] = [(wgpu::PresentMode::Mailbox, 2), (wgpu::PresentMode::Fifo, 1)];

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The driver has no surface for this window.
    #[error("this window cannot be drawn on: {0}. {ADVICE}")]
    Surface(#[from] wgpu::CreateSurfaceError),
    /// No driver.
    #[error("no graphics driver was found: {0}. {ADVICE}")]
    Adapter(#[from] wgpu::RequestAdapterError),
    /// The driver refuses.
    #[error("the graphics driver refuses: {0}. {ADVICE}")]
    Device(#[from] wgpu::RequestDeviceError),
    /// The driver has no format that egui draws in.
    #[error("the graphics driver offers no common colour format. {ADVICE}")]
    Format,
    /// It worked until now: the device is lost (the driver was updated, it hung, the machine slept), or the surface is.
    /// [`Gpu::new`] may well succeed.
    #[error("the graphics driver failed while drawing, also after it was set up anew. {ADVICE}")]
    Draw,
}

const ADVICE: &str = "Install or update the Vulkan driver (on Debian: mesa-vulkan-drivers)";

/// What the widgets look like: egui's triangles, to be drawn as often as a new picture comes.
#[derive(Default)]
pub struct Layout {
    /// Triangles and paint callbacks, in order.
    pub primitives: Vec<egui::ClippedPrimitive>,
    /// Physical pixels per point.
    pub pixels_per_point: f32,
}

/// Draws the window.
pub struct Gpu {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    /// Of the window, as far as it is known here, in pixels.
    size: PhysicalSize<u32>,
    /// The driver would like to have a new surface, though the old one still works.
    stale: bool,
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// What the driver has refused so far.
    refused: Arc<AtomicU32>,
    egui: Renderer,
}

impl Gpu {
    /// Sets up a driver for `window` on `display`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::Draw`].
    pub fn new(window: &Arc<Window>, display: &OwnedDisplayHandle) -> Result<Self, Error> {
        // Vulkan, Metal or DirectX first: to ask OpenGL as well costs time at every start.
        let (surface, adapter) = find(window, display, wgpu::Backends::PRIMARY)
            .or_else(|_| find(window, display, wgpu::Backends::SECONDARY))?;
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let refused = Arc::<AtomicU32>::default();
        let count = refused.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            count.fetch_add(1, Relaxed);
            tracing::error!(%error, "the graphics driver refuses");
        }));

        let offered = surface.get_capabilities(&adapter);
        let format = FORMATS.into_iter().find(|format| offered.formats.contains(format)).ok_or(Error::Format)?;
        let [.., queued] = MODES;
        let (present_mode, latency) =
            MODES.into_iter().find(|(mode, _)| offered.present_modes.contains(mode)).unwrap_or(queued);
        let config = wgpu::SurfaceConfiguration {
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            format,
            width: 0,
            height: 0,
            present_mode,
            desired_maximum_frame_latency: latency,
            alpha_mode: wgpu::CompositeAlphaMode::Auto,
            view_formats: Vec::new(),
        };
        let mut egui = Renderer::new(&device, format, RendererOptions::default());
        egui.callback_resources.insert(Screens::new(&device, format));
        tracing::info!(driver = adapter.get_info().name, mode = ?present_mode, "drawing");
        let size = window.inner_size();
        Ok(Self { window: window.clone(), surface, config, size, stale: true, device, queue, refused, egui })
    }

    /// Longest side of a texture, in pixels.
    pub fn max_texture_side(&self) -> usize {
        self.device.limits().max_texture_dimension_2d as usize
    }

    /// The window's size changed. Nothing is done before the next drawing: while somebody drags a corner, sizes come
    /// faster than drawings, and each new surface makes the driver finish what it does.
    pub const fn resize(&mut self, size: PhysicalSize<u32>) {
        self.size = size;
    }

    /// Nothing is shown in `slot` any more.
    pub fn clear(&mut self, slot: Slot) {
        if let Some(screens) = self.egui.callback_resources.get_mut::<Screens>() {
            screens.clear(slot);
        }
    }

    /// Takes in changes of egui's own textures: glyphs, icons. Before the layout that uses them is drawn.
    pub fn update_textures(&mut self, changes: &egui::TexturesDelta) {
        for (id, change) in &changes.set {
            self.egui.update_texture(&self.device, &self.queue, *id, change);
        }
    }

    /// Frees what the layout before used. After the drawing.
    pub fn free_textures(&mut self, changes: &egui::TexturesDelta) {
        changes.free.iter().for_each(|id| self.egui.free_texture(id));
    }

    /// Draws `layout` and hands it to the screen. `newest` is asked for new pictures once the driver has an image to
    /// draw on; `submit` is called right before the drawing goes to the driver.
    ///
    /// Answers whether anything was drawn: a hidden window may not be, and then no picture is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Draw`].
    pub fn draw(
        &mut self,
        layout: &Layout,
        newest: impl FnOnce(&mut dyn FnMut(Slot, &Picture)),
        submit: impl FnOnce(),
    ) -> Result<bool, Error> {
        let Some(image) = self.acquire()? else {
            return Ok(false);
        };
        let Self { device, queue, egui, config, .. } = self;
        if let Some(screens) = egui.callback_resources.get_mut::<Screens>() {
            newest(&mut |slot, picture| screens.show(slot, picture, device, queue));
        }
        let descriptor = ScreenDescriptor {
            size_in_pixels: [config.width, config.height],
            pixels_per_point: layout.pixels_per_point,
        };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("window") });
        egui.update_buffers(device, queue, &mut encoder, &layout.primitives, &descriptor);
        let target = image.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("window"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
            })],
            ..wgpu::RenderPassDescriptor::default()
        });
        egui.render(&mut pass.forget_lifetime(), &layout.primitives, &descriptor);
        let commands = encoder.finish();
        submit();
        queue.submit([commands]);
        image.present();
        Ok(true)
    }

    /// An image to draw on. None if the window is minimised, covered, or changes its size right now, in which case
    /// winit tells of the new size, and that is drawn.
    fn acquire(&mut self) -> Result<Option<wgpu::SurfaceTexture>, Error> {
        if self.size.width == 0 || self.size.height == 0 {
            return Ok(None);
        }
        if self.stale || (self.size.width, self.size.height) != (self.config.width, self.config.height) {
            self.configure()?;
        }
        // Twice and not for ever: the size may change again meanwhile.
        for _ in 0..2 {
            match self.surface.get_current_texture() {
                wgpu::CurrentSurfaceTexture::Success(image) => return Ok(Some(image)),
                wgpu::CurrentSurfaceTexture::Suboptimal(image) => {
                    self.stale = true;
                    return Ok(Some(image));
                }
                wgpu::CurrentSurfaceTexture::Outdated | wgpu::CurrentSurfaceTexture::Lost => {
                    // Ahead of winit's event, which is still in its queue.
                    self.size = self.window.inner_size();
                    self.configure()?;
                }
                wgpu::CurrentSurfaceTexture::Timeout | wgpu::CurrentSurfaceTexture::Occluded => break,
                wgpu::CurrentSurfaceTexture::Validation => return Err(Error::Draw),
            }
        }
        Ok(None)
    }

    /// A new surface of the window's size, as far as the driver can draw one.
    ///
    /// One that was refused must not be asked for an image: wgpu panics then.
    fn configure(&mut self) -> Result<(), Error> {
        let limit = self.device.limits().max_texture_dimension_2d;
        self.config.width = self.size.width.clamp(1, limit);
        self.config.height = self.size.height.clamp(1, limit);
        let refused = self.refused.load(Relaxed);
        self.surface.configure(&self.device, &self.config);
        self.stale = false;
        // Errors are told on the thread that made them, before its call returns.
        if self.refused.load(Relaxed) == refused { Ok(()) } else { Err(Error::Draw) }
    }
}

/// A driver for `window`, and its surface.
fn find(
    window: &Arc<Window>,
    display: &OwnedDisplayHandle,
    backends: wgpu::Backends,
) -> Result<(wgpu::Surface<'static>, wgpu::Adapter), Error> {
    // OpenGL under Wayland needs the display.
    let descriptor = wgpu::InstanceDescriptor {
        backends: wgpu::Backends::from_env().unwrap_or(backends),
        ..wgpu::InstanceDescriptor::new_with_display_handle(Box::new(display.clone()))
    };
    let instance = wgpu::Instance::new(descriptor);
    let surface = instance.create_surface(window.clone())?;
    let options = wgpu::RequestAdapterOptions { compatible_surface: Some(&surface), ..Default::default() };
    let adapter = pollster::block_on(instance.request_adapter(&options))?;
    Ok((surface, adapter))
}
