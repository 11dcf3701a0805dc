//! The GPU's side of a moving picture: textures for three planes, a uniform buffer, one pipeline for all of them.

use egui_wgpu::wgpu;
use visavis_codec::Picture;

use super::place::{Look, Size, Uniforms};

/// What all screens share.
#[derive(Debug)]
pub struct Pipeline {
    plain: wgpu::RenderPipeline,
    fine: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
}

impl Pipeline {
    /// Draws to surfaces of `format`, which is not an sRGB one.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let shader = device.create_shader_module(wgpu::include_wgsl!("video.wgsl"));
        let layout = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("video"), entries: &entries() });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("video"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |entry_point, blend| {
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some("video"),
                layout: Some(&pipeline_layout),
                vertex: wgpu::VertexState {
                    module: &shader,
                    entry_point: Some("vertex"),
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    buffers: &[],
                },
                primitive: wgpu::PrimitiveState {
                    topology: wgpu::PrimitiveTopology::TriangleStrip,
                    ..wgpu::PrimitiveState::default()
                },
                depth_stencil: None,
                multisample: wgpu::MultisampleState::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &shader,
                    entry_point: Some(entry_point),
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    targets: &[Some(wgpu::ColorTargetState { format, blend, write_mask: wgpu::ColorWrites::ALL })],
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let plain = pipeline("plain", None);
        let fine = pipeline("fine", Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING));
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("video"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..wgpu::SamplerDescriptor::default()
        });
        Self { plain, fine, layout, sampler }
    }
}

/// One picture on the GPU, or none yet.
#[derive(Debug)]
pub struct Screen {
    uniforms: wgpu::Buffer,
    /// What the buffer holds, so that it is written only when the widget or the picture's shape changes.
    written: Option<Uniforms>,
    planes: Option<Planes>,
}

/// The textures of one size of picture.
#[derive(Debug)]
struct Planes {
    size: Size,
    textures: [wgpu::Texture; 3],
    bindings: wgpu::BindGroup,
}

impl Screen {
    /// An empty one.
    pub fn new(device: &wgpu::Device) -> Self {
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("video"),
            size: size_of::<Uniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { uniforms, written: None, planes: None }
    }

    /// Uploads a picture. The textures are kept as long as the size stays.
    pub fn show(&mut self, picture: &Picture, pipeline: &Pipeline, device: &wgpu::Device, queue: &wgpu::Queue) {
        let size = (picture.width, picture.height);
        let limit = device.limits().max_texture_dimension_2d;
        if size.0 == 0 || size.1 == 0 || size.0.max(size.1) > limit {
            return self.clear();
        }
        if self.planes.as_ref().is_none_or(|planes| planes.size != size) {
            self.planes = Some(Planes::new(picture, &self.uniforms, pipeline, device));
        }
        if let Some(planes) = &self.planes {
            for (texture, plane) in planes.textures.iter().zip([&picture.y, &picture.u, &picture.v]) {
                let layout = wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(texture.width()),
                    rows_per_image: None,
                };
                queue.write_texture(texture.as_image_copy(), plane, layout, texture.size());
            }
        }
    }

    /// Shows nothing.
    pub fn clear(&mut self) {
        self.planes = None;
    }

    /// Takes note of where the picture goes: a widget of `widget` pixels of the screen.
    pub fn place(&mut self, widget: Size, pixels_per_point: f32, look: Look, queue: &wgpu::Queue) {
        let Some(planes) = self.planes.as_ref().filter(|_| widget.0 > 0 && widget.1 > 0) else {
            return;
        };
        let uniforms = Uniforms::new(planes.size, widget, pixels_per_point, look);
        if self.written != Some(uniforms) {
            queue.write_buffer(&self.uniforms, 0, bytemuck::bytes_of(&uniforms));
            self.written = Some(uniforms);
        }
    }

    /// Draws into the viewport that is set.
    pub fn paint(&self, pipeline: &Pipeline, pass: &mut wgpu::RenderPass<'_>) {
        if let Some(planes) = &self.planes {
            let fine = self.written.is_some_and(|uniforms| uniforms.is_fine());
            pass.set_pipeline(if fine { &pipeline.fine } else { &pipeline.plain });
            pass.set_bind_group(0, &planes.bindings, &[]);
            pass.draw(0..4, 0..1);
        }
    }
}

impl Planes {
    fn new(picture: &Picture, uniforms: &wgpu::Buffer, pipeline: &Pipeline, device: &wgpu::Device) -> Self {
        let chroma = (picture.chroma_width(), picture.chroma_height());
        let size = (picture.width, picture.height);
        let textures = [size, chroma, chroma].map(|(width, height)| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some("video plane"),
                size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: wgpu::TextureFormat::R8Unorm,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            })
        });
        let [y, u, v] =
            [0, 1, 2].map(|plane: usize| textures[plane].create_view(&wgpu::TextureViewDescriptor::default()));
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("video"),
            layout: &pipeline.layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&y) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::TextureView(&u) },
                wgpu::BindGroupEntry { binding: 3, resource: wgpu::BindingResource::TextureView(&v) },
                wgpu::BindGroupEntry { binding: 4, resource: wgpu::BindingResource::Sampler(&pipeline.sampler) },
            ],
        });
        Self { size, textures, bindings }
    }
}

/// What the shader binds: uniforms, three planes, a sampler.
fn entries() -> [wgpu::BindGroupLayoutEntry; 5] {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
        ty,
        count: None,
    };
    let plane = wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: true },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let uniforms = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let sampler = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
    [entry(0, uniforms), entry(1, plane), entry(2, plane), entry(3, plane), entry(4, sampler)]
}
