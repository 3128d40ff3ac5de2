//! Handlers of images.
//!
//! The driver says what an image takes only once it is there, so the charge is computed from the format. What that misses
//! is reconciled.

use fcsp_gate::Handle;
use fcsp_program::memory::charge::credited;
use level_zero_sys::{
    fn_types, ze_context_handle_t, ze_device_handle_t, ze_image_desc_t, ze_image_format_layout_t,
    ze_image_handle_t, ze_image_type_t, ze_result_t,
};

use crate::driver::Ze;
use crate::memory::{is_import, make, pages};

/// Bytes of a texel; of a layout that is not known here, and of those for video, the most that there is.
fn texel_bytes(layout: ze_image_format_layout_t) -> u64 {
    type Layout = ze_image_format_layout_t;
    match layout {
        Layout::ZE_IMAGE_FORMAT_LAYOUT_8 => 1,
        Layout::ZE_IMAGE_FORMAT_LAYOUT_16
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_8_8
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_5_6_5
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_5_5_5_1
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_4_4_4_4 => 2,
        Layout::ZE_IMAGE_FORMAT_LAYOUT_32
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_16_16
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_10_10_10_2
        | Layout::ZE_IMAGE_FORMAT_LAYOUT_11_11_10 => 4,
        Layout::ZE_IMAGE_FORMAT_LAYOUT_16_16_16_16 | Layout::ZE_IMAGE_FORMAT_LAYOUT_32_32 => 8,
        _ => 16,
    }
}

fn bytes(desc: &ze_image_desc_t) -> u64 {
    type Kind = ze_image_type_t;
    let (height, depth) = (u64::from(desc.height), u64::from(desc.depth));
    let layers = u64::from(desc.arraylevels);
    let rows = match desc.type_ {
        // Its width is in bytes.
        Kind::ZE_IMAGE_TYPE_BUFFER => return pages(desc.width),
        Kind::ZE_IMAGE_TYPE_1D => 1,
        Kind::ZE_IMAGE_TYPE_1DARRAY => layers,
        Kind::ZE_IMAGE_TYPE_2D => height,
        Kind::ZE_IMAGE_TYPE_2DARRAY => height.saturating_mul(layers),
        _ => height.saturating_mul(depth),
    };
    let row_bytes = desc.width.saturating_mul(texel_bytes(desc.format.layout));
    pages(row_bytes.saturating_mul(rows.max(1)))
}

/// # Safety
///
/// As `zeImageCreate`.
pub unsafe fn create(
    real: fn_types::zeImageCreate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_image_desc_t,
    image: *mut ze_image_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let create = || real(context, device, desc, image);
        match desc.as_ref().filter(|it| !is_import(it.pNext)) {
            Some(desc) => make(device, image, bytes(desc), create),
            None => create(),
        }
    }
}

/// # Safety
///
/// As `zeImageDestroy`.
pub unsafe fn destroy(real: fn_types::zeImageDestroy, image: ze_image_handle_t) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    credited::<Ze>(image.number(), || unsafe { real(image) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desc(type_: ze_image_type_t, layout: ze_image_format_layout_t) -> ze_image_desc_t {
        let mut desc = ze_image_desc_t {
            type_,
            width: 1000,
            height: 500,
            depth: 4,
            arraylevels: 3,
            ..Default::default()
        };
        desc.format.layout = layout;
        desc
    }

    #[test]
    fn an_image_takes_its_texels_in_whole_pages() {
        type Kind = ze_image_type_t;
        let layout = ze_image_format_layout_t::ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8;
        let of = |kind| bytes(&desc(kind, layout));
        assert_eq!(of(Kind::ZE_IMAGE_TYPE_1D), pages(4000));
        assert_eq!(of(Kind::ZE_IMAGE_TYPE_2D), pages(4000 * 500));
        assert_eq!(of(Kind::ZE_IMAGE_TYPE_2DARRAY), pages(4000 * 500 * 3));
        assert_eq!(of(Kind::ZE_IMAGE_TYPE_3D), pages(4000 * 500 * 4));
        assert_eq!(of(Kind::ZE_IMAGE_TYPE_BUFFER), pages(1000));
        let unknown = desc(Kind::ZE_IMAGE_TYPE_2D, ze_image_format_layout_t(77));
        assert_eq!(bytes(&unknown), pages(16_000 * 500));
    }
}
