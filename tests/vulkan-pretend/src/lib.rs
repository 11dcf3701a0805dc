//! A graphics driver that loses its device: a Vulkan layer between a program and the real driver.
//!
//! While there is a file at the path in `VISAVIS_LOSE_DEVICE`, the next image that is asked for is refused with
//! `VK_ERROR_DEVICE_LOST`, as after a hang or an update of the driver, and the file is removed; everything else is the
//! driver's. The loader takes a layer by a manifest in a folder named by `VK_LAYER_PATH`, whose name is in
//! `VK_INSTANCE_LAYERS`.
//!
//! ```text
//! program -> loader -> this layer -> driver
//! ```
//!
//! The structures are those of the loader's `vk_layer.h`, interface version 2
//! (<https://github.com/KhronosGroup/Vulkan-Loader/blob/main/docs/LoaderLayerInterface.md>). Unsafe by nature: it is
//! the driver to its host.

#![cfg(target_os = "linux")]

use std::{
    ffi::{CStr, c_char, c_void},
    mem::transmute,
    sync::OnceLock,
};

use ash::vk::{
    AllocationCallbacks, Device, DeviceCreateInfo, Fence, Instance, InstanceCreateInfo, PFN_vkAcquireNextImageKHR,
    PFN_vkCreateDevice, PFN_vkCreateInstance, PFN_vkGetDeviceProcAddr, PFN_vkGetInstanceProcAddr, PFN_vkVoidFunction,
    PhysicalDevice, Result, Semaphore, StructureType, SwapchainKHR,
};

/// `VkNegotiateLayerInterface`.
#[repr(C)]
pub struct Negotiation {
    kind: i32,
    next: *mut c_void,
    version: u32,
    instance: Option<PFN_vkGetInstanceProcAddr>,
    device: Option<PFN_vkGetDeviceProcAddr>,
    physical_device: Option<PFN_vkGetInstanceProcAddr>,
}

/// `VkLayerInstanceCreateInfo` and `VkLayerDeviceCreateInfo`, as far as they are alike: `LINK` makes `link` valid.
#[repr(C)]
struct Chain {
    kind: StructureType,
    next: *mut Self,
    function: i32,
    link: *mut Link,
}

/// `VkLayerInstanceLink` and `VkLayerDeviceLink`: of a device's, `second` is `vkGetDeviceProcAddr`.
#[repr(C)]
struct Link {
    next: *mut Self,
    instance: PFN_vkGetInstanceProcAddr,
    second: PFN_vkVoidFunction,
}

/// `VK_LAYER_LINK_INFO`.
const LINK: i32 = 0;

/// The two kinds of [`Chain`].
const OF_INSTANCE: StructureType = StructureType::LOADER_INSTANCE_CREATE_INFO;
const OF_DEVICE: StructureType = StructureType::LOADER_DEVICE_CREATE_INFO;

/// What lies below: one loader and one driver serve all instances and devices of a process.
static INSTANCE: OnceLock<PFN_vkGetInstanceProcAddr> = OnceLock::new();
static DEVICE: OnceLock<PFN_vkGetDeviceProcAddr> = OnceLock::new();

/// The loader's first call: tells it where the two functions are.
///
/// # Safety
///
/// `negotiation` points to a structure of the loader's.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(negotiation: *mut Negotiation) -> Result {
    // SAFETY: promised by the caller.
    let Some(negotiation) = (unsafe { negotiation.as_mut() }).filter(|told| told.version >= 2) else {
        return Result::ERROR_INITIALIZATION_FAILED;
    };
    negotiation.version = 2;
    negotiation.instance = Some(instance_function);
    negotiation.device = Some(device_function);
    Result::SUCCESS
}

unsafe extern "system" fn instance_function(instance: Instance, name: *const c_char) -> PFN_vkVoidFunction {
    // SAFETY: a C string of the caller's, and functions of these names have these types.
    unsafe {
        match CStr::from_ptr(name).to_bytes() {
            b"vkGetInstanceProcAddr" => transmute::<PFN_vkGetInstanceProcAddr, PFN_vkVoidFunction>(instance_function),
            b"vkCreateInstance" => transmute::<PFN_vkCreateInstance, PFN_vkVoidFunction>(create_instance),
            b"vkCreateDevice" => transmute::<PFN_vkCreateDevice, PFN_vkVoidFunction>(create_device),
            b"vkGetDeviceProcAddr" => transmute::<PFN_vkGetDeviceProcAddr, PFN_vkVoidFunction>(device_function),
            _ => INSTANCE.get().and_then(|below| below(instance, name)),
        }
    }
}

