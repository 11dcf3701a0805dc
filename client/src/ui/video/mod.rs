//! Moving pictures among the widgets: three planes go to the GPU as they are, and one draw call turns them into colours.
//!
//! ```text
//! decode thread -> latest -> Screens::show (upload) -> widget's paint callback -> egui's render pass -> present
//! ```
//!
//! A picture is drawn by a paint callback within egui's own pass, so that it takes part in egui's order: panels lie
//! over the remote picture, the self view can be dragged about with its corners rounded, and a settings page has a
//! preview. A new picture needs no new layout: the last one is drawn again with other textures. Main thread.

mod pipeline;
mod place;

use egui_wgpu::{CallbackResources, CallbackTrait, ScreenDescriptor, wgpu};
use visavis_codec::Picture;

pub use pipeline::Pipeline;
use pipeline::Screen;
pub use place::{Look, Matrix, Scale};

/// Which picture. Each is shown by one widget at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The other person.
    Remote,
    /// Oneself.
    Own,
}

impl Slot {
    /// How many there are.
    pub const COUNT: usize = 2;
    /// All of them, by their numbers.
    pub const ALL: [Self; Self::COUNT] = [Self::Remote, Self::Own];
}

/// The pictures on the GPU. Lives among the callback resources of egui's renderer.
#[derive(Debug)]
pub struct Screens {
    pipeline: Pipeline,
    screens: [Screen; Slot::COUNT],
}

impl Screens {
    /// Black screens on a surface of `format`, which is not an sRGB one.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let pipeline = Pipeline::new(device, format);
        Self { screens: std::array::from_fn(|_| Screen::new(device)), pipeline }
    }

    /// Replaces the picture of `slot`; drawn from the next submission on. Pictures without pixels are not shown.
    pub fn show(&mut self, slot: Slot, picture: &Picture, device: &wgpu::Device, queue: &wgpu::Queue) {
        self.screens[slot as usize].show(picture, &self.pipeline, device, queue);
    }

    /// Nothing is shown in `slot` any more.
    pub fn clear(&mut self, slot: Slot) {
        self.screens[slot as usize].clear();
    }
}

/// `slot` in `rect`, to be put among the shapes of a layout.
pub fn shape(rect: egui::Rect, slot: Slot, look: Look) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(rect, Painted { slot, rect, look }).into()
}

/// One widget that shows a picture.
struct Painted {
    slot: Slot,
    rect: egui::Rect,
    look: Look,
}

impl Painted {
    /// The widget in pixels of the screen. egui's own answer is cut at the window's edges, which would squeeze the
    /// picture of a widget that is half outside.
    fn in_pixels(&self, pixels_per_point: f32) -> egui::Rect {
        let scaled = self.rect * pixels_per_point;
        egui::Rect::from_min_max(scaled.min.round(), scaled.max.round())
    }
}

impl CallbackTrait for Painted {
    fn prepare(
        &self,
        _device: &wgpu::Device,
        queue: &wgpu::Queue,
        descriptor: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(screens) = resources.get_mut::<Screens>() {
            let size = self.in_pixels(descriptor.pixels_per_point).size();
            let widget = (size.x as u32, size.y as u32);
            screens.screens[self.slot as usize].place(widget, descriptor.pixels_per_point, self.look, queue);
        }
        Vec::new()
    }

    fn paint(
        &self,
        info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(screens) = resources.get::<Screens>() {
            let area = self.in_pixels(info.pixels_per_point);
            pass.set_viewport(area.left(), area.top(), area.width(), area.height(), 0.0, 1.0);
            screens.screens[self.slot as usize].paint(&screens.pipeline, pass);
        }
    }
}
