//! openh264 behind two safe types. The only unsafe code of the crate.
//!
//! openh264 is driven through its C++ virtual tables (`openh264-sys2` generates their layout). The wrappers own
//! their object, hand it only pointers that live for the call, and copy everything out before they return, so
//! nothing of openh264's memory is ever seen outside. One thread at a time; any thread.

use std::ffi::{c_int, c_void};
use std::ptr;

use openh264_sys2 as sys;

use super::Error;
use crate::Picture;

/// Settings that stay for the life of a [`RawEncoder`].
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Coded width, even.
    pub width: u32,
    /// Coded height, even.
    pub height: u32,
    /// Nominal frame rate; with rate control off it only chooses the level.
    pub frames_per_second: f32,
    /// Nominal bit rate; with rate control off it only chooses the level.
    pub bitrate_bps: u32,
    /// Encoder threads, which is also the number of slices of a picture.
    pub threads: u16,
}

/// What openh264 says it coded.
#[derive(Debug, Clone, Copy)]
pub struct Coded {
    /// An IDR picture.
    pub keyframe: bool,
    /// Temporal layer, 0 is base.
    pub temporal_layer: u8,
}

/// An openh264 encoder with rate control off and two temporal layers.
pub struct RawEncoder {
    encoder: *mut sys::ISVCEncoder,
    parameters: sys::SEncParamExt,
    /// Boxed because it is 7 KiB; openh264 overwrites it at every frame.
    info: Box<sys::SFrameBSInfo>,
}

// SAFETY: openh264 keeps no thread-local state and ties an encoder to no thread; `&mut self` on every method
// keeps it to one thread at a time.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// Creates an encoder; `Err` carries openh264's return code.
    pub fn new(settings: Settings) -> Result<Self, i64> {
        let mut encoder = ptr::null_mut();
        // SAFETY: writes one pointer through a valid out-pointer.
        let code = unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&raw mut encoder) };
        if code != 0 || encoder.is_null() {
            return Err(i64::from(code));
        }
        let info = Box::new(sys::SFrameBSInfo::default());
        // From here on `Drop` destroys the encoder, also when a step below fails.
        let mut this = Self { encoder, parameters: sys::SEncParamExt::default(), info };
        this.silence();
        let vtable = this.vtable();
        let defaults = vtable.GetDefaultParams.expect("openh264's table is complete");
        // SAFETY: the encoder is alive and `parameters` is the structure that the call fills.
        let code = unsafe { defaults(this.encoder, &raw mut this.parameters) };
        if code != 0 {
            return Err(i64::from(code));
        }
        apply(&mut this.parameters, settings);
        let initialize = vtable.InitializeExt.expect("openh264's table is complete");
        // SAFETY: as above; openh264 copies the parameters.
        let code = unsafe { initialize(this.encoder, &raw const this.parameters) };
        if code == 0 { Ok(this) } else { Err(i64::from(code)) }
    }

    /// Encodes `picture`, whose size is at least the configured one, and appends the access unit to `out`.
    ///
    /// `layer_qp` is what openh264 calls `iDLayerQp`; see `encoder` for how it becomes the QP of the frame.
    pub fn encode(
        &mut self,
        picture: &Picture,
        layer_qp: u8,
        keyframe: bool,
        timestamp_ms: i64,
        out: &mut Vec<u8>,
    ) -> Result<Coded, i64> {
        assert!(picture.is_consistent(), "the caller checked the planes");
        assert!(picture.width >= self.parameters.iPicWidth as u32, "the caller checked the size");
        assert!(picture.height >= self.parameters.iPicHeight as u32, "the caller checked the size");
        self.parameters.sSpatialLayers[0].iDLayerQp = c_int::from(layer_qp);
        let vtable = self.vtable();
        let set_option = vtable.SetOption.expect("openh264's table is complete");
        let force_intra = vtable.ForceIntraFrame.expect("openh264's table is complete");
        let encode_frame = vtable.EncodeFrame.expect("openh264's table is complete");
        let option = sys::ENCODER_OPTION_SVC_ENCODE_PARAM_EXT;
        // SAFETY: this option reads one SEncParamExt, copies it and keeps no pointer.
        let code = unsafe { set_option(self.encoder, option, (&raw mut self.parameters).cast::<c_void>()) };
        if code != 0 {
            return Err(i64::from(code));
        }
        if keyframe {
            // SAFETY: the encoder is alive. The C++ method has a second, defaulted argument (the layer), which
            // the binding leaves out; openh264 ignores it unless simulcast is on, and it is off.
            unsafe { force_intra(self.encoder, true) };
        }
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [picture.width as c_int, picture.chroma_width() as c_int, picture.chroma_width() as c_int, 0],
            // openh264 declares the planes mutable but only copies from them into its own padded pictures.
            pData: [
                picture.y.as_ptr().cast_mut(),
                picture.u.as_ptr().cast_mut(),
                picture.v.as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: self.parameters.iPicWidth,
            iPicHeight: self.parameters.iPicHeight,
            uiTimeStamp: timestamp_ms,
            ..Default::default()
        };
        // SAFETY: the planes hold stride * rows bytes (`is_consistent`, and the configured size is not larger),
        // both structures live for the call, and openh264 keeps none of the pointers.
        let code = unsafe { encode_frame(self.encoder, &raw const source, &raw mut *self.info) };
        if code != 0 {
            return Err(i64::from(code));
        }
        Ok(self.copy_out(out))
    }

    /// Appends the coded NAL units, which are still in openh264's own buffer, to `out`.
    fn copy_out(&self, out: &mut Vec<u8>) -> Coded {
        let mut coded = Coded { keyframe: self.info.eFrameType == sys::videoFrameTypeIDR, temporal_layer: 0 };
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0).min(self.info.sLayerInfo.len());
        for layer in &self.info.sLayerInfo[..layers] {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if count == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: openh264 gives `iNalCount` lengths, and both buffers stay valid until the next call.
            let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let bytes = lengths.iter().map(|&length| usize::try_from(length).unwrap_or(0)).sum();
            // SAFETY: the NAL units of a layer lie one after the other from `pBsBuf` (openh264's own h264enc
            // writes them to a file just so).
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(layer.pBsBuf, bytes) });
            if u32::from(layer.uiLayerType) == sys::VIDEO_CODING_LAYER as u32 {
                coded.temporal_layer = layer.uiTemporalId;
            }
        }
        coded
    }

    /// openh264 prints warnings to standard error unless told not to; errors come back as codes anyway.
    fn silence(&mut self) {
        let mut level: c_int = sys::WELS_LOG_QUIET;
        let set_option = self.vtable().SetOption.expect("openh264's table is complete");
        // SAFETY: this option reads one int.
        unsafe { set_option(self.encoder, sys::ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast::<c_void>()) };
    }

    fn vtable(&self) -> &'static sys::ISVCEncoderVtbl {
        // SAFETY: a C++ object with virtual methods starts with the pointer to its table, which is static data.
        unsafe { &**self.encoder }
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: `new` created it and nothing else destroys it. Destroying also uninitialises and joins the
        // encoder's threads.
        unsafe { sys::source::APILoader::WelsDestroySVCEncoder(self.encoder) };
    }
}