unsafe extern "system" fn device_function(device: Device, name: *const c_char) -> PFN_vkVoidFunction {
    // SAFETY: as above.
    unsafe {
        match CStr::from_ptr(name).to_bytes() {
            b"vkGetDeviceProcAddr" => transmute::<PFN_vkGetDeviceProcAddr, PFN_vkVoidFunction>(device_function),
            b"vkAcquireNextImageKHR" => transmute::<PFN_vkAcquireNextImageKHR, PFN_vkVoidFunction>(acquire),
            _ => DEVICE.get().and_then(|below| below(device, name)),
        }
    }
}

/// The link to what lies below, taken out of the chain so that the next layer finds its own.
///
/// # Safety
///
/// `chain` is the `pNext` of a create info that came from the loader.
unsafe fn take_link(mut chain: *mut Chain, kind: StructureType) -> Option<&'static Link> {
    // SAFETY: every structure of such a chain begins with its kind and the next one, and one of this kind is a `Chain`.
    unsafe {
        while let Some(found) = chain.as_mut() {
            if found.kind == kind && found.function == LINK {
                let link = found.link.as_ref()?;
                found.link = link.next;
                return Some(link);
            }
            chain = found.next;
        }
    }
    None
}

unsafe extern "system" fn create_instance(
    info: *const InstanceCreateInfo<'_>,
    allocator: *const AllocationCallbacks<'_>,
    instance: *mut Instance,
) -> Result {
    // SAFETY: as the loader promises; what is found by this name has this type.
    unsafe {
        let Some(link) = take_link((*info).p_next.cast_mut().cast(), OF_INSTANCE) else {
            return Result::ERROR_INITIALIZATION_FAILED;
        };
        let below = INSTANCE.get_or_init(|| link.instance);
        let Some(create) = below(Instance::null(), c"vkCreateInstance".as_ptr()) else {
            return Result::ERROR_INITIALIZATION_FAILED;
        };
        transmute::<unsafe extern "system" fn(), PFN_vkCreateInstance>(create)(info, allocator, instance)
    }
}

unsafe extern "system" fn create_device(
    physical: PhysicalDevice,
    info: *const DeviceCreateInfo<'_>,
    allocator: *const AllocationCallbacks<'_>,
    device: *mut Device,
) -> Result {
    // SAFETY: as above.
    unsafe {
        let Some(Link { instance, second: Some(second), .. }) =
            take_link((*info).p_next.cast_mut().cast(), OF_DEVICE)
        else {
            return Result::ERROR_INITIALIZATION_FAILED;
        };
        DEVICE.get_or_init(|| transmute::<unsafe extern "system" fn(), PFN_vkGetDeviceProcAddr>(*second));
        let Some(create) = instance(Instance::null(), c"vkCreateDevice".as_ptr()) else {
            return Result::ERROR_INITIALIZATION_FAILED;
        };
        transmute::<unsafe extern "system" fn(), PFN_vkCreateDevice>(create)(physical, info, allocator, device)
    }
}

unsafe extern "system" fn acquire(
    device: Device,
    swapchain: SwapchainKHR,
    timeout_ns: u64,
    semaphore: Semaphore,
    fence: Fence,
    image: *mut u32,
) -> Result {
    if std::env::var_os("VISAVIS_LOSE_DEVICE").is_some_and(|order| std::fs::remove_file(order).is_ok()) {
        return Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the driver's function of this name, with the caller's arguments.
    unsafe {
        let Some(below) = DEVICE.get().and_then(|below| below(device, c"vkAcquireNextImageKHR".as_ptr())) else {
            return Result::ERROR_DEVICE_LOST;
        };
        let below = transmute::<unsafe extern "system" fn(), PFN_vkAcquireNextImageKHR>(below);
        below(device, swapchain, timeout_ns, semaphore, fence, image)
    }
}
