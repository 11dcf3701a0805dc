// A planar 4:2:0 picture, drawn into the viewport of its widget. One quad, fitted or filled by `half_size`.

struct Uniforms {
    // Rows of the colour matrix: red, green, blue = row . (y, u, v, 1).
    red: vec4f,
    green: vec4f,
    blue: vec4f,
    // Half the quad in units of the viewport: 1 spans it, less leaves bars, more is cut off.
    half_size: vec2f,
    // Half the viewport in pixels of the screen.
    half_viewport: vec2f,
    // Of the luma's texture coordinates within the chroma's: below 1 for odd sizes.
    chroma_scale: vec2f,
    // -1 mirrors.
    mirror: f32,
    // Radius of the corners in pixels of the screen.
    radius: f32,
    // Texture coordinates per pixel of the screen.
    pixel: vec2f,
    // Samples per axis and pixel: more than one only where the picture is made much smaller.
    taps: f32,
    padding: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var luma: texture_2d<f32>;
@group(0) @binding(2) var blue_difference: texture_2d<f32>;
@group(0) @binding(3) var red_difference: texture_2d<f32>;
@group(0) @binding(4) var linear: sampler;

struct Vertex {
    @builtin(position) position: vec4f,
    @location(0) at: vec2f,
    // Pixels of the screen from the viewport's centre.
    @location(1) offset: vec2f,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    // A triangle strip: left bottom, right bottom, left top, right top.
    let corner = vec2f(f32(index & 1u), f32(index >> 1u)) * 2.0 - 1.0;
    let position = corner * uniforms.half_size;
    var out: Vertex;
    out.position = vec4f(position, 0.0, 1.0);
    out.at = vec2f(corner.x * uniforms.mirror, -corner.y) * 0.5 + 0.5;
    out.offset = position * uniforms.half_viewport;
    return out;
}

fn sample(at: vec2f) -> vec4f {
    let chroma_at = at * uniforms.chroma_scale;
    return vec4f(
        textureSampleLevel(luma, linear, at, 0.0).r,
        textureSampleLevel(blue_difference, linear, chroma_at, 0.0).r,
        textureSampleLevel(red_difference, linear, chroma_at, 0.0).r,
        1.0,
    );
}

fn average(at: vec2f) -> vec4f {
    var sum = vec4f(0.0);
    for (var row = 0.5; row < uniforms.taps; row += 1.0) {
        for (var column = 0.5; column < uniforms.taps; column += 1.0) {
            sum += sample(at + (vec2f(column, row) / uniforms.taps - 0.5) * uniforms.pixel);
        }
    }
    return sum / (uniforms.taps * uniforms.taps);
}

// How much of the pixel lies within the rounded rectangle that is seen of the picture.
fn coverage(offset: vec2f) -> f32 {
    let half_seen = min(uniforms.half_size, vec2f(1.0)) * uniforms.half_viewport;
    let beyond = abs(offset) - half_seen + uniforms.radius;
    let distance = length(max(beyond, vec2f(0.0))) + min(max(beyond.x, beyond.y), 0.0) - uniforms.radius;
    return clamp(0.5 - distance, 0.0, 1.0);
}

fn colour(yuv: vec4f) -> vec3f {
    // Gamma-encoded, as it came: the surface is not an sRGB one. It also clamps.
    return vec3f(dot(uniforms.red, yuv), dot(uniforms.green, yuv), dot(uniforms.blue, yuv));
}

// One sample a pixel and square corners: the large picture. A software driver pays for every instruction.
@fragment
fn plain(in: Vertex) -> @location(0) vec4f {
    return vec4f(colour(sample(in.at)), 1.0);
}

// Several samples a pixel, round corners: small pictures. Premultiplied, as egui blends.
@fragment
fn fine(in: Vertex) -> @location(0) vec4f {
    return vec4f(clamp(colour(average(in.at)), vec3f(0.0), vec3f(1.0)), 1.0) * coverage(in.offset);
}