/// Everything that differs from openh264's defaults, and why.
fn apply(parameters: &mut sys::SEncParamExt, settings: Settings) {
    let slices = if settings.threads > 1 { sys::SM_FIXEDSLCNUM_SLICE } else { sys::SM_SINGLE_SLICE };
    parameters.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    parameters.iPicWidth = settings.width as c_int;
    parameters.iPicHeight = settings.height as c_int;
    parameters.fMaxFrameRate = settings.frames_per_second;
    parameters.iTargetBitrate = settings.bitrate_bps as c_int;
    // Our own model picks the QP of each frame: openh264's clips QP steps and cannot hit a frame budget.
    parameters.iRCMode = sys::RC_OFF_MODE;
    parameters.bEnableFrameSkip = false;
    parameters.iTemporalLayerNum = 2;
    parameters.iSpatialLayerNum = 1;
    // One reference is all that two layers need, and all that they get: see the module documentation.
    parameters.iNumRefFrame = 1;
    // Keyframes on request only: no period, no scene-change detection.
    parameters.uiIntraPeriod = 0;
    parameters.bEnableSceneChangeDetect = false;
    // These three change the picture or the QP of blocks behind the rate model's back.
    parameters.bEnableDenoise = false;
    parameters.bEnableBackgroundDetection = false;
    parameters.bEnableAdaptiveQuant = false;
    parameters.bEnableLongTermReference = false;
    parameters.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    parameters.bPrefixNalAddingCtrl = false;
    parameters.iComplexityMode = COMPLEXITY;
    parameters.iEntropyCodingModeFlag = c_int::from(CABAC);
    parameters.iMultipleThreadIdc = settings.threads;
    parameters.bUseLoadBalancing = false;
    let layer = &mut parameters.sSpatialLayers[0];
    layer.iVideoWidth = settings.width as c_int;
    layer.iVideoHeight = settings.height as c_int;
    layer.fFrameRate = settings.frames_per_second;
    layer.iSpatialBitrate = settings.bitrate_bps as c_int;
    layer.uiProfileIdc = if CABAC { sys::PRO_HIGH } else { sys::PRO_BASELINE };
    layer.sSliceArgument.uiSliceMode = slices;
    layer.sSliceArgument.uiSliceNum = u32::from(settings.threads);
}

/// Measured in `encoder`: medium costs 1.2 ms a frame and gains 0.0004 of SSIM.
const COMPLEXITY: sys::ECOMPLEXITY_MODE = sys::LOW_COMPLEXITY;
/// Measured in `encoder`: CABAC costs 2 ms on the way of a frame.
const CABAC: bool = false;

/// An openh264 decoder with error concealment off.
pub struct RawDecoder {
    decoder: *mut sys::ISVCDecoder,
}

// SAFETY: as for `RawEncoder`; the decoder is initialised without threads of its own.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    /// Creates a decoder that has seen nothing.
    pub fn new() -> Result<Self, Error> {
        #[allow(clippy::useless_conversion, reason = "c_long has 32 bits on Windows")]
        let start = |code: std::ffi::c_long| Error::Start { code: i64::from(code) };
        let mut decoder = ptr::null_mut();
        // SAFETY: writes one pointer through a valid out-pointer.
        let code = unsafe { sys::source::APILoader::WelsCreateDecoder(&raw mut decoder) };
        if code != 0 || decoder.is_null() {
            return Err(start(code));
        }
        let this = Self { decoder };
        let mut level: c_int = sys::WELS_LOG_QUIET;
        let set_option = this.vtable().SetOption.expect("openh264's table is complete");
        // SAFETY: this option reads one int.
        unsafe { set_option(this.decoder, sys::DECODER_OPTION_TRACE_LEVEL, (&raw mut level).cast::<c_void>()) };
        let parameters = sys::SDecodingParam {
            uiTargetDqLayer: u8::MAX,
            // A frame is whole or not shown; with concealment openh264 invents pictures and reports them as good.
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            // With VIDEO_BITSTREAM_AVC one error marks the key frame as lost and refuses all that follows.
            sVideoProperty: sys::SVideoProperty {
                size: size_of::<sys::SVideoProperty>() as u32,
                eVideoBsType: sys::VIDEO_BITSTREAM_DEFAULT,
            },
            ..Default::default()
        };
        let initialize = this.vtable().Initialize.expect("openh264's table is complete");
        // SAFETY: the decoder is alive; openh264 copies the parameters.
        let code = unsafe { initialize(this.decoder, &raw const parameters) };
        if code == 0 { Ok(this) } else { Err(start(code)) }
    }

    /// Decodes one access unit and copies the picture, if one came, to `out`; says whether one came.
    pub fn decode(&mut self, access_unit: &[u8], out: &mut Picture) -> Result<bool, Error> {
        let length = c_int::try_from(access_unit.len()).map_err(|_| Error::Malformed("too long"))?;
        let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
        let mut info = sys::SBufferInfo::default();
        let decode = self.vtable().DecodeFrameNoDelay.expect("openh264's table is complete");
        // SAFETY: `length` bytes are readable, the out-structures live for the call, and openh264 keeps no
        // pointer to either.
        let state = unsafe { decode(self.decoder, access_unit.as_ptr(), length, planes.as_mut_ptr(), &raw mut info) };
        if state != 0 {
            return Err(Error::Decode { state });
        }
        if info.iBufferStatus != 1 {
            // Outside the baseline profile openh264 waits for the next picture in case it must come first;
            // nothing here is ever reordered, so it is asked to hand over what it holds.
            let flush = self.vtable().FlushFrame.expect("openh264's table is complete");
            // SAFETY: as above.
            unsafe { flush(self.decoder, planes.as_mut_ptr(), &raw mut info) };
        }
        if info.iBufferStatus != 1 || planes.iter().any(|plane| plane.is_null()) {
            return Ok(false);
        }
        // SAFETY: the union has this one member.
        let shape = unsafe { info.UsrData.sSystemBuffer };
        let (Ok(width), Ok(height)) = (usize::try_from(shape.iWidth), usize::try_from(shape.iHeight)) else {
            return Err(Error::Decode { state });
        };
        let (Ok(luma_stride), Ok(chroma_stride)) =
            (usize::try_from(shape.iStride[0]), usize::try_from(shape.iStride[1]))
        else {
            return Err(Error::Decode { state });
        };
        if luma_stride < width || chroma_stride < width.div_ceil(2) {
            return Err(Error::Decode { state });
        }
        out.resize(width as u32, height as u32);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        // SAFETY: openh264 says that the planes have these strides, which are not smaller than the rows
        // (checked above); they stay valid until the next call, and the rows are copied now.
        unsafe {
            copy_plane(planes[0], luma_stride, width, height, &mut out.y);
            copy_plane(planes[1], chroma_stride, chroma.0, chroma.1, &mut out.u);
            copy_plane(planes[2], chroma_stride, chroma.0, chroma.1, &mut out.v);
        }
        Ok(true)
    }

    fn vtable(&self) -> &'static sys::ISVCDecoderVtbl {
        // SAFETY: as for the encoder.
        unsafe { &**self.decoder }
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.vtable().Uninitialize {
            // SAFETY: alive until the line after; uninitialising twice or never is allowed.
            unsafe { uninitialize(self.decoder) };
        }
        // SAFETY: `new` created it and nothing else destroys it.
        unsafe { sys::source::APILoader::WelsDestroyDecoder(self.decoder) };
    }
}

/// Copies `height` rows of `width` bytes, `stride` apart, to the tightly packed `out`.
///
/// # Safety
///
/// `plane` points to at least `stride * (height - 1) + width` readable bytes.
unsafe fn copy_plane(plane: *const u8, stride: usize, width: usize, height: usize, out: &mut [u8]) {
    if width == 0 || height == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    let source = unsafe { std::slice::from_raw_parts(plane, stride * (height - 1) + width) };
    for (row, target) in source.chunks(stride).zip(out.chunks_exact_mut(width)) {
        target.copy_from_slice(&row[..width]);
    }
}
